// Unknown callers and blocks of the control API: what gateways report, and what operators do of it.
#include <algorithm>

#include "aegis/control/api_support.h"
#include "aegis/control/validation.h"
#include "aegis/net/tcp.h"

namespace aegis::control {

using nlohmann::json;

namespace {

constexpr size_t kMaxReported = 500;
constexpr size_t kMaxSourceBytes = 64;
constexpr size_t kMaxReasonBytes = 32;
constexpr int64_t kMaxMillis = 253402300799999;  // 9999-12-31

json CallerToJson(const store::UnknownCaller& caller) {
  return {{"source", caller.source},
          {"name", caller.name},
          {"target", caller.target},
          {"reason", caller.reason},
          {"count", caller.count},
          {"first_seen", FormatRfc3339Millis(caller.first_seen)},
          {"last_seen", FormatRfc3339Millis(caller.last_seen)}};
}

json BlockToJson(const store::Block& block) {
  return {{std::string(store::BlockKindName(block.kind)), block.value},
          {"created_at", FormatRfc3339Millis(block.created_at)}};
}

// A gateway has made these printable and short; that it did is checked, not believed.
std::string ReadShown(ObjectReader& reader, std::string_view name, size_t max_bytes) {
  const auto text = reader.Text(name);
  if (!text) return {};
  bool good = !text->empty() && text->size() <= max_bytes;
  for (const char c : *text) good = good && c >= 0x20 && c <= 0x7e;
  if (!good) {
    reader.AddError(name,
                    "must be 1 to " + std::to_string(max_bytes) + " printable ASCII characters");
  }
  return *text;
}

store::UnknownCaller ReadCaller(const json& item, const std::string& pointer, int64_t now,
                                std::vector<FieldError>& errors) {
  ObjectReader reader(item, pointer, errors);
  store::UnknownCaller caller;
  caller.source = ReadShown(reader, "source", kMaxSourceBytes);
  caller.name = ReadShown(reader, "name", kMaxNameBytes);
  caller.target = ReadShown(reader, "target", kMaxNameBytes);
  caller.reason = ReadShown(reader, "reason", kMaxReasonBytes);
  const auto count = reader.OptionalInt("count", 1, INT64_MAX);
  const auto first = reader.OptionalInt("first_seen_ms", 0, kMaxMillis);
  const auto last = reader.OptionalInt("last_seen_ms", 0, kMaxMillis);
  reader.Finish();
  if (!count || !first || !last) {
    errors.push_back({pointer, "must have 'count', 'first_seen_ms' and 'last_seen_ms'"});
    return caller;
  }
  caller.count = *count;
  // The clock of a gateway may be ahead; what it saw has been seen by now.
  const int64_t last_ms = std::min(*last, now / 1'000'000);
  caller.last_seen = last_ms * 1'000'000;
  caller.first_seen = std::min(*first, last_ms) * 1'000'000;
  return caller;
}

struct BlockRequest {
  store::BlockKind kind = store::BlockKind::kName;
  std::string value;
};

BlockRequest ReadBlock(const json& body, std::vector<FieldError>& errors) {
  ObjectReader reader(body, "", errors);
  const auto source = reader.OptionalText("source");
  const auto name = reader.OptionalText("name");
  reader.Finish();
  BlockRequest block;
  if (source) {
    block = {store::BlockKind::kSource, net::CanonicalIp(*source)};
    if (block.value.empty()) {
      reader.AddError("source", "must be an IPv4 or IPv6 address without a port");
    }
  }
  if (name) {
    block = {store::BlockKind::kName, *name};
    if (std::string problem = CheckCallerName(*name); !problem.empty()) {
      reader.AddError("name", problem);
    }
  }
  if (errors.empty() && source.has_value() == name.has_value()) {
    errors.push_back({"", "must have one of 'source' and 'name'"});
  }
  return block;
}

}  // namespace

net::HttpResponse Api::ListUnknownAgents(const ApiCall& call) {
  const auto request = ReadPageRequest(call.request);
  if (!request) return ProblemAnswer(request.error());
  const auto page = parts_.repository.ListUnknownCallers(call.caller.tenant, *request);
  if (!page) return ProblemAnswer(page.error());
  json items = json::array();
  for (const store::UnknownCaller& caller : page->items) items.push_back(CallerToJson(caller));
  return PageAnswer(std::move(items), page->more,
                    page->items.empty() ? "" : store::UnknownCallerKey(page->items.back()));
}

net::HttpResponse Api::ReportUnknownAgents(const ApiCall& call) {
  const auto body = ParseObject(call.request.body);
  if (!body) return ProblemAnswer(body.error());
  std::vector<FieldError> errors;
  ObjectReader reader(*body, "", errors);
  const json* seen = reader.OptionalArray("seen", kMaxReported);
  reader.Finish();
  if (!seen && errors.empty()) reader.AddError("seen", "is required");
  std::vector<store::UnknownCaller> callers;
  if (seen) {
    const int64_t now = parts_.clock.UnixNanos();
    for (size_t i = 0; i < seen->size(); ++i) {
      const std::string pointer = "/seen/" + std::to_string(i);
      if (!(*seen)[i].is_object()) {
        errors.push_back({pointer, "must be an object"});
        continue;
      }
      callers.push_back(ReadCaller((*seen)[i], pointer, now, errors));
    }
  }
  if (!errors.empty()) return InvalidBody(errors);
  const auto recorded = parts_.repository.RecordUnknownCallers(call.caller.tenant, callers);
  if (!recorded) return ProblemAnswer(recorded.error());
  return JsonAnswer(200, {{"recorded", callers.size()}});
}

net::HttpResponse Api::ListBlocks(const ApiCall& call) {
  const auto request = ReadPageRequest(call.request);
  if (!request) return ProblemAnswer(request.error());
  const auto page = parts_.repository.ListBlocks(call.caller.tenant, *request);
  if (!page) return ProblemAnswer(page.error());
  json items = json::array();
  for (const store::Block& block : page->items) items.push_back(BlockToJson(block));
  return PageAnswer(std::move(items), page->more,
                    page->items.empty() ? "" : store::BlockKey(page->items.back()));
}

net::HttpResponse Api::AddBlock(const ApiCall& call) {
  const auto body = ParseObject(call.request.body);
  if (!body) return ProblemAnswer(body.error());
  std::vector<FieldError> errors;
  const BlockRequest request = ReadBlock(*body, errors);
  if (!errors.empty()) return InvalidBody(errors);
  const auto block =
      parts_.repository.AddBlock(call.caller.tenant, request.kind, request.value, OperatorOf(call));
  if (!block) return ProblemAnswer(block.error());
  return AfterSettingsChange(call, JsonAnswer(200, BlockToJson(*block)));
}

net::HttpResponse Api::RemoveBlock(const ApiCall& call) {
  const auto body = ParseObject(call.request.body);
  if (!body) return ProblemAnswer(body.error());
  std::vector<FieldError> errors;
  const BlockRequest request = ReadBlock(*body, errors);
  if (!errors.empty()) return InvalidBody(errors);
  const auto removed = parts_.repository.RemoveBlock(call.caller.tenant, request.kind,
                                                     request.value, OperatorOf(call));
  if (!removed) return ProblemAnswer(removed.error());
  return AfterSettingsChange(
      call, JsonAnswer(200, {{std::string(store::BlockKindName(request.kind)), request.value}}));
}

}  // namespace aegis::control
