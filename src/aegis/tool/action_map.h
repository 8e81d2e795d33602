// Finds the action that a request is, among those of a tool's document: a tree of path segments,
// made once, searched without allocation.
//
// The narrowest template counts, segment by segment: a literal before a variable, a variable before
// the rest of the path. Many servers ignore the case of a path and a '/' at its end; a path that
// would match only so is in doubt, and is refused rather than taken for something else.
//
// Threading: immutable; shared by all threads.
#pragma once

#include <array>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "aegis/tool/path_template.h"
#include "aegis/tool/spec.h"

namespace aegis::tool {

// An action, and its params as requests are read.
class MappedAction {
 public:
  explicit MappedAction(const Action& action, const PathTemplate& path);

  const std::string& name() const { return name_; }
  Bodies bodies() const { return bodies_; }
  // Of the path's variables, in their order; an unnamed rest has none.
  const Param& variable(size_t i) const { return params_[variables_[i]]; }
  size_t variable_count() const { return variables_.size(); }
  // Declared params in headers and cookies.
  std::span<const Param> from_headers() const { return from_headers_; }
  std::span<const Param> from_cookies() const { return from_cookies_; }
  // Whether a param is declared for the query or the body, or a name is taken by one from
  // elsewhere.
  bool has_names() const { return !names_.empty(); }

  // What the map says of a field of the query or the body (`place`) that is sent as `name`, which
  // is `loose` to the loosest reader. kPlain: nothing, it is a param of its own name. kDeclared:
  // `*param` is its param. kRefused: some tools would take it for a param that it is not.
  enum class Field : uint8_t { kPlain, kDeclared, kRefused };
  Field Find(Place place, std::string_view name, std::string_view loose, const Param** param) const;

 private:
  struct Name {
    std::string loose;
    uint32_t param;
    bool sent;  // the name that is sent, not the one by which policy knows it
  };
  std::string name_;
  Bodies bodies_;
  std::vector<Param> params_;  // declared ones and the variables
  std::vector<uint32_t> variables_;
  std::vector<Param> from_headers_, from_cookies_;
  std::vector<Name> names_;  // by loose
};

class ActionMap {
 public:
  // Of a document that ReadSpec gave.
  explicit ActionMap(const Spec& spec);
  // Refuses every request: of a tool whose document cannot be read.
  static ActionMap RefusingAll();

  struct Match {
    enum class Kind : uint8_t {
      kFound,
      kNone,         // no action has such a path
      kOtherMethod,  // one has, with another method
      kDoubtful,     // one would have, but for the case of letters or a '/' at the end
    };
    Kind kind = Kind::kNone;
    const MappedAction* action = nullptr;                    // kFound
    std::array<std::string_view, kMaxSegments> variables{};  // views into the path
  };
  // `path`: decoded, as net::CheckGovernedPath leaves it (no empty segments and no dot segments).
  void Find(std::string_view method, std::string_view path, Match* match) const;

  // What becomes of a request that no action has (Match::Kind::kNone).
  Unmapped unmapped() const { return unmapped_; }

 private:
  struct Leaf {
    std::string method;
    uint32_t action;
    bool slash;
  };
  struct Node {
    struct Literal {
      std::string folded, exact;
      uint32_t node;
    };
    std::vector<Literal> literals;  // by folded
    uint32_t variable = 0;          // node; 0: none, since nothing leads to the root
    std::vector<Leaf> ends, rests;
  };
  struct Search;

  ActionMap() : nodes_(1), unmapped_(Unmapped::kRefuse) {}
  void Insert(const Action& action, const PathTemplate& path);
  uint32_t ChildFor(uint32_t node, const PathTemplate::Segment& segment);
  bool Descend(Search& search, uint32_t node, size_t depth, bool exact) const;
  bool TakeLeaf(Search& search, const std::vector<Leaf>& leaves, size_t depth, bool exact) const;

  std::vector<Node> nodes_;
  std::vector<MappedAction> actions_;
  Unmapped unmapped_;
};

}  // namespace aegis::tool
