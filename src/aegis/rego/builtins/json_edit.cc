// json.filter, json.remove and json.patch (RFC 6902).
#include <algorithm>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "aegis/rego/builtins/operands.h"
#include "aegis/rego/pointer.h"
#include "aegis/rego/table.h"

namespace aegis::rego {
namespace {

using Path = std::vector<Value>;

// One segment of a JSON pointer (RFC 6901) without its escapes.
Value Segment(Arena& arena, std::string_view text) {
  if (text.find('~') == text.npos) return MakeStringView(text);
  return MakeString(arena, internal::UnescapePointer(text));
}

// A path is a string with '/' between its segments, or an array of segments of any type.
bool ReadPath(BuiltinContext& context, Value value, Path& out) {
  out.clear();
  if (value.is_array()) {
    out.assign(value.elements().begin(), value.elements().end());
    return true;
  }
  if (!value.is_string()) {
    context.TypeError(
        "operand 2 must be one of {set, array} containing string paths or array of path segments "
        "but got " +
        std::string(TypeName(value.type())));
    return false;
  }
  std::string_view text = value.string_value();
  if (text.empty()) return true;
  text.remove_prefix(std::min(text.find_first_not_of('/'), text.size()));
  while (true) {
    const size_t slash = text.find('/');
    out.push_back(Segment(context.arena(), text.substr(0, slash)));
    if (slash == text.npos) return true;
    text.remove_prefix(slash + 1);
  }
}

struct Less {
  bool operator()(Value a, Value b) const { return Compare(a, b) < 0; }
};

// Paths in one tree. A node without children is the end of a path; no path goes on below one.
struct PathTree {
  std::map<Value, std::unique_ptr<PathTree>, Less> children;

  const PathTree* Find(Value key) const {
    const auto found = children.find(key);
    return found == children.end() ? nullptr : found->second.get();
  }
  // An array's elements are named by the text of their index.
  const PathTree* FindIndex(size_t i) const {
    const std::string text = std::to_string(i);
    return Find(MakeStringView(text));
  }
  bool is_end() const { return children.empty(); }

  void Add(const Path& path) {
    PathTree* node = this;
    for (size_t i = 0; i < path.size(); ++i) {
      const auto [child, added] = node->children.try_emplace(path[i]);
      if (added) {
        child->second = std::make_unique<PathTree>();
      } else if (child->second->is_end()) {
        return;
      }
      node = child->second.get();
    }
    node->children.clear();
  }
};

// Deeper paths lead nowhere: no value nests as deep.
constexpr size_t kMaxPath = kMaxHeight;

// The tree of operand 2, an array or set of paths.
bool ReadPaths(BuiltinContext& context, Value paths, PathTree& out) {
  if (!paths.is_array() && !paths.is_set()) {
    context.WrongType(2, "one of {set, array}", paths);
    return false;
  }
  if (!context.Charge(internal::Weight(paths))) return false;
  Path path;
  for (const Value element : paths.elements()) {
    if (!ReadPath(context, element, path)) return false;
    if (path.size() > kMaxPath) path.resize(kMaxPath + 1);
    // The empty path names nothing.
    if (!path.empty()) out.Add(path);
  }
  return true;
}

// `value` without what the tree names.
Value Without(Arena& arena, Value value, const PathTree& tree) {
  const auto add = [&](Value element, const PathTree* below, const auto& keep) {
    if (below == nullptr) {
      keep(element);
    } else if (!below->is_end()) {
      keep(Without(arena, element, *below));
    }
  };
  if (value.is_object()) {
    ObjectBuilder object(arena);
    for (const Member& member : value.members()) {
      add(member.value, tree.Find(member.key), [&](Value kept) { object.Add(member.key, kept); });
    }
    return object.Build();
  }
  if (value.is_set()) {
    SetBuilder set(arena);
    for (const Value element : value.elements()) {
      add(element, tree.Find(element), [&](Value kept) { set.Add(kept); });
    }
    return set.Build();
  }
  if (!value.is_array()) return value;
  ArrayBuilder array(arena, value.size());
  for (size_t i = 0; i < value.size(); ++i) {
    add(value.At(i), tree.FindIndex(i), [&](Value kept) { array.Add(kept); });
  }
  return array.Build();
}

// Only what the tree names, and what leads there.
Value Only(Arena& arena, Value value, const PathTree& tree) {
  if (tree.is_end()) return value;
  if (value.is_object()) {
    ObjectBuilder object(arena);
    for (const auto& [key, below] : tree.children) {
      const Value member = value.Get(key);
      if (!member.is_undefined()) object.Add(key, Only(arena, member, *below));
    }
    return object.Build();
  }
  if (value.is_set()) {
    SetBuilder set(arena);
    for (const auto& [key, below] : tree.children) {
      if (value.Contains(key)) set.Add(Only(arena, key, *below));
    }
    return set.Build();
  }
  if (!value.is_array()) return value;
  ArrayBuilder array(arena);
  for (size_t i = 0; i < value.size(); ++i) {
    const PathTree* below = tree.FindIndex(i);
    if (below != nullptr) array.Add(Only(arena, value.At(i), *below));
  }
  return array.Build();
}

Value Remove(BuiltinContext& context, const Value* args) {
  AEGIS_TYPED_ARG(0, is_object, "object");
  PathTree tree;
  if (!ReadPaths(context, args[1], tree)) return Value();
  if (!context.Charge(internal::Weight(args[0]))) return Value();
  return tree.is_end() ? args[0] : Without(context.arena(), args[0], tree);
}

Value Filter(BuiltinContext& context, const Value* args) {
  AEGIS_TYPED_ARG(0, is_object, "object");
  PathTree tree;
  if (!ReadPaths(context, args[1], tree)) return Value();
  if (!context.Charge(internal::Weight(args[0]))) return Value();
  return tree.is_end() ? Value::EmptyObject() : Only(context.arena(), args[0], tree);
}

// Applies the operations of a patch one after the other. Where OPA looks up elements of an array
// that was edited before in the array as it was, this keeps to the RFC.
class Patch {
 public:
  Patch(BuiltinContext& context, Value document) : context_(context), document_(document) {}

  bool Apply(Value operation) {
    if (!operation.is_object()) {
      return Refuse("must be an array of JSON-Patch objects");
    }
    const Value path_value = operation.Get("path"), op = operation.Get("op");
    if (path_value.is_undefined()) return Refuse("missing required attribute 'path'");
    if (op.is_undefined()) return Refuse("missing required attribute 'op'");
    if (!op.is_string()) return Refuse("attribute 'op' must be a string");
    Path path, from;
    if (!ReadPath(context_, path_value, path)) return false;
    const std::string_view name = op.string_value();
    if (name == "remove") return Delete(path);
    if (name == "move" || name == "copy") {
      const Value from_value = operation.Get("from");
      if (from_value.is_undefined()) return Refuse("missing required attribute 'from'");
      if (!ReadPath(context_, from_value, from)) return false;
      Value moved;
      if (!Find(from, moved)) return false;
      return (name == "copy" || Delete(from)) && Insert(path, moved);
    }
    if (name != "add" && name != "replace" && name != "test") {
      return Refuse("unrecognized op: '" + std::string(name) + "'");
    }
    const Value value = operation.Get("value");
    if (value.is_undefined()) return Refuse("missing required attribute 'value'");
    if (name == "add") return Insert(path, value);
    if (name == "replace") return Delete(path) && Insert(path, value);
    Value found;
    if (!Find(path, found) || !context_.Charge(internal::Weight(value) / 16)) return false;
    return Equal(found, value) || Refuse("a value is not what the operation 'test' says");
  }

  // Undefined after everything was removed.
  Value document() const { return document_; }

 private:
  bool Refuse(std::string_view why) {
    context_.Error(why);
    return false;
  }

  // OPA's index from a segment: a number or its text; "-" is the end of the array.
  bool ReadIndex(Value array, Value segment, size_t& out) {
    std::optional<int64_t> index;
    if (segment.is_number()) {
      index = segment.AsInt64();
    } else if (segment.is_string()) {
      std::string_view text = segment.string_value();
      if (text == "-") {
        out = array.size();
        return true;
      }
      if (text.size() > 1 && text[0] == '0') {
        return Refuse("leading zeros are not allowed in JSON paths");
      }
      if (text.starts_with('+')) text.remove_prefix(1);
      const Value number = MakeNumber(context_.arena(), text);
      if (number.is_number()) index = number.AsInt64();
    }
    if (!index) return Refuse("not an index of an array");
    if (*index < 0) return Refuse("an index of an array is out of bounds");
    out = static_cast<size_t>(*index);
    return true;
  }

  // The member of `container` that a segment names.
  bool Child(Value container, Value segment, Value& out) {
    if (container.is_array()) {
      size_t index;
      if (!ReadIndex(container, segment, index)) return false;
      out = container.At(index);
    } else if (container.is_collection()) {
      out = container.Get(segment);
    } else {
      return Refuse("a path leads through what is no collection");
    }
    return !out.is_undefined() || Refuse("a path does not exist");
  }

  bool Find(const Path& path, Value& out) {
    out = document_;
    for (const Value segment : path) {
      if (!Child(out, segment, out)) return false;
    }
    return !out.is_undefined() || Refuse("the document was removed");
  }

  bool Insert(const Path& path, Value value) { return Change(path, value, document_); }
  bool Delete(const Path& path) {
    if (document_.is_undefined()) return Refuse("the document was removed");
    return Change(path, Value(), document_);
  }

  // Puts `value` at the path, or with an undefined one removes what is there.
  bool Change(const Path& path, Value value, Value& document) {
    if (path.empty()) {
      document = value;
      return true;
    }
    std::vector<Value> containers{document};
    for (size_t i = 0; i + 1 < path.size(); ++i) {
      Value child;
      if (!Child(containers.back(), path[i], child)) return false;
      containers.push_back(child);
    }
    for (const Value container : containers) {
      if (!context_.Charge(1 + container.size())) return false;
    }
    Value edited;
    if (!ChangeLast(containers.back(), path.back(), value, edited)) return false;
    for (size_t i = containers.size() - 1; i-- > 0;) {
      if (!Rebuild(containers[i], path[i], edited, edited)) return false;
    }
    document = edited;
    return true;
  }

  bool ChangeLast(Value container, Value segment, Value value, Value& out) {
    if (container.is_array()) {
      size_t index;
      if (!ReadIndex(container, segment, index)) return false;
      const bool insert = !value.is_undefined();
      if (index > container.size() || (!insert && index == container.size())) {
        return Refuse("an index of an array is out of bounds");
      }
      ArrayBuilder array(context_.arena(), container.size() + 1);
      for (size_t i = 0; i <= container.size(); ++i) {
        if (i == index && insert) array.Add(value);
        if (i < container.size() && (i != index || insert)) array.Add(container.At(i));
      }
      return Done(array.Build(), out);
    }
    if (!container.is_collection()) return Refuse("a path leads through what is no collection");
    if (value.is_undefined()) {
      Value old;
      return Child(container, segment, old) && Rebuild(container, segment, Value(), out);
    }
    if (container.is_object()) return Rebuild(container, segment, value, out);
    if (!Equal(segment, value)) return Refuse("the path does not end with the element of a set");
    return Rebuild(container, segment, value, out);
  }

  // `container` with `value` in place of what the segment names, if anything; without that when
  // `value` is undefined.
  bool Rebuild(Value container, Value segment, Value value, Value& out) {
    Arena& arena = context_.arena();
    if (container.is_object()) {
      ObjectBuilder object(arena, container.size() + 1);
      for (const Member& member : container.members()) {
        if (!Equal(member.key, segment)) object.Add(member.key, member.value);
      }
      object.Add(segment, value);
      return Done(object.Build(), out);
    }
    if (container.is_set()) {
      SetBuilder set(arena, container.size() + 1);
      for (const Value element : container.elements()) {
        if (!Equal(element, segment)) set.Add(element);
      }
      if (!value.is_undefined()) set.Add(value);
      return Done(set.Build(), out);
    }
    size_t index;
    if (!ReadIndex(container, segment, index)) return false;
    ArrayBuilder array(arena, container.size());
    for (size_t i = 0; i < container.size(); ++i) array.Add(i == index ? value : container.At(i));
    return Done(array.Build(), out);
  }

  bool Done(Value built, Value& out) {
    out = built;
    return !built.is_undefined() || Refuse("the patched document becomes too large");
  }

  BuiltinContext& context_;
  Value document_;
};

Value JsonPatch(BuiltinContext& context, const Value* args) {
  AEGIS_TYPED_ARG(1, is_array, "array");
  if (!context.Charge(internal::Weight(args[1]) / 4)) return Value();
  Patch patch(context, args[0]);
  for (const Value operation : args[1].elements()) {
    if (!patch.Apply(operation)) return Value();
  }
  return patch.document().is_undefined() ? context.Error("the document was removed")
                                         : patch.document();
}

constexpr Builtin kBuiltins[] = {
    {"json.filter", 2, Filter},
    {"json.remove", 2, Remove},
    {"json.patch", 2, JsonPatch},
};

}  // namespace

std::span<const Builtin> JsonEditBuiltins() { return kBuiltins; }

}  // namespace aegis::rego
