#include "aegis/gateway/problem.h"

#include "aegis/base/json_text.h"
#include "aegis/net/http1_grammar.h"

namespace aegis::gateway {

void AppendProblem(const Problem& problem, std::string& out) {
  out.append("{\"type\":\"urn:aegis:problem:").append(problem.reason);
  out.append("\",\"title\":");
  AppendJsonText(out, net::StatusPhrase(problem.status));
  out.append(",\"status\":").append(std::to_string(problem.status));
  out.append(",\"detail\":");
  AppendJsonText(out, problem.detail);
  out.append(",\"reason\":");
  AppendJsonText(out, problem.reason);
  const auto member = [&](std::string_view name, std::string_view value) {
    if (value.empty()) return;
    out.append(",\"").append(name).append("\":");
    AppendJsonText(out, value);
  };
  member("decision_id", problem.decision_id);
  member("rule", problem.rule);
  member("token_error", problem.token_error);
  out.append("}");
}

}  // namespace aegis::gateway
