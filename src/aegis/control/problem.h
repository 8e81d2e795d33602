// Answers of the control API: JSON, and problem documents (RFC 9457) for what went wrong.
//
// Threading: free functions on values.
#pragma once

#include <nlohmann/json_fwd.hpp>
#include <string>
#include <string_view>
#include <vector>

#include "aegis/base/result.h"
#include "aegis/net/http_message.h"

namespace aegis::control {

// What is wrong with one member of a request body.
struct FieldError {
  std::string pointer;  // JSON Pointer (RFC 6901), e.g. "/chain/0/id"; empty: the body
  std::string detail;
};

// {"type":"urn:aegis:problem:<reason>","title","status","detail","reason"} and `errors` if any.
net::HttpResponse ProblemAnswer(int status, std::string_view reason, std::string_view detail,
                                const std::vector<FieldError>& errors = {});
// The same with more members.
net::HttpResponse ProblemAnswer(int status, std::string_view reason, std::string_view detail,
                                nlohmann::json members);
// The HTTP status belongs to the error's code; a revision_mismatch is 412.
net::HttpResponse ProblemAnswer(const Error& error);

net::HttpResponse JsonAnswer(int status, const nlohmann::json& body);

// JSON text; bytes that are not UTF-8 become U+FFFD.
std::string DumpJson(const nlohmann::json& value);

}  // namespace aegis::control
