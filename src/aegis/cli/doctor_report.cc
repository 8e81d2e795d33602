#include "aegis/cli/doctor_report.h"

#include <utility>

namespace aegis::cli {
namespace {

const char* Name(Verdict verdict) {
  return verdict == Verdict::kOk ? "ok" : verdict == Verdict::kWarn ? "warn" : "FAIL";
}

}  // namespace

void DoctorReport::Add(Verdict verdict, std::string check, std::string detail) {
  rows_.push_back(
      {{"check", std::move(check)}, {"result", Name(verdict)}, {"detail", std::move(detail)}});
  verdicts_.push_back(verdict);
  if (verdict == Verdict::kFail) failed_ = true;
}

void DoctorReport::Print(Format format) const {
  if (format == Format::kJson) {
    PrintJson({{"ok", !failed_}, {"checks", rows_}});
    return;
  }
  Table table({"CHECK", "RESULT", "DETAIL"});
  for (size_t i = 0; i < verdicts_.size(); ++i) {
    table.Add({rows_[i]["check"], rows_[i]["result"], rows_[i]["detail"]});
    table.PaintLast(1, verdicts_[i] == Verdict::kOk     ? Color::kGreen
                       : verdicts_[i] == Verdict::kWarn ? Color::kYellow
                                                        : Color::kRed);
  }
  table.Print();
}

}  // namespace aegis::cli
