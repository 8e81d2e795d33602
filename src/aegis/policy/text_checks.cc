// The texts of the dialect that have a form of their own.
#include <absl/time/time.h>
#include <arpa/inet.h>
#include <netinet/in.h>
#include <re2/re2.h>

#include <algorithm>
#include <array>
#include <charconv>

#include "aegis/base/text.h"
#include "aegis/policy/egress_target.h"
#include "aegis/policy/dialect.h"
#include "aegis/policy/schedule.h"

namespace aegis::policy {
namespace {

// C0, DEL and C1 (U+0080 to U+009F).
bool HasControls(std::string_view text) {
  for (size_t i = 0; i < text.size(); ++i) {
    const auto c = static_cast<uint8_t>(text[i]);
    if (c < 0x20 || c == 0x7F) return true;
    if (c == 0xC2 && i + 1 < text.size() && static_cast<uint8_t>(text[i + 1]) < 0xA0) return true;
  }
  return false;
}

std::string CheckPrintable(std::string_view text) {
  if (text.empty()) return "must not be empty";
  if (text.size() > kMaxNameBytes) {
    return "is longer than " + std::to_string(kMaxNameBytes) + " bytes";
  }
  if (HasControls(text)) return "must not have control characters";
  if (text.front() == ' ' || text.back() == ' ') return "must not begin or end with a space";
  return {};
}

bool IsHostLabel(std::string_view label) {
  if (label.empty() || label.size() > 63) return false;
  for (const char c : label) {
    const bool fine = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
                      c == '-' || c == '_';
    if (!fine) return false;
  }
  return true;
}

}  // namespace

std::string ListOf(std::span<const std::string_view> words) {
  std::string text;
  for (size_t i = 0; i < words.size(); ++i) {
    if (i > 0) text += i + 1 == words.size() ? " or " : ", ";
    text.append("'").append(words[i]).append("'");
  }
  return text;
}

std::string CheckName(std::string_view text) {
  if (std::string problem = CheckPrintable(text); !problem.empty()) return problem;
  if (text.find('*') != std::string_view::npos) {
    return "must be one exact name; patterns with '*' are not allowed here";
  }
  return {};
}

std::string CheckPattern(std::string_view text) {
  if (std::string problem = CheckPrintable(text); !problem.empty()) return problem;
  size_t stars = 0;
  for (size_t i = 0; i < text.size(); ++i) stars += text[i] == '*' ? 1 : 0;
  return stars > 16 ? "has more than 16 '*'" : "";
}

std::string CheckDocumentName(std::string_view text) {
  if (std::string problem = CheckName(text); !problem.empty()) return problem;
  if (text.find_first_of("/#") != std::string_view::npos) return "must not contain '/' or '#'";
  return {};
}

std::string CheckCaller(std::string_view text) {
  const size_t colon = text.find(':');
  const std::string_view type = text.substr(0, colon);
  if (colon == std::string_view::npos || (type != "user" && type != "agent")) {
    return "must be user:PATTERN or agent:PATTERN, for example 'user:*' or 'agent:planner-agent'";
  }
  return CheckPattern(text.substr(colon + 1));
}

std::string CheckLink(std::string_view text) {
  const size_t colon = text.find(':');
  const std::string_view type = text.substr(0, colon);
  if (colon == std::string_view::npos || (type != "user" && type != "agent") ||
      colon + 1 == text.size()) {
    return "must be user:NAME or agent:NAME, for example 'user:alice'";
  }
  return {};
}

std::string CheckPath(std::string_view text) {
  static constexpr std::string_view kExample = "; write paths like 'items[*].price'";
  if (text.size() > kMaxNameBytes) {
    return "is longer than " + std::to_string(kMaxNameBytes) + " bytes";
  }
  size_t segments = 0;
  size_t stars = 0;
  for (const std::string_view part : Split(text, '.')) {
    std::string_view name = part;
    while (name.ends_with("[*]")) {
      name.remove_suffix(3);
      ++stars;
    }
    if (name.empty()) return "has an empty name" + std::string(kExample);
    if (name.find_first_of("[]") != std::string_view::npos) {
      return "has brackets other than '[*]' at the end of a name" + std::string(kExample);
    }
    if (HasControls(name)) return "must not have control characters";
    ++segments;
  }
  if (segments > kMaxPathSegments) {
    return "has more than " + std::to_string(kMaxPathSegments) + " names";
  }
  if (stars > kMaxStars) return "has more than " + std::to_string(kMaxStars) + " '[*]'";
  return {};
}

std::string CheckRegoFile(std::string_view text) {
  const std::vector<std::string_view> parts = Split(text, '/');
  const auto word = [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_';
  };
  for (const std::string_view part : parts) {
    const bool plain = std::all_of(part.begin(), part.end(),
                                   [&](char c) { return word(c) || c == '-' || c == '.'; });
    if (part.empty() || part.front() == '.' || !plain) {
      return "must be a plain path from this file's folder, such as 'rules/payments_extra.rego'";
    }
  }
  std::string_view name = parts.back();
  constexpr std::string_view kExtension = ".rego";
  if (!name.ends_with(kExtension)) return "must end with '.rego'";
  name.remove_suffix(kExtension.size());
  if (name.empty() || (name[0] >= '0' && name[0] <= '9') ||
      !std::all_of(name.begin(), name.end(), word)) {
    return "must be named as a package may be, with letters, digits and '_': it holds package "
           "aegis.custom.NAME";
  }
  return {};
}

std::string CheckRegex(std::string_view text) {
  if (text.size() > kMaxPatternBytes) {
    return "is longer than " + std::to_string(kMaxPatternBytes) + " bytes";
  }
  RE2::Options options;
  options.set_log_errors(false);
  // The decision engine's budget for one program, so that what is accepted here also loads there.
  options.set_max_mem(1 << 20);
  const RE2 re(re2::StringPiece(text.data(), text.size()), options);
  if (re.ok()) {
    for (size_t at = 0; (at = text.find('\\', at)) != std::string_view::npos; at += 2) {
      // Stock OPA's engine, Go's regexp, does not know it.
      if (text.substr(at + 1, 1) == "C") return "has '\\C', which is not supported";
    }
    // What is compiled is the pattern with anchors around it; an open \Q would swallow them.
    const RE2 whole("\\A(?:" + std::string(text) + ")\\z", options);
    return whole.ok() ? "" : "must be a pattern of its own; close its '\\Q' with '\\E'";
  }
  std::string problem = "is not a valid RE2 pattern: " + re.error();
  if (re.error_code() == RE2::ErrorPatternTooLarge) return "is too large a pattern; simplify it";
  // RE2 names the offending piece; only when it occurs once does that give a position.
  const std::string& piece = re.error_arg();
  const size_t at = piece.empty() ? std::string_view::npos : text.find(piece);
  if (at != std::string_view::npos && text.find(piece, at + 1) == std::string_view::npos) {
    problem += " (at character " + std::to_string(at + 1) + " of the pattern)";
  }
  return problem;
}

std::string CheckTimezone(std::string_view text) {
  static constexpr std::string_view kAdvice =
      "; write an IANA name such as 'Europe/Berlin' or 'UTC'";
  // "localtime" and offsets depend on the machine or are not IANA names; Go, which OPA is written
  // in, takes the same names but "Local".
  const bool name_like = !text.empty() && text.size() <= 64 && text.front() != '/' &&
                         text.find("..") == std::string_view::npos && text != "localtime" &&
                         text != "Local" && !text.starts_with("Fixed/") &&
                         !text.starts_with("file:") &&
                         text.find_first_not_of(
                             "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
                             "0123456789_+-/") == std::string_view::npos;
  absl::TimeZone zone;
  if (!name_like || !absl::LoadTimeZone(std::string(text), &zone)) {
    return "is not a known time zone" + std::string(kAdvice);
  }
  return {};
}

std::string CheckDays(std::string_view text) {
  return ParseDays(text) == 0
             ? "must be days such as 'mon-fri' or 'mon,wed,fri' (mon tue wed thu fri sat sun)"
             : "";
}

std::string CheckHours(std::string_view text) {
  const std::optional<Hours> hours = ParseHours(text);
  if (!hours)
    return "must be a span such as '08:00-18:00' (24 hours, '24:00' for midnight at the end)";
  if (hours->from == hours->to)
    return "begins and ends at the same time; leave 'hours' out for all day";
  return {};
}

std::string CheckCidr(std::string_view text) {
  static constexpr std::string_view kWrong =
      "is not a block of IP addresses; write '10.0.0.0/8', '2001:db8::/32' or one address";
  const size_t slash = text.find('/');
  const std::string address(text.substr(0, slash));
  std::array<uint8_t, 16> bytes{};
  unsigned bits = 0;
  if (inet_pton(AF_INET, address.c_str(), bytes.data()) == 1) {
    bits = 32;
  } else if (inet_pton(AF_INET6, address.c_str(), bytes.data()) == 1) {
    bits = 128;
    const auto* v6 = reinterpret_cast<const in6_addr*>(bytes.data());
    if (IN6_IS_ADDR_V4MAPPED(v6)) return "is an IPv4 address in IPv6 form; write the IPv4 block";
  } else {
    return std::string(kWrong);
  }
  if (slash == std::string_view::npos) return {};
  const std::string_view length = text.substr(slash + 1);
  unsigned prefix = 0;
  const auto [end, error] = std::from_chars(length.data(), length.data() + length.size(), prefix);
  if (error != std::errc() || end != length.data() + length.size() ||
      (length.size() > 1 && length.front() == '0')) {
    return std::string(kWrong);
  }
  if (prefix > bits) return "has a prefix longer than " + std::to_string(bits) + " bits";
  for (unsigned bit = prefix; bit < bits; ++bit) {
    if ((bytes[bit / 8] >> (7 - bit % 8) & 1) != 0) {
      return "has bits set after its prefix of " + std::to_string(prefix) +
             "; write the block's first address";
    }
  }
  return {};
}

std::string CheckDomain(std::string_view text) {
  static constexpr std::string_view kWrong =
      "is not a host name; write 'api.example.com', or '*.example.com' for every host below it";
  std::string_view host = text;
  if (host.starts_with("*.")) host.remove_prefix(2);
  if (host.ends_with('.')) host.remove_suffix(1);
  if (host.size() > 253) return "is longer than a host name can be (253)";
  for (const std::string_view label : Split(host, '.')) {
    if (!IsHostLabel(label)) return std::string(kWrong);
  }
  return {};
}

std::string CheckEgressHost(std::string_view text) { return ReadEgressTarget(text, nullptr); }

std::string CheckTime(std::string_view text) {
  absl::Time time;
  std::string error;
  // absl::ParseTime would also take "infinite-past".
  const bool digits = !text.empty() && text.front() >= '0' && text.front() <= '9';
  if (digits && absl::ParseTime(absl::RFC3339_full, std::string(text), &time, &error)) return {};
  return "is not a time such as '2026-11-24T09:30:00Z' (RFC 3339)";
}

}  // namespace aegis::policy
