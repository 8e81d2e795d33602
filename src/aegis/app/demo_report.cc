#include "aegis/app/demo_report.h"

#include <cstdio>
#include <nlohmann/json.hpp>

namespace aegis::app {

using nlohmann::json;

void PrintDemo(std::span<const demo::Step> steps, cli::Format format) {
  if (format == cli::Format::kJson) {
    json rows = json::array();
    for (const demo::Step& step : steps)
      rows.push_back({{"who", step.who},
                      {"call", step.call},
                      {"status", step.status},
                      {"outcome", step.outcome},
                      {"reason", step.reason},
                      {"detail", step.detail},
                      {"decision_id", step.decision_id},
                      {"shadow", step.shadow},
                      {"reached_tool", step.reached_tool}});
    cli::PrintJson({{"steps", rows}});
    std::fflush(stdout);
    return;
  }
  cli::Table table({"WHO", "CALLS stripe-payments", "HTTP", "AEGIS SAYS", "WHY", "TOOL SAW IT"});
  for (const demo::Step& step : steps) {
    const bool passed = step.status / 100 == 2;
    std::string verdict = passed ? "allow" : step.status == 401 ? "who are you?" : "deny";
    std::string why = passed ? "" : step.detail;
    if (!step.shadow.empty()) {
      verdict = "allow (shadow)";
      why = "would be: " + step.shadow;
    }
    table.Add({step.who, step.call, std::to_string(step.status), verdict, why,
               step.reached_tool ? "yes" : "no"});
    table.PaintLast(3, !step.shadow.empty() ? cli::Color::kYellow
                       : passed             ? cli::Color::kGreen
                                            : cli::Color::kRed);
  }
  std::printf("\n");
  table.Print();
  std::fflush(stdout);
}

}  // namespace aegis::app
