#include "aegis/gateway/envoy/response_inspector.h"

#include "aegis/base/text.h"

namespace aegis::gateway {
namespace {

constexpr Refusal kType{502, "answer_not_inspected",
                        "the tool's answer is of a type that cannot be inspected, and answers must "
                        "be: JSON, NDJSON and server-sent events can"};
constexpr Refusal kEncoding{502, "answer_not_inspected",
                            "the tool's answer has a Content-Encoding, so that it cannot be "
                            "inspected, as it must be"};
constexpr Refusal kContent{502, "answer_not_inspected",
                           "the tool's answer is not what its type says, so that it cannot be "
                           "inspected, as it must be"};
constexpr Refusal kTooLarge{502, "answer_not_inspected",
                            "the tool's answer is too large to be inspected, as it must be"};

constexpr std::string_view kDone = "[DONE]";  // how some streams of JSON events end
constexpr std::string_view kByteOrderMark = "\xef\xbb\xbf";

// The media type; empty when a charset other than UTF-8 is named.
std::string_view TypeOf(std::string_view content_type) {
  const size_t semicolon = content_type.find(';');
  std::string_view rest =
      semicolon == std::string_view::npos ? std::string_view() : content_type.substr(semicolon);
  while (!rest.empty()) {
    rest.remove_prefix(1);
    const size_t next = rest.find(';');
    const std::string_view parameter = Trim(rest.substr(0, next));
    rest = next == std::string_view::npos ? std::string_view() : rest.substr(next);
    const size_t equals = parameter.find('=');
    if (!EqualsIgnoreCase(Trim(parameter.substr(0, equals)), "charset")) continue;
    const std::string_view charset =
        equals == std::string_view::npos ? std::string_view() : Trim(parameter.substr(equals + 1));
    if (!EqualsIgnoreCase(charset, "utf-8") && !EqualsIgnoreCase(charset, "\"utf-8\"")) return {};
  }
  return Trim(content_type.substr(0, semicolon));
}

bool IsAny(std::string_view type, std::initializer_list<std::string_view> known) {
  for (const std::string_view other : known) {
    if (EqualsIgnoreCase(type, other)) return true;
  }
  return false;
}

bool IsBlank(std::string_view text) {
  return text.find_first_not_of(" \t\r\n") == std::string_view::npos;
}

}  // namespace

void ResponseInspector::Clear() {
  filter_ = nullptr;
  form_ = Form::kPlain;
  changed_ = begun_ = false;
  seen_ = 0;
  held_.clear();
}

Refusal ResponseInspector::Start(ContentFilter* filter, std::string_view content_type,
                                 std::string_view content_encoding, size_t max_held) {
  Clear();
  filter_ = filter;
  max_held_ = max_held;
  if (filter_ == nullptr) return {};
  if (!content_encoding.empty() && !EqualsIgnoreCase(content_encoding, "identity")) {
    return kEncoding;
  }
  const std::string_view type = TypeOf(content_type);
  const bool suffix = type.size() > 5 && EqualsIgnoreCase(type.substr(type.size() - 5), "+json");
  if (suffix || IsAny(type, {"application/json", "text/json"})) {
    form_ = Form::kJson;
  } else if (IsAny(type, {"application/x-ndjson", "application/ndjson", "application/jsonl"})) {
    form_ = Form::kLines;
  } else if (IsAny(type, {"text/event-stream"})) {
    form_ = Form::kEvents;
  } else {
    return kType;
  }
  return {};
}

Refusal ResponseInspector::Take(std::string_view bytes, bool last, std::string* out) {
  if (form_ == Form::kPlain) {
    *out += bytes;
    return {};
  }
  held_ += bytes;
  if (form_ == Form::kLines) return TakeLines(last, out);
  if (form_ == Form::kEvents) return TakeEvents(last, out);
  if (held_.size() > max_held_) return kTooLarge;
  if (!last || held_.empty()) return {};
  const Refusal refusal = Pass(held_, out);
  held_.clear();
  return refusal;
}

Refusal ResponseInspector::Pass(std::string_view text, std::string* out) {
  replaced_.clear();
  switch (filter_->Inspect(Direction::kResponse, text, &replaced_)) {
    case ContentFilter::Verdict::kPass:
      *out += text;
      return {};
    case ContentFilter::Verdict::kReplace:
      changed_ = true;
      *out += replaced_;
      return {};
    case ContentFilter::Verdict::kRefuse:
      break;
  }
  return kContent;
}

Refusal ResponseInspector::TakeLines(bool last, std::string* out) {
  size_t begin = 0;
  while (true) {
    size_t end = held_.find('\n', std::max(begin, seen_));
    if (end == std::string::npos) {
      if (!last || begin == held_.size()) break;
      end = held_.size();
    }
    const std::string_view line = std::string_view(held_).substr(begin, end - begin);
    if (line.size() > max_held_) return kTooLarge;
    if (IsBlank(line)) {
      *out += line;
    } else if (const Refusal refusal = Pass(line, out); refusal.status != 0) {
      return refusal;
    }
    if (end == held_.size()) {
      begin = end;
      break;
    }
    *out += '\n';
    begin = end + 1;
  }
  held_.erase(0, begin);
  seen_ = held_.size();
  return held_.size() > max_held_ ? kTooLarge : Refusal{};
}

Refusal ResponseInspector::TakeEvents(bool last, std::string* out) {
  // A byte order mark that is cut is not JSON's beginning either, and found when the event is
  // whole.
  size_t begin = 0;
  while (true) {
    // The end of a line, then an empty line: "\n\n" or "\n\r\n".
    size_t end = std::string::npos;
    for (size_t at = std::max(begin, seen_); at < held_.size(); ++at) {
      if (held_[at] != '\n') continue;
      const size_t next = at + 1 < held_.size() && held_[at + 1] == '\r' ? at + 2 : at + 1;
      if (next >= held_.size() || held_[next] != '\n') continue;
      end = next + 1;
      break;
    }
    if (end == std::string::npos) {
      if (!last || begin == held_.size()) break;
      end = held_.size();
    }
    const std::string_view event = std::string_view(held_).substr(begin, end - begin);
    if (event.size() > max_held_) return kTooLarge;
    if (const Refusal refusal = PassEvent(event, out); refusal.status != 0) return refusal;
    begin = end;
  }
  held_.erase(0, begin);
  // An end may be cut behind its "\n" or "\n\r".
  seen_ = held_.size() < 2 ? 0 : held_.size() - 2;
  return held_.size() > max_held_ ? kTooLarge : Refusal{};
}

Refusal ResponseInspector::PassEvent(std::string_view event, std::string* out) {
  if (!begun_ && event.starts_with(kByteOrderMark)) return kContent;
  begun_ = true;
  data_.clear();
  bool has_data = false;
  // First what the data is, then the event with it or with what takes its place.
  for (const bool write : {false, true}) {
    std::string_view rest = event;
    bool written = false;
    while (!rest.empty()) {
      const size_t feed = rest.find('\n');
      const std::string_view whole =
          rest.substr(0, feed == std::string_view::npos ? feed : feed + 1);
      rest.remove_prefix(whole.size());
      std::string_view line = whole.substr(0, whole.find_last_not_of('\n') + 1);
      if (line.ends_with('\r')) line.remove_suffix(1);
      // A client takes it for the end of a line.
      if (line.find('\r') != std::string_view::npos) return kContent;
      const std::string_view name = line.substr(0, line.find(':'));
      if (name == "data") {
        std::string_view value = line.substr(std::min(line.size(), name.size() + 1));
        if (value.starts_with(' ')) value.remove_prefix(1);
        if (!write) {
          if (has_data) data_ += '\n';
          data_ += value;
          has_data = true;
        } else if (!written) {
          written = true;
          (*out).append("data: ").append(replaced_).append("\n");
        }
        continue;
      }
      // What else clients know; empty are comments and the line that ends an event.
      if (!name.empty() && name != "event" && name != "id" && name != "retry") return kContent;
      if (write) *out += whole;
    }
    if (write) return {};
    if (IsBlank(data_) || data_ == kDone) break;
    replaced_.clear();
    const ContentFilter::Verdict verdict =
        filter_->Inspect(Direction::kResponse, data_, &replaced_);
    if (verdict == ContentFilter::Verdict::kRefuse) return kContent;
    if (verdict == ContentFilter::Verdict::kPass) break;
    changed_ = true;
  }
  *out += event;
  return {};
}

}  // namespace aegis::gateway
