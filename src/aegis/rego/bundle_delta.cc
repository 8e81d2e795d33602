#include "aegis/rego/bundle_delta.h"

#include <algorithm>
#include <charconv>
#include <map>
#include <optional>

#include "aegis/base/text.h"
#include "aegis/crypto/digest.h"
#include "aegis/rego/bundle.h"
#include "aegis/rego/pointer.h"

namespace aegis::rego {
namespace {

using json::Tree;
using Kind = PatchOperation::Kind;

constexpr int kMaxDepth = 256;
constexpr json::TreeLimits kLimits{.max_bytes = size_t{1} << 30, .max_depth = kMaxDepth};
// List elements that one patch may move: inserting at the front of a long list again and again
// would take time out of proportion to the patch.
constexpr size_t kMaxMoves = 50'000'000;

tl::unexpected<Error> Malformed(std::string message) {
  return Fail(Code::kInvalidArgument, "bundle_malformed", "patch.json: " + std::move(message));
}
tl::unexpected<Error> Refused(std::string message) {
  return Fail(Code::kFailedPrecondition, "bundle_delta", "patch.json: " + std::move(message));
}

int HexDigit(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  if (c >= 'a' && c <= 'f') return c - 'a' + 10;
  if (c >= 'A' && c <= 'F') return c - 'A' + 10;
  return -1;
}

// Percent-decoding, then ~1 and ~0; nothing when a '%' is not followed by two digits.
std::optional<std::string> Unescape(std::string_view text) {
  std::string decoded;
  for (size_t i = 0; i < text.size(); ++i) {
    if (text[i] != '%') {
      decoded += text[i];
      continue;
    }
    if (i + 2 >= text.size()) return std::nullopt;
    const int high = HexDigit(text[i + 1]), low = HexDigit(text[i + 2]);
    if (high < 0 || low < 0) return std::nullopt;
    decoded += static_cast<char>(high << 4 | low);
    i += 2;
  }
  if (!IsValidUtf8(decoded)) return std::nullopt;
  return internal::UnescapePointer(decoded);
}

Result<std::vector<std::string>> ParsePath(std::string_view text) {
  while (text.starts_with('/')) text.remove_prefix(1);
  while (text.ends_with('/')) text.remove_suffix(1);
  if (text.empty()) return Malformed("a path names the whole document; name what is to change");
  std::vector<std::string> path;
  for (const std::string_view part : Split(text, '/')) {
    std::optional<std::string> segment = Unescape(part);
    if (!segment) return Malformed("a path has a bad escape");
    if (path.size() == kMaxDepth) return Malformed("a path is too deep");
    path.push_back(*std::move(segment));
  }
  return path;
}

// A document that can be changed. What no patch touched stays the parsed text's.
struct Node {
  enum class Kind : uint8_t { kLeaf, kObject, kList };
  Kind kind = Kind::kLeaf;
  Tree leaf{};
  std::map<std::string, Node, std::less<>> members{};
  std::vector<Node> elements{};

  // Makes an object or a list changeable, one level deep.
  void Open() {
    if (kind != Kind::kLeaf) return;
    if (leaf.is_object()) {
      kind = Kind::kObject;
      for (const json::Member& member : leaf.members()) {
        members.emplace_hint(members.end(), member.name, Node{.leaf = member.value});
      }
    } else if (leaf.is_array()) {
      kind = Kind::kList;
      elements.reserve(leaf.elements().size());
      for (const Tree& element : leaf.elements()) elements.push_back(Node{.leaf = element});
    }
  }

  void AppendTo(std::string& out) const {
    if (kind == Kind::kLeaf) return json::AppendTree(out, leaf);
    bool first = true;
    const auto comma = [&] {
      if (!first) out += ',';
      first = false;
    };
    out += kind == Kind::kObject ? '{' : '[';
    for (const auto& [name, member] : members) {
      comma();
      json::AppendQuoted(out, name);
      out += ':';
      member.AppendTo(out);
    }
    for (const Node& element : elements) {
      comma();
      element.AppendTo(out);
    }
    out += kind == Kind::kObject ? '}' : ']';
  }
};

// As OPA: decimal without leading zeros, within the list.
std::optional<size_t> ListIndex(std::string_view text, size_t size) {
  if (text.empty() || (text.size() > 1 && text[0] == '0')) return std::nullopt;
  size_t index = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), index);
  if (error != std::errc() || end != text.data() + text.size() || index >= size)
    return std::nullopt;
  return index;
}

class Patcher {
 public:
  explicit Patcher(const Tree& data) { root_.leaf = data; }

  Status Apply(const PatchOperation& operation) {
    Node* at = &root_;
    for (size_t i = 0; i + 1 < operation.path.size(); ++i) {
      at = Step(*at, operation.path[i], operation.kind == Kind::kUpsert);
      if (at == nullptr) return NotThere(operation.path);
    }
    at->Open();
    const std::string& last = operation.path.back();
    if (at->kind == Node::Kind::kObject) return ApplyToObject(*at, last, operation);
    if (at->kind == Node::Kind::kList) return ApplyToList(*at, last, operation);
    return NotThere(operation.path);
  }

  std::string Text() const {
    std::string out;
    root_.AppendTo(out);
    return out;
  }

 private:
  static tl::unexpected<Error> NotThere(const std::vector<std::string>& path) {
    std::string text;
    for (const std::string& part : path) text += '/' + part;
    return Refused("there is nothing at " + text);
  }

  // What `key` names in `node`; with `make`, a member that an object lacks is made an object.
  static Node* Step(Node& node, const std::string& key, bool make) {
    node.Open();
    if (node.kind == Node::Kind::kList) {
      const std::optional<size_t> index = ListIndex(key, node.elements.size());
      return index ? &node.elements[*index] : nullptr;
    }
    if (node.kind != Node::Kind::kObject) return nullptr;
    const auto found = node.members.find(key);
    if (found != node.members.end()) return &found->second;
    if (!make) return nullptr;
    return &node.members.emplace(key, Node{.kind = Node::Kind::kObject}).first->second;
  }

  static Status ApplyToObject(Node& object, const std::string& key,
                              const PatchOperation& operation) {
    const auto found = object.members.find(key);
    if (operation.kind != Kind::kUpsert && found == object.members.end())
      return NotThere(operation.path);
    if (operation.kind == Kind::kRemove) {
      object.members.erase(found);
    } else {
      object.members[key] = Node{.leaf = operation.value};
    }
    return Ok();
  }

  Status ApplyToList(Node& list, const std::string& key, const PatchOperation& operation) {
    std::vector<Node>& elements = list.elements;
    std::optional<size_t> index = ListIndex(key, elements.size());
    if (operation.kind == Kind::kUpsert && (key == "-" || key == std::to_string(elements.size()))) {
      index = elements.size();
    }
    if (!index) return NotThere(operation.path);
    if (operation.kind == Kind::kReplace) {
      elements[*index] = Node{.leaf = operation.value};
      return Ok();
    }
    moves_ += elements.size() - *index;
    if (moves_ > kMaxMoves) {
      return Fail(Code::kResourceExhausted, "bundle_too_large",
                  "patch.json moves too many elements of long lists; send the list as a whole");
    }
    const auto place = elements.begin() + static_cast<std::ptrdiff_t>(*index);
    if (operation.kind == Kind::kUpsert) {
      elements.insert(place, Node{.leaf = operation.value});
    } else {
      elements.erase(place);
    }
    return Ok();
  }

  Node root_;
  size_t moves_ = 0;
};

bool Below(const std::vector<std::string>& path, std::string_view root) {
  if (root.empty()) return true;
  const std::vector<std::string_view> parts = Split(root, '/');
  return path.size() >= parts.size() && std::equal(parts.begin(), parts.end(), path.begin());
}

}  // namespace

Result<std::vector<PatchOperation>> ParsePatch(std::string_view text, Arena& arena) {
  const Result<Tree> root = json::ParseTree(text, arena, kLimits);
  if (!root) return Malformed(root.error().message);
  const Tree* list = root->Find("data");
  if (list == nullptr || !list->is_array()) return Malformed("\"data\" is not a list");
  if (list->elements().empty()) {
    return Malformed(
        "the list of changes is empty; OPA would take this for a whole bundle and drop all data");
  }
  std::vector<PatchOperation> operations;
  operations.reserve(list->elements().size());
  for (const Tree& entry : list->elements()) {
    const std::optional<std::string_view> op = entry.FindString("op");
    const std::optional<std::string_view> path = entry.FindString("path");
    if (!op || !path) return Malformed("a change lacks \"op\" or \"path\"");
    PatchOperation operation{};
    if (*op == "upsert") {
      operation.kind = Kind::kUpsert;
    } else if (*op == "remove") {
      operation.kind = Kind::kRemove;
    } else if (*op == "replace") {
      operation.kind = Kind::kReplace;
    } else {
      return Malformed("a change has an \"op\" other than upsert, remove and replace");
    }
    AEGIS_TRY(operation.path, ParsePath(*path));
    if (const Tree* value = entry.Find("value")) operation.value = *value;
    operations.push_back(std::move(operation));
  }
  return operations;
}

Status ApplyDelta(const Bundle& delta, Bundle& base, size_t max_data_bytes) {
  if (delta.patch_json.empty()) return Refused("the bundle is not a delta bundle");
  std::vector<std::string> wanted = base.manifest.roots, got = delta.manifest.roots;
  std::sort(wanted.begin(), wanted.end());
  std::sort(got.begin(), got.end());
  if (wanted != got) return Refused("its roots differ from those of the bundle that it changes");
  Arena arena(256 * 1024);
  AEGIS_TRY(const std::vector<PatchOperation> operations, ParsePatch(delta.patch_json, arena));
  const Result<Tree> data = json::ParseTree(base.data_json, arena, kLimits);
  if (!data) return Malformed(data.error().message);
  Patcher patcher(*data);
  for (const PatchOperation& operation : operations) {
    const bool inside = std::any_of(wanted.begin(), wanted.end(), [&](const std::string& root) {
      return Below(operation.path, root);
    });
    if (!inside) return Refused("it changes data outside of the manifest's roots");
    AEGIS_RETURN_IF_ERROR(patcher.Apply(operation));
  }
  std::string text = patcher.Text();
  if (text.size() > max_data_bytes) {
    return Fail(Code::kResourceExhausted, "bundle_too_large",
                "the changed data has more than " + std::to_string(max_data_bytes) + " bytes");
  }
  base.data_json = std::move(text);
  base.manifest.revision = delta.manifest.revision;
  base.sha256 = crypto::Sha256Hex(base.sha256 + ' ' + delta.sha256);
  base.content_sha256 = crypto::Sha256Hex(base.content_sha256 + ' ' + delta.content_sha256);
  base.verified = false;  // not all of what is in force is signed any more
  return Ok();
}

}  // namespace aegis::rego
