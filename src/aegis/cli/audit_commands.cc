// aegis audit tail|search|show: the decision log, read from the data folder's journal.
#include <CLI/CLI.hpp>
#include <chrono>
#include <cstdio>

#include "aegis/audit/reader.h"
#include "aegis/base/clock.h"
#include "aegis/cli/commands.h"
#include "aegis/cli/context.h"

namespace aegis::cli {

using nlohmann::json;

namespace {

enum class Form { kTable, kJson, kJsonLines };

struct Flags {
  audit::Filter filter;
  std::string since, until, id;
  size_t lines = 20;
  size_t limit = 100;
  bool follow = false;
  bool json_lines = false;
};

Form FormOf(const Context& context, const Flags& flags) {
  if (flags.json_lines) return Form::kJsonLines;
  return context.format() == Format::kJson ? Form::kJson : Form::kTable;
}

// "2026-11-24T15:00:00Z", "2026-11-24", or a span back from now: "90s", "15m", "2h", "7d".
Result<std::optional<int64_t>> ParseTime(const std::string& flag, const std::string& text) {
  if (text.empty()) return std::optional<int64_t>();
  const auto fail = [&] {
    return Fail(Code::kInvalidArgument, "bad_time",
                flag + " " + text + ": write e.g. 15m, 2h, 7d, 2026-11-24 or 2026-11-24T15:00:00Z");
  };
  int year = 0, month = 0, day = 0, hour = 0, minute = 0, second = 0, used = 0;
  if (std::sscanf(text.c_str(), "%4d-%2d-%2d%n", &year, &month, &day, &used) == 3) {
    const std::string rest = text.substr(static_cast<size_t>(used));
    int rest_used = 0;
    if (!rest.empty() &&
        (std::sscanf(rest.c_str(), "T%2d:%2d:%2dZ%n", &hour, &minute, &second, &rest_used) != 3 ||
         static_cast<size_t>(rest_used) != rest.size()))
      return fail();
    using namespace std::chrono;
    const year_month_day date{std::chrono::year(year),
                              std::chrono::month(static_cast<unsigned>(month)),
                              std::chrono::day(static_cast<unsigned>(day))};
    if (!date.ok() || hour > 23 || minute > 59 || second > 60) return fail();
    const sys_seconds time = sys_days(date) + hours(hour) + minutes(minute) + seconds(second);
    return std::optional<int64_t>(time.time_since_epoch().count() * 1'000'000'000);
  }
  char* end = nullptr;
  const long long number = std::strtoll(text.c_str(), &end, 10);
  const std::string unit = end;
  const int64_t seconds = unit == "s"   ? 1
                          : unit == "m" ? 60
                          : unit == "h" ? 3600
                          : unit == "d" ? 86400
                                        : 0;
  if (end == text.c_str() || seconds == 0 || number < 0 || number > 1'000'000) return fail();
  return std::optional<int64_t>(Clock::System().UnixNanos() - number * seconds * 1'000'000'000);
}

Result<std::unique_ptr<audit::Reader>> OpenJournal(const Context& context) {
  Result<std::unique_ptr<audit::Reader>> reader =
      audit::Reader::Open(context.data_folder + "/audit");
  if (!reader && reader.error().code == Code::kNotFound)
    return Fail(Code::kNotFound, "no_journal",
                "there is no decision log in " + context.data_folder +
                    "; name the data folder of `aegis up` with --data");
  return reader;
}

std::string Text(const json& record, const char* key) {
  const auto member = record.find(key);
  if (member == record.end()) return "";
  return member->is_string() ? member->get<std::string>() : member->dump();
}

// One line for a person: when, who, what, verdict, why.
std::vector<std::string> Row(const json& record) {
  const std::string kind = Text(record, "kind");
  const std::string what =
      Text(record, "tool") + (record.contains("action") ? "." + Text(record, "action") : "");
  if (kind == "outcome")
    return {Text(record, "time"),
            Text(record, "agent"),
            what,
            "-> " + (record.contains("error") ? Text(record, "error")
                                              : "HTTP " + Text(record, "status")),
            Text(record, "duration_us") + " us",
            Text(record, "decision_id")};
  if (kind == "operator")
    return {Text(record, "time"), Text(record, "who"),    Text(record, "what"),
            "operator",           Text(record, "target"), Text(record, "id")};
  std::string outcome = Text(record, "outcome");
  if (record.value("enforced", true) == false) outcome += " (shadow)";
  return {Text(record, "time"),
          Text(record, "agent"),
          what,
          outcome,
          Text(record, "reason") + (record.contains("rule") ? " " + Text(record, "rule") : ""),
          Text(record, "id")};
}

class Printer {
 public:
  explicit Printer(Form form) : form_(form) {}

  void Add(const std::string& record_json) {
    if (form_ == Form::kJsonLines) {
      std::printf("%s\n", record_json.c_str());
      return;
    }
    json record = json::parse(record_json, nullptr, false);
    if (form_ == Form::kJson) {
      list_.push_back(std::move(record));
    } else {
      Paint(record);
    }
  }
  void Finish() {
    if (form_ == Form::kJson) PrintJson(list_);
    if (form_ == Form::kTable) table_.Print();
  }
  // While following, each record is printed when it comes.
  void PrintNow(const std::string& record_json) {
    if (form_ != Form::kTable) {
      std::printf("%s\n", record_json.c_str());
    } else {
      const std::vector<std::string> row = Row(json::parse(record_json, nullptr, false));
      std::string line;
      for (const std::string& cell : row) line += (line.empty() ? "" : "  ") + Printable(cell);
      std::printf("%s\n", line.c_str());
    }
    std::fflush(stdout);
  }

 private:
  void Paint(const json& record) {
    table_.Add(Row(record));
    const std::string outcome = Text(record, "outcome");
    if (outcome == "allow") table_.PaintLast(3, Color::kGreen);
    if (outcome == "deny")
      table_.PaintLast(3, record.value("enforced", true) ? Color::kRed : Color::kYellow);
  }

  Form form_;
  json list_ = json::array();
  Table table_{{"TIME", "WHO", "CALL", "OUTCOME", "WHY", "ID"}};
};

void AddFilterFlags(CLI::App& command, Flags& flags) {
  command.add_option("--kind", flags.filter.kind, "decision or outcome")
      ->check(CLI::IsMember({"decision", "outcome"}));
  command.add_option("--agent", flags.filter.agent, "The acting agent");
  command.add_option("--tool", flags.filter.tool, "The tool");
  command.add_option("--action", flags.filter.action, "The action");
  command.add_option("--outcome", flags.filter.outcome, "allow, deny, ...");
  command.add_option("--reason", flags.filter.reason, "e.g. condition_failed");
  command.add_option("--session", flags.filter.session, "The session");
  command.add_option("--trace", flags.filter.trace_id, "W3C trace id");
  command.add_option("--since", flags.since, "15m, 2h, 7d, 2026-11-24 or 2026-11-24T15:00:00Z");
  command.add_option("--until", flags.until, "The same");
  command.add_flag("--jsonl", flags.json_lines, "One record a line, as it stands in the log");
}

Result<audit::Matcher> MakeMatcher(Flags& flags) {
  AEGIS_TRY(flags.filter.since_unix_ns, ParseTime("--since", flags.since));
  AEGIS_TRY(flags.filter.until_unix_ns, ParseTime("--until", flags.until));
  return audit::Matcher(flags.filter);
}

Result<int> Tail(Context& context, Flags& flags) {
  AEGIS_TRY(const audit::Matcher matcher, MakeMatcher(flags));
  AEGIS_TRY(const std::unique_ptr<audit::Reader> reader, OpenJournal(context));
  AEGIS_TRY(const std::vector<audit::Entry> last, reader->Last(flags.lines, matcher));
  Printer printer(FormOf(context, flags));
  for (const audit::Entry& entry : last) {
    if (flags.follow) {
      printer.PrintNow(entry.json);
    } else {
      printer.Add(entry.json);
    }
  }
  if (!flags.follow) {
    printer.Finish();
    return kExitOk;
  }
  for (audit::Entry entry;;) {
    AEGIS_TRY(const bool got, reader->Next(entry));
    if (!got) {
      if (std::ferror(stdout)) return kExitOk;  // the reader of our output is gone
      reader->WaitForChange(1000);
    } else if (matcher.Matches(entry.json)) {
      printer.PrintNow(entry.json);
    }
  }
}

Result<int> Search(Context& context, Flags& flags) {
  AEGIS_TRY(const audit::Matcher matcher, MakeMatcher(flags));
  AEGIS_TRY(const std::unique_ptr<audit::Reader> reader, OpenJournal(context));
  Printer printer(FormOf(context, flags));
  if (flags.limit > 0) {
    AEGIS_TRY(const std::vector<audit::Entry> found, reader->Last(flags.limit, matcher));
    for (const audit::Entry& entry : found) printer.Add(entry.json);
    printer.Finish();
    return found.empty() ? kExitFailed : kExitOk;
  }
  size_t count = 0;
  for (audit::Entry entry;;) {
    AEGIS_TRY(const bool got, reader->Next(entry));
    if (!got) break;
    if (!matcher.Matches(entry.json)) continue;
    printer.Add(entry.json);
    ++count;
  }
  printer.Finish();
  return count == 0 ? kExitFailed : kExitOk;
}

Result<int> Show(Context& context, Flags& flags) {
  AEGIS_TRY(const std::unique_ptr<audit::Reader> reader, OpenJournal(context));
  AEGIS_TRY(const std::optional<audit::Entry> entry, reader->Find(flags.id));
  if (!entry)
    return Fail(Code::kNotFound, "record_not_found",
                "there is no record " + flags.id + " in this log");
  const json record = json::parse(entry->json, nullptr, false);
  const std::string kind = Text(record, "kind");
  json shown = {{kind, record}, {"file", entry->file}, {"offset", entry->offset}};
  if (kind == "decision") {
    audit::Filter filter;
    filter.kind = "outcome";
    filter.decision_id = flags.id;
    AEGIS_RETURN_IF_ERROR(reader->SeekToEnd());
    AEGIS_TRY(const std::vector<audit::Entry> outcomes, reader->Last(1, audit::Matcher(filter)));
    if (!outcomes.empty()) shown["outcome"] = json::parse(outcomes[0].json, nullptr, false);
  }
  if (context.format() == Format::kJson) {
    PrintJson(shown);
    return kExitOk;
  }
  Table table({"FIELD", "VALUE"});
  for (const auto& [key, value] : record.items())
    table.Add({key, value.is_string() ? value.get<std::string>() : value.dump()});
  if (shown.contains("outcome") && kind == "decision")
    for (const char* key : {"time", "status", "error", "duration_us", "response_bytes"})
      if (shown["outcome"].contains(key))
        table.Add({std::string("outcome.") + key, Text(shown["outcome"], key)});
  table.Add({"file", entry->file + " at " + std::to_string(entry->offset)});
  table.Print();
  return kExitOk;
}

}  // namespace

void AddAuditCommands(CLI::App& root, Context& context) {
  CLI::App* audit = root.add_subcommand("audit", "Read the decision log of the data folder");
  audit->require_subcommand(1);

  auto tail_flags = std::make_shared<Flags>();
  CLI::App* tail = audit->add_subcommand("tail", "The newest records; -f follows");
  tail->add_option("-n,--lines", tail_flags->lines, "How many")
      ->capture_default_str()
      ->check(CLI::Range(0, 100000));
  tail->add_flag("-f,--follow", tail_flags->follow, "Print each new record as it becomes durable");
  AddFilterFlags(*tail, *tail_flags);
  context.SetAction(tail, [&context, tail_flags] { return Tail(context, *tail_flags); });

  auto search_flags = std::make_shared<Flags>();
  CLI::App* search = audit->add_subcommand(
      "search", "Records by agent, tool, outcome, reason, time; exit 1: none");
  search->add_option("--limit", search_flags->limit, "The newest so many, 0: all")
      ->capture_default_str();
  AddFilterFlags(*search, *search_flags);
  context.SetAction(search, [&context, search_flags] { return Search(context, *search_flags); });

  auto show_flags = std::make_shared<Flags>();
  CLI::App* show = audit->add_subcommand("show", "One record and what became of the call");
  show->add_option("ID", show_flags->id, "The decision's id (X-Aegis-Decision-Id)")->required();
  context.SetAction(show, [&context, show_flags] { return Show(context, *show_flags); });
}

}  // namespace aegis::cli
