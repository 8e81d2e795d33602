// HTTP messages held whole in memory: for the control API, the SDK API, admin pages and clients.
// The proxy's streaming path does not use these.
#pragma once

#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace aegis::net {

struct HttpHeaders {
  std::vector<std::pair<std::string, std::string>> fields;  // names as received or as to be sent
  // First value of the header, compared without case; empty when absent.
  std::string_view Get(std::string_view name) const;
  void Set(std::string name, std::string value);
};

struct HttpRequest {
  std::string method = "GET";
  std::string path;   // as sent, without query; starts with '/'
  std::string query;  // as sent, without '?'
  HttpHeaders headers;
  std::string body;
  std::string peer;  // "127.0.0.1:5123"; set by servers

  // Value of a query parameter, percent-decoded; empty when absent.
  std::string QueryParam(std::string_view name) const;
};

struct HttpResponse {
  int status = 200;
  HttpHeaders headers;
  std::string body;
};

}  // namespace aegis::net
