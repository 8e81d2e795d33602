#include "aegis/tool/spec.h"

#include <algorithm>
#include <array>

#include "aegis/base/json_text.h"
#include "aegis/base/text.h"
#include "aegis/json/writer.h"
#include "aegis/tool/base_url.h"
#include "aegis/tool/spec_reader.h"

namespace aegis::tool {

using internal::Reader;

namespace internal {
namespace {

constexpr size_t kMaxMistakes = 100;

}  // namespace

void Reader::Report(std::string detail) {
  if (mistakes_.size() < kMaxMistakes) mistakes_.push_back({pointer_, std::move(detail)});
}

Reader Reader::At(std::string_view name, const json::Tree& value) const {
  // A name from the outside may be of any size.
  return {value, pointer_ + "/" + EscapeJsonPointer(name.substr(0, kMaxParamNameBytes)), mistakes_};
}

Reader Reader::At(size_t index, const json::Tree& value) const {
  return {value, pointer_ + "/" + std::to_string(index), mistakes_};
}

std::optional<std::string_view> Reader::Text() {
  if (value_.is_string()) return value_.text();
  Report("must be a string");
  return std::nullopt;
}

std::span<const json::Tree> Reader::Elements(size_t max) {
  if (value_.is_array() && value_.elements().size() <= max) return value_.elements();
  Report("must be a list of at most " + std::to_string(max) + " items");
  return {};
}

bool Reader::IsObject(size_t max_members) {
  if (value_.is_object() && value_.members().size() <= max_members) return true;
  Report("must be an object of at most " + std::to_string(max_members) + " members");
  return false;
}

void Reader::RefuseOthers(std::span<const std::string_view> known) {
  for (const json::Member& member : value_.members()) {
    if (std::find(known.begin(), known.end(), member.name) != known.end()) continue;
    std::string detail = "is not a known member";
    if (const auto nearest = NearestSpelling(member.name.substr(0, 64), known)) {
      detail += "; did you mean '" + std::string(*nearest) + "'?";
    }
    At(member.name, member.value).Report(std::move(detail));
  }
}

std::optional<size_t> Reader::OneOf(std::span<const std::string_view> names) {
  const auto text = Text();
  if (!text) return std::nullopt;
  const auto found = std::find(names.begin(), names.end(), *text);
  if (found != names.end()) return static_cast<size_t>(found - names.begin());
  std::string detail = "must be one of";
  for (const std::string_view name : names) detail.append(" ").append(name);
  Report(std::move(detail));
  return std::nullopt;
}

}  // namespace internal

namespace {

constexpr std::array<std::string_view, 2> kUnmappedNames = {"refuse", "segment"};

void ReadName(Reader reader, Spec& spec) {
  const auto name = reader.Text();
  if (!name) return;
  spec.name = *name;
  if (std::string problem = CheckName(*name); !problem.empty()) reader.Report(std::move(problem));
}

void ReadBaseUrl(Reader reader, Spec& spec) {
  const auto url = reader.Text();
  if (!url) return;
  spec.base_url = *url;
  if (std::string problem = CheckBaseUrl(*url); !problem.empty()) {
    reader.Report(std::move(problem));
  }
}

void ReadHosts(Reader reader, Spec& spec) {
  size_t index = 0;
  for (const json::Tree& element : reader.Elements(kMaxHosts)) {
    Reader item = reader.At(index++, element);
    const auto host = item.Text();
    if (!host) continue;
    if (std::string problem = CheckHost(*host); !problem.empty()) {
      item.Report(std::move(problem));
    } else if (std::find(spec.hosts.begin(), spec.hosts.end(), *host) != spec.hosts.end()) {
      item.Report("is there twice");
    } else {
      spec.hosts.emplace_back(*host);
    }
  }
}

void ReadUnmapped(Reader reader, Spec& spec) {
  if (const auto which = reader.OneOf(kUnmappedNames))
    spec.unmapped = static_cast<Unmapped>(*which);
}

void ReadActionsOf(Reader reader, Spec& spec) { spec.actions = internal::ReadActions(reader); }

void WriteTexts(const std::vector<std::string>& texts, std::string& out) {
  out += '[';
  for (size_t i = 0; i < texts.size(); ++i) {
    if (i > 0) out += ',';
    json::AppendString(out, texts[i]);
  }
  out += ']';
}

// The members of the document: how each is read, and how it is written.
struct MemberRow {
  std::string_view name;
  bool required;
  void (*read)(Reader reader, Spec& spec);
  bool (*is_default)(const Spec& spec);
  void (*write)(const Spec& spec, std::string& out);  // its value
};

constexpr MemberRow kMembers[] = {
    {"name", true, ReadName, [](const Spec&) { return false; },
     [](const Spec& spec, std::string& out) { json::AppendString(out, spec.name); }},
    {"base_url", true, ReadBaseUrl, [](const Spec&) { return false; },
     [](const Spec& spec, std::string& out) { json::AppendString(out, spec.base_url); }},
    {"hosts", false, ReadHosts, [](const Spec& spec) { return spec.hosts.empty(); },
     [](const Spec& spec, std::string& out) { WriteTexts(spec.hosts, out); }},
    {"unmapped", false, ReadUnmapped,
     [](const Spec& spec) { return spec.actions.empty() || spec.unmapped == Unmapped::kRefuse; },
     [](const Spec& spec, std::string& out) {
       json::AppendString(out, kUnmappedNames[static_cast<size_t>(spec.unmapped)]);
     }},
    {"timeouts", false,
     [](Reader reader, Spec& spec) { internal::ReadTimeouts(reader, spec.upstream); },
     [](const Spec& spec) { return !internal::HasTimeouts(spec.upstream); },
     [](const Spec& spec, std::string& out) { internal::AppendTimeouts(spec.upstream, out); }},
    {"retries", false,
     [](Reader reader, Spec& spec) { internal::ReadRetries(reader, spec.upstream); },
     [](const Spec& spec) { return !internal::HasRetries(spec.upstream); },
     [](const Spec& spec, std::string& out) { internal::AppendRetries(spec.upstream, out); }},
    {"circuit_breaker", false,
     [](Reader reader, Spec& spec) { internal::ReadCircuitBreaker(reader, spec.upstream); },
     [](const Spec& spec) { return !internal::HasCircuitBreaker(spec.upstream); },
     [](const Spec& spec, std::string& out) {
       internal::AppendCircuitBreaker(spec.upstream, out);
     }},
    {"tls", false, [](Reader reader, Spec& spec) { internal::ReadTls(reader, spec.upstream); },
     [](const Spec& spec) { return !internal::HasTls(spec.upstream); },
     [](const Spec& spec, std::string& out) { internal::AppendTls(spec.upstream, out); }},
    {"credentials", false,
     [](Reader reader, Spec& spec) { internal::ReadCredentials(reader, spec.upstream); },
     [](const Spec& spec) { return spec.upstream.credentials.empty(); },
     [](const Spec& spec, std::string& out) { internal::AppendCredentials(spec.upstream, out); }},
    {"actions", false, ReadActionsOf, [](const Spec& spec) { return spec.actions.empty(); },
     [](const Spec& spec, std::string& out) { internal::AppendActions(spec.actions, out); }},
};

// A field that carries a credential is the gateway's: what an agent sends in it reaches no tool.
void RefuseReplacedParams(const Reader& reader, const Spec& spec) {
  for (size_t i = 0; i < spec.actions.size(); ++i) {
    for (const Param& param : spec.actions[i].params) {
      const bool replaced = std::any_of(
          spec.upstream.credentials.begin(), spec.upstream.credentials.end(),
          [&](const Credential& credential) {
            return credential.header == (param.place == Place::kCookie ? "cookie" : param.sent_as);
          });
      if ((param.place != Place::kHeader && param.place != Place::kCookie) || !replaced) continue;
      reader.At("actions", reader.value())
          .At(i, reader.value())
          .At("params", reader.value())
          .At(param.name, reader.value())
          .Report("is in a field that carries a credential of the tool; it cannot be a param");
    }
  }
}

}  // namespace

std::string CheckName(std::string_view name) {
  const auto alphanumeric = [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
  };
  if (name.empty()) return "must not be empty";
  if (name.size() > kMaxNameBytes) {
    return "is longer than " + std::to_string(kMaxNameBytes) + " bytes";
  }
  if (!alphanumeric(name.front())) return "must begin with a letter or a digit";
  for (const char c : name) {
    if (!alphanumeric(c) && c != '.' && c != '_' && c != '-') {
      return "may only have the characters A-Z a-z 0-9 . _ -";
    }
  }
  return {};
}

Result<Spec> ReadSpec(std::string_view text, std::vector<Mistake>* mistakes) {
  mistakes->clear();
  Arena arena;
  json::TreeLimits limits;
  limits.max_bytes = kMaxDocumentBytes;
  limits.max_depth = 8;
  AEGIS_TRY(const json::Tree root, json::ParseTree(text, arena, limits));
  Spec spec;
  Reader reader(root, "", *mistakes);
  if (!root.is_object()) {
    reader.Report("must be an object");
  } else {
    std::vector<std::string_view> known;
    for (const MemberRow& row : kMembers) {
      known.push_back(row.name);
      const json::Tree* value = root.Find(row.name);
      if (value != nullptr) {
        row.read(reader.At(row.name, *value), spec);
      } else if (row.required) {
        reader.At(row.name, root).Report("is required");
      }
    }
    reader.RefuseOthers(known);
    if (internal::HasTls(spec.upstream) && !spec.base_url.starts_with("https://")) {
      reader.At("tls", root).Report("says nothing where base_url does not begin with https://");
    }
    RefuseReplacedParams(reader, spec);
    if (spec.actions.empty() && root.Find("unmapped") != nullptr && mistakes->empty()) {
      reader.At("unmapped", root).Report("says nothing where there are no actions; leave it out");
    }
  }
  if (!mistakes->empty()) {
    return Fail(Code::kInvalidArgument, "tool_document",
                "the tool's document has mistakes: " + mistakes->front().pointer + " " +
                    mistakes->front().detail);
  }
  return spec;
}

std::string SpecJson(const Spec& spec) {
  std::string out = "{";
  for (const MemberRow& row : kMembers) {
    if (row.is_default(spec)) continue;
    if (out.size() > 1) out += ',';
    json::AppendString(out, row.name);
    out += ':';
    row.write(spec, out);
  }
  out += '}';
  return out;
}

}  // namespace aegis::tool
