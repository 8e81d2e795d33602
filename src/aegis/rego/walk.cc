#include "aegis/rego/walk.h"

#include <new>
#include <vector>

#include "aegis/rego/table.h"

namespace aegis::rego::internal {

Walker* Walker::Begin(Arena& arena, Value root) {
  static_assert(alignof(Level) <= alignof(Walker) && sizeof(Walker) % alignof(Level) == 0);
  const auto height = static_cast<size_t>(Height(root));
  void* const memory = arena.Allocate(sizeof(Walker) + height * sizeof(Level), alignof(Walker));
  if (memory == nullptr) return nullptr;
  Share(root);
  return new (memory) Walker(root);
}

bool Walker::Next() {
  if (value_.is_collection() && value_.size() > 0) {
    const bool is_array = value_.is_array(), is_object = value_.is_object();
    if (!is_array) EnsureSorted(value_);
    const Value* const entries = is_array ? value_.array_data() : value_.table()->entries;
    const Value* const first = entries + (is_object ? 1 : 0);
    levels()[depth_++] = {first, first, entries + value_.size() * (is_object ? 2 : 1),
                          value_.type()};
    value_ = *first;
    return true;
  }
  for (; depth_ > 0; --depth_) {
    Level& level = levels()[depth_ - 1];
    level.at += level.type == Type::kObject ? 2 : 1;
    if (level.at < level.end) {
      value_ = *level.at;
      return true;
    }
  }
  return false;
}

Value Walker::KeyOf(const Level& level) {
  if (level.type == Type::kArray) return Value::Int(level.at - level.first);
  return level.type == Type::kObject ? level.at[-1] : *level.at;
}

Value Walker::Path(Arena& arena) const {
  Value few[16];
  std::vector<Value> many;
  if (depth_ > std::size(few)) many.resize(depth_);
  Value* const keys = many.empty() ? few : many.data();
  for (size_t i = 0; i < depth_; ++i) keys[i] = KeyOf(levels()[i]);
  return ArrayOf(arena, {keys, depth_});
}

}  // namespace aegis::rego::internal
