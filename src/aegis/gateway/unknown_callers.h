// Callers that nobody knows: refused calls, counted by where they come from, what they say they
// are, what they want and why they were refused. What strangers send is bounded here: in size, in
// characters, in number.
//
// Holds what was seen since the last Take. When too many are seen in between, the one that was not
// seen for longest goes, and one source cannot push out the others: its callers beyond a limit
// become one row. What goes is still counted, in rows in which "*" stands for several.
//
// Threading: thread-safe. One writer, its worker; whoever takes waits for no more than a copy.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <list>
#include <mutex>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

namespace aegis::gateway {

// Why a caller is not known; the names are those of the errors of Pipeline::Authenticate, and one
// for all that have none here.
inline constexpr std::string_view kUnknownReasons[] = {"token_missing",
                                                       "token_malformed",
                                                       "token_too_large",
                                                       "token_header",
                                                       "token_type",
                                                       "token_algorithm",
                                                       "token_signature",
                                                       "token_unknown_key",
                                                       "token_claims",
                                                       "token_unsupported",
                                                       "token_issuer",
                                                       "token_audience",
                                                       "token_org",
                                                       "token_tenant",
                                                       "token_subject",
                                                       "token_chain",
                                                       "token_lifetime",
                                                       "token_expired",
                                                       "token_revoked",
                                                       "token_not_yet_valid",
                                                       "agent_unknown",
                                                       "caller_blocked",
                                                       "other"};
inline constexpr size_t kUnknownReasonCount = std::size(kUnknownReasons);
// Index into them.
size_t UnknownReason(std::string_view error);

struct UnknownCaller {
  std::string source;  // IP address, "unix", or "*"
  std::string name;    // claimed, never believed; "-": none
  std::string target;
  std::string_view reason;  // of kUnknownReasons
  int64_t count = 0;
  int64_t first_seen_ms = 0;  // since the Unix epoch
  int64_t last_seen_ms = 0;
};

// What is shown of text that strangers sent: printable ASCII, at most kMaxShownBytes of it. Other
// bytes, and '*', become '?'; "-" when nothing is left.
inline constexpr size_t kMaxShownBytes = 128;
std::string Shown(std::string_view text);

// What a caller says it is: the agent or subject of its token, if that can be read at all, else the
// first word of its User-Agent. Shown.
std::string ClaimedName(std::string_view token, std::string_view user_agent);

class UnknownCallers {
 public:
  static constexpr size_t kMaxCallers = 1024;
  static constexpr size_t kMaxOfASource = 64;

  // `source`, `name`, `target`: as Shown.
  void Add(std::string source, std::string name, std::string target, size_t reason, int64_t now_ms);
  // All that was seen since the last time, the oldest first.
  std::vector<UnknownCaller> Take();

 private:
  struct Seen {
    UnknownCaller caller;
    std::string key;
  };
  using Order = std::list<Seen>;  // the one that was seen last at the end

  void Count(UnknownCaller& caller, int64_t now_ms);
  void Forget(Order::iterator oldest);

  std::mutex mutex_;
  Order seen_;                                                   // guarded by mutex_
  std::unordered_map<std::string_view, Order::iterator> index_;  // by Seen::key; likewise
  std::unordered_map<std::string, size_t> of_source_;            // callers in seen_; likewise
  std::array<UnknownCaller, kUnknownReasonCount> others_;        // likewise
};

}  // namespace aegis::gateway
