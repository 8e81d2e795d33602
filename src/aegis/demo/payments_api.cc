#include "aegis/demo/payments_api.h"

#include <atomic>
#include <mutex>
#include <nlohmann/json.hpp>
#include <vector>

#include "aegis/net/http_server.h"

namespace aegis::demo {

using nlohmann::json;

struct PaymentsApi::Impl {
  std::atomic<uint64_t> received{0};
  std::mutex mutex;
  json payments = json::array();  // guarded by mutex
  std::unique_ptr<net::HttpServer> server;

  net::HttpResponse Handle(const net::HttpRequest& request);
};

namespace {

net::HttpResponse Answer(int status, const json& body) {
  net::HttpResponse response;
  response.status = status;
  response.headers.Set("Content-Type", "application/json");
  response.body = body.dump() + "\n";
  return response;
}

net::HttpResponse Mistake(int status, const std::string& message) {
  return Answer(status, {{"error", message}});
}

}  // namespace

net::HttpResponse PaymentsApi::Impl::Handle(const net::HttpRequest& request) {
  received.fetch_add(1);
  if (request.method != "POST") return Mistake(405, "use POST");
  const json body =
      request.body.empty() ? json::object() : json::parse(request.body, nullptr, false);
  if (!body.is_object()) return Mistake(400, "the body must be a JSON object");

  const std::lock_guard lock(mutex);
  if (request.path == "/create_payment") {
    if (!body.contains("amount") || !body["amount"].is_number())
      return Mistake(422, "amount: a number is needed");
    if (payments.size() >= 10'000) return Mistake(507, "the demo keeps 10000 payments");
    json payment = {{"id", "pay_" + std::to_string(payments.size() + 1)},
                    {"amount", body["amount"]},
                    {"currency", body.value("currency", json("usd"))},
                    {"destination", body.value("destination", json(nullptr))},
                    {"status", "succeeded"}};
    payments.push_back(payment);
    return Answer(201, payment);
  }
  if (request.path == "/refund_payment") {
    for (json& payment : payments) {
      if (payment["id"] != body.value("payment_id", json(""))) continue;
      payment["status"] = "refunded";
      return Answer(201, payment);
    }
    return Mistake(404, "no such payment");
  }
  if (request.path == "/list_payments") return Answer(200, {{"payments", payments}});
  if (request.path == "/close_account")
    return Answer(200, {{"account", body.value("account", json(nullptr))}, {"status", "closed"}});
  return Mistake(404, "no such operation");
}

PaymentsApi::PaymentsApi(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
PaymentsApi::~PaymentsApi() = default;

Result<std::unique_ptr<PaymentsApi>> PaymentsApi::Start(const std::string& address) {
  auto impl = std::make_unique<Impl>();
  net::HttpServer::Options options;
  options.address = address;
  Impl* raw = impl.get();
  AEGIS_TRY(impl->server, net::HttpServer::Start(
                              options, [raw](net::HttpRequest request, net::Responder respond) {
                                respond(raw->Handle(request));
                              }));
  return std::unique_ptr<PaymentsApi>(new PaymentsApi(std::move(impl)));
}

std::string PaymentsApi::url() const { return "http://" + impl_->server->address(); }
uint64_t PaymentsApi::received() const { return impl_->received.load(); }

}  // namespace aegis::demo
