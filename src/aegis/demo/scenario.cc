#include "aegis/demo/scenario.h"

#include <chrono>
#include <nlohmann/json.hpp>
#include <thread>

#include "aegis/net/http_client.h"

namespace aegis::demo {

using nlohmann::json;

namespace {

constexpr const char* kFinancePolicy = R"(# What the finance agent may do with the payments API.
agent: finance-agent
allowed_tools:
  - name: stripe-payments
    actions:
      - create_payment
    conditions:
      max_amount: 5000
    callers:
      - user:*
      - agent: planner-agent
        conditions: {max_amount: 500}   # a delegate is held tighter
  - name: stripe-payments
    actions: ["list_*"]
)";

constexpr const char* kPlannerPolicy =
    R"(# The planner is being tried out: its policy only watches for now.
agent: planner-agent
mode: shadow
allowed_tools:
  - name: stripe-payments
    actions: ["list_*"]
)";

// The control API, as an operator's script would use it.
class Operator {
 public:
  explicit Operator(const Endpoints& endpoints) : endpoints_(endpoints) {}

  Result<json> Post(const std::string& path, const json& body) {
    net::HttpRequest request;
    request.method = "POST";
    request.path = path;
    request.headers.Set("Authorization", "Bearer " + endpoints_.admin_key);
    request.headers.Set("Content-Type", "application/json");
    request.body = body.dump();
    AEGIS_TRY(const net::HttpResponse response, client_.Send(endpoints_.control, request, 30'000));
    json answer = json::parse(response.body, nullptr, false);
    if (response.status / 100 == 2 || response.status == 409) return answer;
    return Fail(Code::kInternal, "control_api",
                "POST " + path + ": HTTP " + std::to_string(response.status) + " " +
                    (answer.is_object() ? answer.value("detail", response.body) : response.body));
  }

  Result<std::string> Token(const std::string& agent, const json& chain) {
    json body = {{"ttl_seconds", 900}};
    if (!chain.empty()) body["chain"] = chain;
    AEGIS_TRY(const json answer, Post("/api/v1/agents/" + agent + "/tokens", body));
    return answer.value("token", "");
  }

 private:
  const Endpoints& endpoints_;
  net::HttpClient client_;
};

// An agent: a base URL and a token, nothing else.
class Agent {
 public:
  Agent(std::string base_url, std::string token)
      : base_url_(std::move(base_url)), token_(std::move(token)) {}

  Result<Step> Call(const std::string& action, const json& params) {
    net::HttpRequest request;
    request.method = "POST";
    request.path = "/" + action;
    request.headers.Set("Authorization", "Bearer " + token_);
    request.headers.Set("Content-Type", "application/json");
    request.body = params.dump();
    AEGIS_TRY(const net::HttpResponse response, client_.Send(base_url_, request, 30'000));
    Step step;
    step.status = response.status;
    step.outcome = response.headers.Get("X-Aegis-Decision");
    step.decision_id = response.headers.Get("X-Aegis-Decision-Id");
    step.shadow = response.headers.Get("X-Aegis-Shadow");
    const json body = json::parse(response.body, nullptr, false);
    if (body.is_object()) {
      step.reason = body.value("reason", "");
      step.detail = body.value("detail", body.value("id", ""));
    }
    return step;
  }

 private:
  std::string base_url_;
  std::string token_;
  net::HttpClient client_;
};

std::string Describe(const std::string& action, const json& params) {
  std::string text = action;
  for (const auto& [key, value] : params.items()) text += " " + key + "=" + value.dump();
  return text;
}

}  // namespace

Status SetUp(const Endpoints& endpoints) {
  Operator op(endpoints);
  for (const char* agent : {"finance-agent", "planner-agent"})
    AEGIS_RETURN_IF_ERROR(
        op.Post("/api/v1/agents", {{"name", agent}, {"labels", {{"team", "finance"}}}}));
  AEGIS_RETURN_IF_ERROR(
      op.Post("/api/v1/tools", {{"name", "stripe-payments"}, {"base_url", endpoints.payments}}));
  AEGIS_RETURN_IF_ERROR(op.Post(
      "/api/v1/policies",
      {{"message", "demo policies"},
       {"files", json::array({{{"name", "finance-agent.yaml"}, {"content", kFinancePolicy}},
                              {{"name", "planner-agent.yaml"}, {"content", kPlannerPolicy}}})}}));

  // Effective means that the gateway decides by it: ask it about a harmless call until it does.
  AEGIS_TRY(const std::string token, op.Token("finance-agent", json::array()));
  Agent probe(endpoints.gateway + "/tools/stripe-payments", token);
  const auto deadline = std::chrono::steady_clock::now() + std::chrono::seconds(10);
  for (;;) {
    // An Envoy may come up later than we do.
    const Result<Step> step = probe.Call("list_payments", json::object());
    if (step && step->status == 200) return Ok();
    if (std::chrono::steady_clock::now() > deadline)
      return Fail(Code::kUnavailable, "not_effective",
                  endpoints.gateway + " does not apply the demo's policies (last answer: " +
                      (step ? "HTTP " + std::to_string(step->status) + " " + step->detail
                            : step.error().message) +
                      ")");
    std::this_thread::sleep_for(std::chrono::milliseconds(20));
  }
}

Result<std::vector<Step>> Run(const Endpoints& endpoints,
                              const std::function<uint64_t()>& received) {
  Operator op(endpoints);
  const json alice = {{"type", "user"}, {"id", "alice"}};
  const json planner = {{"type", "agent"}, {"id", "planner-agent"}};
  AEGIS_TRY(const std::string finance_token, op.Token("finance-agent", json::array({alice})));
  AEGIS_TRY(const std::string delegated_token,
            op.Token("finance-agent", json::array({alice, planner})));
  AEGIS_TRY(const std::string planner_token, op.Token("planner-agent", json::array({alice})));

  const std::string base_url = endpoints.gateway + "/tools/stripe-payments";
  Agent finance(base_url, finance_token);
  Agent delegated(base_url, delegated_token);
  Agent planning(base_url, planner_token);
  // Nobody registered it, so all it can show is a token of its own making.
  Agent rogue(base_url, "eyJhbGciOiJub25lIn0.eyJzdWIiOiJhZ2VudDpkZWZhdWx0L3JvZ3VlLWFnZW50In0.");

  struct Plan {
    const char* who;
    Agent& agent;
    const char* action;
    json params;
  };
  const Plan plans[] = {
      {"finance-agent", finance, "create_payment", {{"amount", 4200}, {"currency", "usd"}}},
      {"finance-agent", finance, "create_payment", {{"amount", 9000}, {"currency", "usd"}}},
      {"finance-agent", finance, "close_account", {{"account", "acct_42"}}},
      {"rogue-agent (unregistered)",
       rogue,
       "create_payment",
       {{"amount", 10}, {"currency", "usd"}}},
      {"planner-agent -> finance-agent",
       delegated,
       "create_payment",
       {{"amount", 2000}, {"currency", "usd"}}},
      {"planner-agent (shadow)", planning, "create_payment", {{"amount", 50}, {"currency", "usd"}}},
  };
  std::vector<Step> steps;
  for (const Plan& plan : plans) {
    const uint64_t before = received();
    AEGIS_TRY(Step step, plan.agent.Call(plan.action, plan.params));
    step.who = plan.who;
    step.call = Describe(plan.action, plan.params);
    step.reached_tool = received() > before;
    steps.push_back(std::move(step));
  }
  return steps;
}

}  // namespace aegis::demo
