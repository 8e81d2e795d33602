#include "aegis/rego/bundle_data.h"

#include <algorithm>
#include <map>

#include "aegis/base/arena.h"
#include "aegis/base/text.h"
#include "aegis/json/tree.h"

namespace aegis::rego {
namespace {

using json::Tree;

constexpr json::TreeLimits kDataLimits{.max_bytes = size_t{1} << 30, .max_depth = 256};

tl::unexpected<Error> Malformed(std::string message) {
  return Fail(Code::kInvalidArgument, "bundle_malformed", std::move(message));
}

// Part of the data that is still being put together: an object with children, or a finished value.
struct Node {
  std::map<std::string, Node, std::less<>> children;
  const Tree* leaf = nullptr;
};

bool Merge(Node& into, const Tree& value, bool fresh) {
  if (!value.is_object()) {
    if (!fresh) return false;
    into.leaf = &value;
    return true;
  }
  if (into.leaf != nullptr) return false;
  for (const json::Member& member : value.members()) {
    const auto [child, added] = into.children.try_emplace(std::string(member.name));
    if (!Merge(child->second, member.value, added)) return false;
  }
  return true;
}

void Append(std::string& out, const Node& node) {
  if (node.leaf != nullptr) {
    json::AppendTree(out, *node.leaf);
    return;
  }
  out += '{';
  bool first = true;
  for (const auto& [name, child] : node.children) {
    if (!first) out += ',';
    first = false;
    json::AppendQuoted(out, name);
    out += ':';
    Append(out, child);
  }
  out += '}';
}

// Whether `path` is `root` or below it; both are components with '/' between them.
bool Below(std::string_view path, std::string_view root) {
  return root.empty() ||
         (path.starts_with(root) && (path.size() == root.size() || path[root.size()] == '/'));
}

Status CheckRoots(const Tree& value, const std::string& path,
                  const std::vector<std::string>& roots) {
  for (const std::string& root : roots) {
    if (Below(path, root)) return Ok();
  }
  // Objects on the way to a root hold nothing of their own.
  const bool leads_to_root = std::any_of(
      roots.begin(), roots.end(), [&](const std::string& root) { return Below(root, path); });
  if (!value.is_object() || !leads_to_root) {
    return Malformed("the bundle has data outside of its manifest's roots, at " + path);
  }
  for (const json::Member& member : value.members()) {
    const std::string below =
        path.empty() ? std::string(member.name) : path + '/' + std::string(member.name);
    AEGIS_RETURN_IF_ERROR(CheckRoots(member.value, below, roots));
  }
  return Ok();
}

Result<std::vector<std::string>> ReadRoots(const Tree& list) {
  if (!list.is_array()) return Malformed(".manifest: \"roots\" is not an array");
  std::vector<std::string> roots;
  for (const Tree& entry : list.elements()) {
    if (!entry.is_string()) return Malformed(".manifest: a root is not a string");
    std::string_view root = entry.text();
    while (root.starts_with('/')) root.remove_prefix(1);
    while (root.ends_with('/')) root.remove_suffix(1);
    for (const std::string& other : roots) {
      if (Below(root, other) || Below(other, root))
        return Malformed(".manifest: two roots overlap");
    }
    roots.emplace_back(root);
  }
  return roots;
}

}  // namespace

Result<std::string> MergeDataFiles(std::span<BundleFile* const> files,
                                   const std::vector<std::string>& roots) {
  if (files.empty()) return std::string("{}");
  Arena arena(256 * 1024);
  std::vector<Tree> trees;
  trees.reserve(files.size());
  Node merged;
  for (const BundleFile* file : files) {
    Result<Tree> tree = json::ParseTree(file->content, arena, kDataLimits);
    if (!tree) return Malformed(file->name + ": " + tree.error().message);
    trees.push_back(*tree);
    Node* at = &merged;
    bool fresh = false;
    std::vector<std::string_view> path = Split(file->name, '/');
    path.pop_back();
    for (const std::string_view component : path) {
      if (at->leaf != nullptr) return Malformed(file->name + " contradicts another data.json");
      const auto [child, added] = at->children.try_emplace(std::string(component));
      at = &child->second;
      fresh = added;
    }
    if (path.empty() && !tree->is_object())
      return Malformed("data.json at the top is not an object");
    // One file at the top, the usual case, needs no merging.
    if (path.empty() && files.size() == 1) break;
    if (!Merge(*at, trees.back(), fresh))
      return Malformed(file->name + " contradicts another data.json");
  }
  if (files.size() == 1 && files[0]->name == "data.json") {
    AEGIS_RETURN_IF_ERROR(CheckRoots(trees[0], "", roots));
    return std::move(files[0]->content);
  }
  std::string out;
  Append(out, merged);
  AEGIS_TRY(const Tree whole,
            json::ParseTree(out, arena, {kDataLimits.max_bytes, 2 * kDataLimits.max_depth}));
  AEGIS_RETURN_IF_ERROR(CheckRoots(whole, "", roots));
  return out;
}

Result<Manifest> ParseManifest(std::string_view text) {
  Arena arena;
  const Result<Tree> tree =
      json::ParseTree(text, arena, {.max_bytes = size_t{16} << 20, .max_depth = 64});
  if (!tree) return Malformed(".manifest: " + tree.error().message);
  if (!tree->is_object()) return Malformed(".manifest is not an object");
  Manifest manifest;
  if (const Tree* revision = tree->Find("revision")) {
    if (!revision->is_string()) return Malformed(".manifest: \"revision\" is not a string");
    manifest.revision = revision->text();
  }
  if (const Tree* roots = tree->Find("roots");
      roots != nullptr && roots->kind() != Tree::Kind::kNull) {
    AEGIS_TRY(manifest.roots, ReadRoots(*roots));
  }
  if (const Tree* version = tree->Find("rego_version");
      version && version->kind() != Tree::Kind::kNull) {
    const std::optional<int64_t> number = version->AsInt64();
    if (!number || *number < 0 || *number > 2)
      return Malformed(".manifest: \"rego_version\" is not 0, 1 or 2");
    manifest.rego_version = static_cast<int>(*number);
  }
  if (const Tree* metadata = tree->Find("metadata");
      metadata && metadata->kind() != Tree::Kind::kNull) {
    if (!metadata->is_object()) return Malformed(".manifest: \"metadata\" is not an object");
    manifest.metadata_json.clear();
    json::AppendTree(manifest.metadata_json, *metadata);
  }
  return manifest;
}

std::string ManifestJson(const Manifest& manifest) {
  std::string out = R"({"metadata":)" + manifest.metadata_json + R"(,"rego_version":)" +
                    std::to_string(manifest.rego_version) + R"(,"revision":)";
  json::AppendQuoted(out, manifest.revision);
  out += R"(,"roots":[)";
  for (const std::string& root : manifest.roots) {
    if (&root != &manifest.roots.front()) out += ',';
    json::AppendQuoted(out, root);
  }
  return out + "]}";
}

}  // namespace aegis::rego
