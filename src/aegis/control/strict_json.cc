#include "aegis/control/strict_json.h"

#include <algorithm>
#include <unordered_set>

#include "aegis/base/json_text.h"
#include "aegis/base/text.h"

namespace aegis::control {
namespace {

using nlohmann::json;

constexpr size_t kMaxErrors = 100;

}  // namespace

Result<json> ParseObject(std::string_view text) {
  std::vector<std::unordered_set<std::string>> open;  // keys of each open object, outermost first
  bool duplicate = false, too_deep = false;
  const json::parser_callback_t check = [&](int depth, json::parse_event_t event, json& parsed) {
    switch (event) {
      case json::parse_event_t::object_start:
        open.emplace_back();
        [[fallthrough]];
      case json::parse_event_t::array_start:
        if (depth >= static_cast<int>(kMaxJsonDepth)) too_deep = true;
        break;
      case json::parse_event_t::key:
        if (!open.back().insert(parsed.get_ref<const std::string&>()).second) duplicate = true;
        break;
      case json::parse_event_t::object_end:
        open.pop_back();
        break;
      default:
        break;
    }
    // Nothing is kept of what will be refused anyway.
    return !duplicate && !too_deep;
  };
  json body = json::parse(text, check, /*allow_exceptions=*/false);
  if (duplicate) {
    return Fail(Code::kInvalidArgument, "json_duplicate_key",
                "the body has an object with the same key twice; write each key once");
  }
  if (too_deep) {
    return Fail(Code::kInvalidArgument, "json_too_deep",
                "the body has objects and lists nested more than " + std::to_string(kMaxJsonDepth) +
                    " deep");
  }
  if (!body.is_object()) {
    return Fail(Code::kInvalidArgument, "json_malformed",
                "the body is not a JSON object in UTF-8 (RFC 8259)");
  }
  return body;
}

ObjectReader::ObjectReader(const json& object, std::string pointer, std::vector<FieldError>& errors)
    : object_(object), pointer_(std::move(pointer)), errors_(errors) {}

std::string ObjectReader::PointerTo(std::string_view name) const {
  return pointer_ + "/" + EscapeJsonPointer(name);
}

void ObjectReader::AddError(std::string_view name, std::string detail) {
  if (errors_.size() < kMaxErrors) errors_.push_back({PointerTo(name), std::move(detail)});
}

const json* ObjectReader::Take(std::string_view name) {
  asked_.emplace_back(name);
  const auto found = object_.find(asked_.back());
  return found == object_.end() ? nullptr : &*found;
}

std::optional<std::string> ObjectReader::Text(std::string_view name) {
  const json* value = Take(name);
  if (!value) {
    AddError(name, "is required");
    return {};
  }
  if (!value->is_string()) {
    AddError(name, "must be a string");
    return {};
  }
  return value->get<std::string>();
}

std::optional<std::string> ObjectReader::OptionalText(std::string_view name) {
  if (object_.find(std::string(name)) == object_.end()) {
    Take(name);
    return {};
  }
  return Text(name);
}

std::optional<int64_t> ObjectReader::OptionalInt(std::string_view name, int64_t min, int64_t max) {
  const json* value = Take(name);
  if (!value) return {};
  const bool fits = value->is_number_unsigned()
                        ? value->get<uint64_t>() <= static_cast<uint64_t>(INT64_MAX)
                        : value->is_number_integer();
  if (fits) {
    const int64_t number = value->get<int64_t>();
    if (number >= min && number <= max) return number;
  }
  AddError(name, "must be an integer from " + std::to_string(min) + " to " + std::to_string(max));
  return {};
}

std::optional<bool> ObjectReader::OptionalBool(std::string_view name) {
  const json* value = Take(name);
  if (!value) return {};
  if (!value->is_boolean()) {
    AddError(name, "must be true or false");
    return {};
  }
  return value->get<bool>();
}

const json* ObjectReader::OptionalArray(std::string_view name, size_t max_items) {
  const json* value = Take(name);
  if (!value) return nullptr;
  if (!value->is_array() || value->size() > max_items) {
    AddError(name, "must be a list of at most " + std::to_string(max_items) + " items");
    return nullptr;
  }
  return value;
}

const json* ObjectReader::OptionalObject(std::string_view name, size_t max_members) {
  const json* value = Take(name);
  if (!value) return nullptr;
  if (!value->is_object() || value->size() > max_members) {
    AddError(name, "must be an object of at most " + std::to_string(max_members) + " members");
    return nullptr;
  }
  return value;
}

void ObjectReader::Finish() {
  std::vector<std::string_view> known(asked_.begin(), asked_.end());
  for (const auto& [name, value] : object_.items()) {
    if (std::find(asked_.begin(), asked_.end(), name) != asked_.end()) continue;
    std::string detail = "is not a known member";
    if (const auto nearest = NearestSpelling(name, known)) {
      detail += "; did you mean '" + std::string(*nearest) + "'?";
    }
    // A name from the outside may be of any size.
    AddError(name.size() > 128 ? std::string_view(name).substr(0, 64) : std::string_view(name),
             std::move(detail));
  }
}

}  // namespace aegis::control
