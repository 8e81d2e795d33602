#include "aegis/gateway/envoy/json_redactor.h"

#include "aegis/base/text.h"
#include "aegis/json/writer.h"

namespace aegis::gateway {
namespace {

constexpr std::string_view kRedacted = "\"[redacted]\"";

std::vector<std::string> Split(std::string_view name) {
  std::vector<std::string> out;
  while (true) {
    const size_t dot = name.find('.');
    out.emplace_back(name.substr(0, dot));
    if (dot == std::string_view::npos) return out;
    name.remove_prefix(dot + 1);
  }
}

}  // namespace

// Writes the text anew while it is parsed.
class JsonRedactor::Rewriter {
 public:
  Rewriter(const std::vector<Path>& names, std::string* out) : names_(names), out_(*out) {}
  bool changed() const { return changed_; }

  bool OnNull() { return Scalar("null"); }
  bool OnBool(bool value) { return Scalar(value ? "true" : "false"); }
  bool OnNumber(std::string_view text) { return Scalar(text); }
  bool OnString(std::string_view text, bool) {
    if (skipping_ == 0) BeforeValue();
    if (skipping_ == 0) json::AppendString(out_, text);
    AfterValue();
    return true;
  }
  bool OnKey(std::string_view name, bool) {
    if (skipping_ > 0) return true;
    Open& object = open_.back();
    if (object.count++ > 0) out_ += ',';
    json::AppendString(out_, name);
    out_ += ':';
    object.key.assign(name);
    if (!Named()) return true;
    out_ += kRedacted;
    changed_ = true;
    skipping_ = 1;
    return true;
  }
  bool OnStartObject() { return Start(true); }
  bool OnEndObject(size_t) { return Finish('}'); }
  bool OnStartArray() { return Start(false); }
  bool OnEndArray(size_t) { return Finish(']'); }
  Error error() const { return {Code::kInternal, "unused", {}}; }

 private:
  struct Open {
    bool is_object = false;
    size_t count = 0;
    std::string key;  // of the member being read
  };

  bool Scalar(std::string_view text) {
    if (skipping_ == 0) BeforeValue();
    if (skipping_ == 0) out_ += text;
    AfterValue();
    return true;
  }
  void BeforeValue() {
    if (!open_.empty() && !open_.back().is_object && open_.back().count++ > 0) out_ += ',';
  }
  // skipping_ counts the values that are open: 1 for the redacted one.
  void AfterValue() {
    if (skipping_ == 1) skipping_ = 0;
  }
  bool Start(bool is_object) {
    if (skipping_ > 0) {
      ++skipping_;
      return true;
    }
    BeforeValue();
    out_ += is_object ? '{' : '[';
    open_.push_back({is_object, 0, {}});
    return true;
  }
  bool Finish(char end) {
    if (skipping_ > 0) {
      --skipping_;
      AfterValue();
      return true;
    }
    out_ += end;
    open_.pop_back();
    return true;
  }
  // Whether the names down to the member being read end with one of names_.
  bool Named() const {
    for (const Path& path : names_) {
      size_t left = path.size();
      for (size_t i = open_.size(); i-- > 0 && left > 0;) {
        if (!open_[i].is_object) continue;
        if (!EqualsIgnoreCase(open_[i].key, path[left - 1])) break;
        --left;
      }
      if (left == 0) return true;
    }
    return false;
  }

  const std::vector<Path>& names_;
  std::string& out_;
  std::vector<Open> open_;
  size_t skipping_ = 0;
  bool changed_ = false;
};

JsonRedactor::JsonRedactor(const Redaction& redaction, size_t max_bytes) {
  for (const std::string& name : redaction.request) request_.push_back(Split(name));
  for (const std::string& name : redaction.response) response_.push_back(Split(name));
  limits_.max_bytes = max_bytes;
}

ContentFilter::Verdict JsonRedactor::Inspect(Direction direction, std::string_view json,
                                             std::string* out) {
  Rewriter rewriter(names(direction), out);
  if (!parser_.Parse(json, limits_, rewriter)) return Verdict::kRefuse;
  return rewriter.changed() ? Verdict::kReplace : Verdict::kPass;
}

}  // namespace aegis::gateway
