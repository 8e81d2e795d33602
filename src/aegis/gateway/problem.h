// Problem documents (RFC 9457), as every door and the admin port answer them.
#pragma once

#include <string>
#include <string_view>

namespace aegis::gateway {

// Members that not every problem has are empty then.
struct Problem {
  int status = 400;
  std::string_view reason;  // stable id; becomes type "urn:aegis:problem:<reason>"
  std::string_view detail;  // for a person
  std::string_view decision_id;
  std::string_view rule;         // of the policy
  std::string_view token_error;  // 401: what is wrong with the token
};

// Appends the document's JSON.
void AppendProblem(const Problem& problem, std::string& out);

}  // namespace aegis::gateway
