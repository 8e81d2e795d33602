// What `aegis doctor` found: one row a check.
#pragma once

#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "aegis/cli/output.h"

namespace aegis::cli {

enum class Verdict { kOk, kWarn, kFail };

class DoctorReport {
 public:
  // `detail` says what was found and, unless it is ok, what to do.
  void Add(Verdict verdict, std::string check, std::string detail);
  // A table, or {"ok", "checks": [{"check", "result", "detail"}]}.
  void Print(Format format) const;
  bool failed() const { return failed_; }

 private:
  nlohmann::json rows_ = nlohmann::json::array();
  std::vector<Verdict> verdicts_;
  bool failed_ = false;
};

}  // namespace aegis::cli
