// What the readers of a tool's document share. Internal to the tool library.
#pragma once

#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "aegis/json/tree.h"
#include "aegis/tool/spec.h"

namespace aegis::tool::internal {

// A value of the document and where it is; collects what is wrong with it.
class Reader {
 public:
  Reader(const json::Tree& value, std::string pointer, std::vector<Mistake>& mistakes)
      : value_(value), pointer_(std::move(pointer)), mistakes_(mistakes) {}

  const json::Tree& value() const { return value_; }
  const std::string& pointer() const { return pointer_; }
  void Report(std::string detail);
  // A member or an element.
  Reader At(std::string_view name, const json::Tree& value) const;
  Reader At(size_t index, const json::Tree& value) const;
  // The text, or nothing and a mistake.
  std::optional<std::string_view> Text();
  // A list or an object of at most `max`; else a mistake and nothing.
  std::span<const json::Tree> Elements(size_t max);
  bool IsObject(size_t max_members);
  // Reports each member that is not one of `known`.
  void RefuseOthers(std::span<const std::string_view> known);
  // Which of `names` the text is; nothing and a mistake when it is none.
  std::optional<size_t> OneOf(std::span<const std::string_view> names);

 private:
  const json::Tree& value_;
  std::string pointer_;
  std::vector<Mistake>& mistakes_;
};

// The actions of the document, with their conflicts.
std::vector<Action> ReadActions(Reader reader);
void AppendActions(const std::vector<Action>& actions, std::string& out);

// The members that say how the tool is reached (upstream_spec.h): how each is read, whether it says
// anything, and how it is written.
void ReadTimeouts(Reader reader, Upstream& out);
void ReadRetries(Reader reader, Upstream& out);
void ReadCircuitBreaker(Reader reader, Upstream& out);
void ReadTls(Reader reader, Upstream& out);
void ReadCredentials(Reader reader, Upstream& out);
bool HasTimeouts(const Upstream& upstream);
bool HasRetries(const Upstream& upstream);
bool HasCircuitBreaker(const Upstream& upstream);
bool HasTls(const Upstream& upstream);
void AppendTimeouts(const Upstream& upstream, std::string& out);
void AppendRetries(const Upstream& upstream, std::string& out);
void AppendCircuitBreaker(const Upstream& upstream, std::string& out);
void AppendTls(const Upstream& upstream, std::string& out);
void AppendCredentials(const Upstream& upstream, std::string& out);

}  // namespace aegis::tool::internal
