#include "aegis/policy/check.h"

#include <algorithm>
#include <unordered_set>

#include "aegis/base/text.h"

namespace aegis::policy {
namespace {

std::string Quoted(std::string_view text) { return "'" + std::string(text) + "'"; }

bool IsCount(const Node& node) {
  return node.kind == Node::Kind::kNumber && node.text.size() <= 9 &&
         node.text.find_first_not_of("0123456789") == std::string::npos;
}

bool ShapeFits(const Node& node, Shape shape) {
  switch (shape) {
    case Shape::kText:
      return node.kind == Node::Kind::kString;
    case Shape::kBool:
      return node.kind == Node::Kind::kBool;
    case Shape::kNumber:
      return node.kind == Node::Kind::kNumber;
    case Shape::kCount:
      return IsCount(node);
    case Shape::kScalar:
      return node.kind == Node::Kind::kString || node.kind == Node::Kind::kNumber ||
             node.kind == Node::Kind::kBool;
    case Shape::kList:
      return node.kind == Node::Kind::kList;
    case Shape::kMap:
      return node.kind == Node::Kind::kMap;
    case Shape::kValue:
    case Shape::kChoice:
      return true;
  }
  return false;
}

class Checker {
 public:
  explicit Checker(const Reporter& reporter) : reporter_(reporter) {}
  bool clean() const { return clean_; }

  void Check(const Node& node, const Type& type, const std::string& what) {
    if (type.shape == Shape::kChoice) {
      for (const Type* option : type.options) {
        if (ShapeFits(node, option->shape)) return Check(node, *option, what);
      }
      return WrongKind(node, type, what);
    }
    if (!ShapeFits(node, type.shape)) return WrongKind(node, type, what);
    if (type.shape == Shape::kText) return CheckText(node, type, what);
    if (type.shape == Shape::kList) return CheckList(node, type, what);
    if (type.shape == Shape::kMap) return CheckMap(node, type, what);
  }

 private:
  void Error(uint32_t offset, std::string message) {
    clean_ = false;
    reporter_.Error(offset, std::move(message));
  }

  void WrongKind(const Node& node, const Type& type, const std::string& what) {
    std::string message = what + " must be " + std::string(type.expected);
    if (!type.allowed.empty()) message += " (" + ListOf(type.allowed) + ")";
    message += ", found " + Describe(node);
    const bool scalar = node.kind == Node::Kind::kNumber || node.kind == Node::Kind::kBool;
    if (scalar && type.shape == Shape::kText) message += "; put it in quotes if text is meant";
    if (node.kind == Node::Kind::kString && !node.plain &&
        (type.shape == Shape::kNumber || type.shape == Shape::kCount ||
         type.shape == Shape::kBool)) {
      message += "; take the quotes off";
    }
    Error(node.offset, std::move(message));
  }

  void CheckText(const Node& node, const Type& type, const std::string& what) {
    if (!type.allowed.empty()) {
      for (const std::string_view word : type.allowed) {
        if (word == node.text) return;
      }
      std::string message = what + " must be " + ListOf(type.allowed) + ", found " + Describe(node);
      if (const auto near = NearestSpelling(node.text, type.allowed)) {
        message += "; did you mean " + Quoted(*near) + "?";
      }
      return Error(node.offset, std::move(message));
    }
    if (type.max_bytes > 0 && node.text.size() > type.max_bytes) {
      return Error(node.offset,
                   what + " is longer than " + std::to_string(type.max_bytes) + " bytes");
    }
    if (type.check == nullptr) return;
    const std::string problem = type.check(node.text);
    if (problem.empty()) return;
    Error(node.offset,
          what + (node.text.empty() ? " " : " " + Quoted(Shorten(node.text)) + " ") + problem);
  }

  void CheckSize(uint32_t offset, size_t size, const Type& type, const std::string& what,
                 std::string_view unit) {
    if (size < type.min_size) {
      Error(offset, what + " must not be empty: it must be " + std::string(type.expected));
    }
    if (type.max_size > 0 && size > type.max_size) {
      Error(offset, what + " has " + std::to_string(size) + " " + std::string(unit) + ", at most " +
                        std::to_string(type.max_size) + " are allowed");
    }
  }

  void CheckList(const Node& node, const Type& type, const std::string& what) {
    CheckSize(node.offset, node.items.size(), type, what, "items");
    std::unordered_set<std::string_view> seen;
    for (const Node* item : node.items) {
      Check(*item, *type.element, "an item of " + what);
      if (!type.unique || item->kind != Node::Kind::kString) continue;
      if (!seen.insert(item->text).second) {
        Error(item->offset, what + " names " + Quoted(Shorten(item->text)) + " twice; remove one");
      }
    }
  }

  void CheckMap(const Node& node, const Type& type, const std::string& what) {
    CheckSize(node.offset, node.members.size(), type, what, "keys");
    // Keys that an unknown one probably means: not reported as missing too.
    std::vector<std::string_view> meant;
    for (const Node::Member& member : node.members) CheckMember(member, type, what, meant);
    for (const Key& key : type.keys) {
      if (key.required && node.Find(key.name) == nullptr && !Contains(meant, key.name)) {
        Error(node.offset, what + " has no " + Quoted(key.name) + "; add it: " + Example(key));
      }
    }
    CheckExactlyOne(node, type, what, meant);
  }

  static std::string Example(const Key& key) { return std::string(key.type->expected); }
  static bool Contains(std::span<const std::string_view> words, std::string_view word) {
    return std::find(words.begin(), words.end(), word) != words.end();
  }

  void CheckExactlyOne(const Node& node, const Type& type, const std::string& what,
                       std::span<const std::string_view> meant) {
    if (type.exactly_one.empty()) return;
    const Node::Member* first = nullptr;
    for (const Node::Member& member : node.members) {
      if (!Contains(type.exactly_one, member.key)) continue;
      if (first != nullptr) {
        Error(member.key_offset, what + " has both " + Quoted(first->key) + " and " +
                                     Quoted(member.key) + "; keep one of them");
      } else {
        first = &member;
      }
    }
    const bool any_meant = std::any_of(meant.begin(), meant.end(), [&](std::string_view word) {
      return Contains(type.exactly_one, word);
    });
    if (first == nullptr && !any_meant) {
      Error(node.offset, what + " does not say for whom it is; add " + ListOf(type.exactly_one));
    }
  }

  void CheckMember(const Node::Member& member, const Type& type, const std::string& what,
                   std::vector<std::string_view>& meant) {
    for (const Key& key : type.keys) {
      if (key.name != member.key) continue;
      if (key.type == nullptr) {
        return Error(member.key_offset, Quoted(key.name) + " is not supported yet; remove it (" +
                                            std::string(key.doc) + ")");
      }
      return Check(*member.value, *key.type, Quoted(key.name));
    }
    const std::string name = Quoted(Shorten(member.key));
    if (type.element == nullptr) return UnknownKey(member, type, what, meant);
    if (type.check_key != nullptr) {
      const std::string problem = type.check_key(member.key);
      if (!problem.empty()) {
        return Error(member.key_offset,
                     "the " + std::string(type.key_word) + " " + name + " " + problem);
      }
    }
    for (const KeyFamily& family : type.families) {
      if (member.key.size() > family.prefix.size() && member.key.starts_with(family.prefix)) {
        return Check(*member.value, *family.type, name);
      }
    }
    Check(*member.value, *type.element, name);
  }

  void UnknownKey(const Node::Member& member, const Type& type, const std::string& what,
                  std::vector<std::string_view>& meant) {
    std::vector<std::string_view> known;
    std::vector<std::string_view> supported;
    for (const Key& key : type.keys) {
      known.push_back(key.name);
      if (key.type != nullptr) supported.push_back(key.name);
    }
    std::string message =
        "unknown " + std::string(type.key_word) + " " + Quoted(Shorten(member.key)) + " in " + what;
    if (const auto near = NearestSpelling(member.key, known)) {
      message += "; did you mean " + Quoted(*near) + "?";
      meant.push_back(*near);
    } else {
      message += "; known here: ";
      for (size_t i = 0; i < supported.size(); ++i) {
        message.append(i > 0 ? ", " : "").append(supported[i]);
      }
    }
    Error(member.key_offset, std::move(message));
  }

  const Reporter& reporter_;
  bool clean_ = true;
};

}  // namespace

bool CheckNode(const Node& node, const Type& type, std::string_view what,
               const Reporter& reporter) {
  Checker checker(reporter);
  checker.Check(node, type, std::string(what));
  return checker.clean();
}

}  // namespace aegis::policy
