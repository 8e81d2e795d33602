// The demo's tool: a small payments API with real HTTP behaviour and a memory of what reached it.
//
//   POST /create_payment  {"amount": 4200, "currency": "usd", "destination": "acct_..."}  -> 201
//   POST /refund_payment  {"payment_id": "pay_1", "amount": 10}                            -> 201
//   POST /list_payments   {}                                                               -> 200
//   POST /close_account   {"account": "acct_..."}                                          -> 200
//
// It trusts whoever reaches it, as internal APIs do: everything that keeps it safe is in front of
// it. Thread-safe.
#pragma once

#include <cstdint>
#include <memory>
#include <string>

#include "aegis/base/result.h"

namespace aegis::demo {

class PaymentsApi {
 public:
  // `address`: host:port. Errors: those of net::HttpServer::Start.
  static Result<std::unique_ptr<PaymentsApi>> Start(const std::string& address);
  ~PaymentsApi();

  std::string url() const;
  // Requests received since the start, of any kind.
  uint64_t received() const;

 private:
  struct Impl;
  explicit PaymentsApi(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

}  // namespace aegis::demo
