// The data door: GET and POST /v1/data/<path>, as OPA serves it (OPA docs "REST API", "Data API").
// The part of Exchange that differs from the SDK door: an input document instead of a call, and
// OPA's forms of answers and errors.
//
// The path of the decision goes the whole way of a call: tool, action, params and session are taken
// from the input, and all else that policy sees is the gateway's own. Other entrypoints of the
// policy are evaluated with the input as sent, but for who asks and when (decision/query.h). What
// is no entrypoint is undefined, as a path without a rule is in OPA.
#include "aegis/base/json_text.h"
#include "aegis/base/text.h"
#include "aegis/gateway/downstream.h"
#include "aegis/gateway/exchange.h"
#include "aegis/gateway/worker.h"
#include "aegis/net/http1_grammar.h"

namespace aegis::gateway {
namespace {

using rego::Value;

constexpr size_t kMaxNameBytes = 256;
constexpr size_t kMaxParameters = 32;

bool IsName(std::string_view text) { return !text.empty() && text.size() <= kMaxNameBytes; }

// As OPA's getBoolParam: present without a value, or "true".
bool IsTrue(std::string_view value) {
  return value.empty() || value == "1" || EqualsIgnoreCase(value, "true") ||
         EqualsIgnoreCase(value, "t");
}

// JSON text with two spaces for each level, as Go's encoder indents it.
std::string Indented(std::string_view json) {
  std::string out;
  size_t depth = 0;
  bool in_string = false;
  const auto new_line = [&] { out.append("\n").append(2 * depth, ' '); };
  for (size_t i = 0; i < json.size(); ++i) {
    const char c = json[i];
    if (in_string) {
      out += c;
      if (c == '\\') {
        out += json[++i];
      } else if (c == '"') {
        in_string = false;
      }
      continue;
    }
    const char next = i + 1 < json.size() ? json[i + 1] : '\0';
    switch (c) {
      case '{':
      case '[':
        out += c;
        if (next == '}' || next == ']') {
          out += next;
          ++i;
        } else {
          ++depth;
          new_line();
        }
        break;
      case '}':
      case ']':
        --depth;
        new_line();
        out += c;
        break;
      case ',':
        out += c;
        new_line();
        break;
      case ':':
        out += ": ";
        break;
      default:
        in_string = c == '"';
        out += c;
    }
  }
  return out;
}

void AppendMember(std::string& out, std::string_view name, std::string_view text) {
  if (out.back() != '{') out.append(",");
  out.append("\"").append(name).append("\":");
  AppendJsonText(out, text);
}

std::string_view OpaCode(int status) {
  if (status == 401 || status == 403) return "unauthorized";
  if (status >= 500) return "internal_error";
  return status == 404 ? "resource_not_found" : "invalid_parameter";
}

// A member of the parsed body or of the input; undefined when there is none.
Value MemberOf(Value object, std::string_view name) {
  return object.is_object() ? object.Get(rego::MakeStringView(name)) : Value();
}

}  // namespace

void Exchange::JudgeDataRequest() {
  Pipeline& pipeline = worker_.pipeline();
  // A call that was refused before it was judged has left its values there.
  pipeline.arena().Reset();
  const net::RequestHead& head = downstream_.head();
  const decision::Snapshot* policy = pipeline.state() ? pipeline.state()->snapshot.get() : nullptr;
  data_.decides = route_.data_path == (policy ? policy->entrypoint() : "aegis/decision");
  data_.pretty = data_.has_input = false;
  data_.input.clear();
  const bool is_get = head.method == "GET";
  const auto bad = [&](std::string_view detail) {
    AnswerProblem(400, "bad_request", detail, true);
  };

  const std::vector<std::string_view> parameters = Split(head.query, '&');
  if (parameters.size() > kMaxParameters) return bad("the query has too many parameters");
  for (const std::string_view parameter : parameters) {
    const size_t equals = parameter.find('=');
    const std::string_view name = parameter.substr(0, equals);
    const std::string_view value =
        equals == std::string_view::npos ? std::string_view() : parameter.substr(equals + 1);
    if (name == "pretty") {
      data_.pretty = IsTrue(value);
    } else if (name == "strict-builtin-errors" && IsTrue(value)) {
      return bad("strict-builtin-errors is not supported");
    } else if (name == "input" && is_get) {
      auto decoded = net::PercentDecode(value, true);
      if (!decoded) return bad("the parameter input is not percent-encoded");
      data_.input = *std::move(decoded);  // the last one counts, as in OPA
      data_.has_input = true;
    }
  }

  Value input;
  std::string_view text = is_get ? std::string_view(data_.input) : body_;
  if (is_get ? data_.has_input : !Trim(text).empty()) {
    json::Limits limits;
    limits.max_bytes = SIZE_MAX;  // the door has limited it
    auto parsed = rego::ParseJsonInPlace(text, pipeline.arena(), limits);
    if (!parsed) {
      const bool large = parsed.error().reason != "json_malformed" &&
                         parsed.error().reason != "json_duplicate_key";
      return bad(large ? "body contains malformed input document: it nests too deep or holds too "
                         "many values"
                       : "body contains malformed input document: it is not one JSON text whose "
                         "names differ");
    }
    if (!is_get && !parsed->is_object()) {
      return bad("body contains malformed input document: it is not an object");
    }
    input = is_get ? *parsed : MemberOf(*parsed, "input");
    data_.has_input = !input.is_undefined();
  }
  if (data_.decides) return JudgeDataDecision(input);

  const bool may_ask = caller_.agent && !caller_.agent->suspended;
  if (may_ask && (!policy || !policy->HasEntrypoint(route_.data_path))) {
    // Nothing was evaluated and nothing is said, so that there is nothing to record.
    text_.assign("{}\n");
    Downstream::Answer answer;
    answer.body = text_;
    return downstream_.Send(answer);
  }
  Pipeline::QueryInput query;
  query.caller = &caller_;
  query.path = route_.data_path;
  query.input = input;
  pending_ = pipeline.Query(query, this, &ticket_, &data_.answer);
  AwaitRecord();
}

void Exchange::JudgeDataDecision(Value input) {
  const auto bad = [&](std::string_view detail) {
    AnswerProblem(400, "bad_request", detail, true);
  };
  const Value tool = MemberOf(input, "tool"), action = MemberOf(input, "action");
  if (!IsName(tool.string_value()) || !IsName(action.string_value())) {
    return bad("the input needs tool and action, strings of 1 to 256 bytes");
  }
  Value params = MemberOf(input, "params");
  if (params.is_undefined() || params.is_null()) params = Value::EmptyObject();
  if (!params.is_object()) return bad("params must be an object");
  Refusal refusal;
  if (!CheckNames(params, worker_.pipeline().arena(), &refusal)) return bad(refusal.detail);
  Value session = MemberOf(input, "session");
  if (session.is_object()) session = MemberOf(session, "id");
  const bool has_session = !session.is_undefined() && !session.is_null();
  if (has_session && (!session.is_string() || session.string_value().size() > kMaxNameBytes)) {
    return bad("session must be a string of at most 256 bytes, or an object with such an id");
  }
  Judge(tool.string_value(), action.string_value(), params, session.string_value());
}

void Exchange::AnswerData() {
  // An identity that may not call at all is refused as at every door.
  if (ticket_.reason == decision::Reason::kTokenInvalid ||
      ticket_.reason == decision::Reason::kAgentSuspended) {
    return AnswerDenied();
  }
  if (!data_.decides && !ticket_.proceeds) {
    return AnswerDataError(500, data_.answer.error, "error(s) occurred while evaluating query",
                           decision_headers_.items(), false);
  }
  std::string& out = text_;
  out.assign("{");
  AppendMember(out, "decision_id", ticket_.id.text());
  if (data_.decides) {
    out.append(",\"result\":{");
    AppendMember(out, "message", ticket_.message);
    AppendMember(out, "outcome",
                 ticket_.proceeds ? "allow" : decision::OutcomeName(ticket_.outcome));
    AppendMember(out, "reason", decision::ReasonName(ticket_.reason));
    if (!ticket_.rule.empty()) AppendMember(out, "rule", ticket_.rule);
    if (ticket_.shadowed) AppendMember(out, "shadow", decision::OutcomeName(ticket_.outcome));
    out.append("}");
  } else if (!data_.answer.result.empty()) {
    out.append(",\"result\":").append(data_.answer.result);
  }
  if (!data_.has_input && downstream_.head().method == "POST") {
    out.append(R"(,"warning":{"code":"api_usage_warning",)"
               R"("message":"'input' key missing from the request"})");
  }
  out.append("}");
  if (data_.pretty) out = Indented(out);
  out.append("\n");
  Downstream::Answer answer;
  answer.headers = decision_headers_.items();
  answer.body = text_;
  downstream_.Send(answer);
}

void Exchange::AnswerDataError(int status, std::string_view reason, std::string_view detail,
                               std::span<const OwnHeader> headers, bool close) {
  text_.assign("{");
  AppendMember(text_, "code", OpaCode(status));
  AppendMember(text_, "message", detail);
  text_.append(",\"errors\":[{");
  AppendMember(text_, "code", reason);
  AppendMember(text_, "message", detail);
  text_.append("}]}\n");
  Downstream::Answer answer;
  answer.status = status;
  answer.headers = headers;
  answer.body = text_;
  answer.close = close;
  NoteAnswer(status, reason);
  downstream_.Send(answer);
}

}  // namespace aegis::gateway
