// Goes over a value and all that is in it in the order of OPA's walk: a value comes before what is
// in it; members come by key.
//
// Internal to the rego library.
#pragma once

#include <cstddef>

#include "aegis/base/arena.h"
#include "aegis/rego/value.h"

namespace aegis::rego::internal {

class Walker {
 public:
  // Stands on `root`, which must not be undefined. nullptr when memory is out; it takes as much as
  // `root` is high.
  static Walker* Begin(Arena& arena, Value root);

  const Value& value() const { return value_; }
  // Goes on to the next value; false at the end.
  bool Next();
  // How many keys lead from the root to the value.
  size_t depth() const { return depth_; }
  // The array of those keys; undefined when memory is out.
  Value Path(Arena& arena) const;

  explicit Walker(Value root) : value_(root) {}

 private:
  // Where it is in one of the collections around the value. The values of an object have their keys
  // in front of them.
  struct Level {
    const Value* first;
    const Value* at;
    const Value* end;
    Type type;
  };
  static Value KeyOf(const Level& level);
  Level* levels() { return reinterpret_cast<Level*>(this + 1); }
  const Level* levels() const { return reinterpret_cast<const Level*>(this + 1); }

  Value value_;
  size_t depth_ = 0;
};

}  // namespace aegis::rego::internal
