#include "aegis/control/problem.h"

#include <nlohmann/json.hpp>

namespace aegis::control {
namespace {

using nlohmann::json;

std::string_view Title(int status) {
  switch (status) {
    case 400:
      return "Bad request";
    case 401:
      return "Not authenticated";
    case 403:
      return "Not permitted";
    case 404:
      return "Not found";
    case 405:
      return "Method not allowed";
    case 409:
      return "Conflict";
    case 412:
      return "Precondition failed";
    case 413:
      return "Too large";
    case 415:
      return "Unsupported media type";
    case 422:
      return "Not valid";
    case 429:
      return "Too many requests";
    case 503:
      return "Not available";
    default:
      return "Internal error";
  }
}

int StatusOf(const Error& error) {
  if (error.reason == "revision_mismatch") return 412;
  switch (error.code) {
    case Code::kInvalidArgument:
    case Code::kOutOfRange:
      return 400;
    case Code::kUnauthenticated:
      return 401;
    case Code::kPermissionDenied:
      return 403;
    case Code::kNotFound:
      return 404;
    case Code::kAlreadyExists:
    case Code::kAborted:
    case Code::kFailedPrecondition:
      return 409;
    case Code::kUnavailable:
    case Code::kResourceExhausted:
    case Code::kDeadlineExceeded:
      return 503;
    default:
      return 500;
  }
}

}  // namespace

std::string DumpJson(const json& value) {
  return value.dump(-1, ' ', false, json::error_handler_t::replace);
}

net::HttpResponse JsonAnswer(int status, const json& body) {
  net::HttpResponse response;
  response.status = status;
  response.headers.Set("Content-Type", "application/json");
  response.body = DumpJson(body);
  return response;
}

net::HttpResponse ProblemAnswer(int status, std::string_view reason, std::string_view detail,
                                json members) {
  if (!members.is_object()) members = json::object();
  members["type"] = "urn:aegis:problem:" + std::string(reason);
  members["title"] = std::string(Title(status));
  members["status"] = status;
  members["detail"] = std::string(detail);
  members["reason"] = std::string(reason);
  net::HttpResponse response = JsonAnswer(status, members);
  response.headers.Set("Content-Type", "application/problem+json");
  if (status == 401) response.headers.Set("WWW-Authenticate", "Bearer realm=\"aegis-control\"");
  if (status == 503) response.headers.Set("Retry-After", "1");
  return response;
}

net::HttpResponse ProblemAnswer(int status, std::string_view reason, std::string_view detail,
                                const std::vector<FieldError>& errors) {
  json members = json::object();
  for (const FieldError& error : errors) {
    members["errors"].push_back({{"pointer", error.pointer}, {"detail", error.detail}});
  }
  return ProblemAnswer(status, reason, detail, std::move(members));
}

net::HttpResponse ProblemAnswer(const Error& error) {
  return ProblemAnswer(StatusOf(error), error.reason, error.message, json::object());
}

}  // namespace aegis::control
