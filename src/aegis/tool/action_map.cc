#include "aegis/tool/action_map.h"

#include <algorithm>

#include "aegis/tool/loose_name.h"

namespace aegis::tool {

using Kind = PathTemplate::Kind;

MappedAction::MappedAction(const Action& action, const PathTemplate& path)
    : name_(action.name), bodies_(action.bodies), params_(action.params) {
  for (const PathTemplate::Segment& segment : path.segments) {
    if (segment.kind == Kind::kLiteral || segment.text.empty()) continue;
    const auto declared = std::find_if(params_.begin(), params_.end(), [&](const Param& param) {
      return param.place == Place::kPath && param.sent_as == segment.text;
    });
    variables_.push_back(static_cast<uint32_t>(declared - params_.begin()));
    if (declared == params_.end()) {
      params_.push_back({segment.text, segment.text, Place::kPath, Type::kString, false});
    }
  }
  for (uint32_t i = 0; i < params_.size(); ++i) {
    const Param& param = params_[i];
    if (param.place == Place::kHeader) from_headers_.push_back(param);
    if (param.place == Place::kCookie) from_cookies_.push_back(param);
    names_.push_back({LooseName(param.name), i, false});
    names_.push_back({LooseName(param.sent_as), i, true});
  }
  std::sort(names_.begin(), names_.end(),
            [](const Name& a, const Name& b) { return a.loose < b.loose; });
}

MappedAction::Field MappedAction::Find(Place place, std::string_view name, std::string_view loose,
                                       const Param** param) const {
  auto at = std::lower_bound(names_.begin(), names_.end(), loose,
                             [](const Name& a, std::string_view b) { return a.loose < b; });
  const Param* declared = nullptr;
  const auto first = at;
  for (; at != names_.end() && at->loose == loose; ++at) {
    const Param& known = params_[at->param];
    const bool here = known.place == place || known.place == Place::kAnywhere;
    if (!at->sent || !here) continue;
    if (known.sent_as != name) return Field::kRefused;
    declared = &known;
  }
  // The name by which policy knows another param.
  for (at = first; at != names_.end() && at->loose == loose; ++at) {
    if (!at->sent && &params_[at->param] != declared) return Field::kRefused;
  }
  *param = declared;
  return declared == nullptr ? Field::kPlain : Field::kDeclared;
}

ActionMap::ActionMap(const Spec& spec) : nodes_(1), unmapped_(spec.unmapped) {
  if (spec.actions.empty()) unmapped_ = Unmapped::kSegment;
  for (const Action& action : spec.actions) {
    PathTemplate path;
    // ReadSpec has parsed it before.
    if (ParsePathTemplate(action.path, &path).empty()) Insert(action, path);
  }
}

ActionMap ActionMap::RefusingAll() { return {}; }

uint32_t ActionMap::ChildFor(uint32_t node, const PathTemplate::Segment& segment) {
  const auto next = static_cast<uint32_t>(nodes_.size());
  if (segment.kind == Kind::kVariable) {
    if (nodes_[node].variable != 0) return nodes_[node].variable;
    nodes_[node].variable = next;
  } else {
    std::string folded(segment.text.size(), '\0');
    folded.resize(FoldCase(segment.text, folded.data()));
    auto& literals = nodes_[node].literals;
    const auto at =
        std::lower_bound(literals.begin(), literals.end(), folded,
                         [](const Node::Literal& a, const std::string& b) { return a.folded < b; });
    if (at != literals.end() && at->folded == folded) return at->node;
    literals.insert(at, {std::move(folded), segment.text, next});
  }
  nodes_.emplace_back();
  return next;
}

void ActionMap::Insert(const Action& action, const PathTemplate& path) {
  const auto index = static_cast<uint32_t>(actions_.size());
  actions_.emplace_back(action, path);
  uint32_t node = 0;
  for (const PathTemplate::Segment& segment : path.segments) {
    if (segment.kind == Kind::kRest) {
      nodes_[node].rests.push_back({action.method, index, false});
      return;
    }
    node = ChildFor(node, segment);
  }
  nodes_[node].ends.push_back({action.method, index, path.slash});
}

struct ActionMap::Search {
  std::string_view method;
  std::string_view path;
  std::array<std::string_view, kMaxSegments> segments{};  // the first ones
  size_t count = 0;                                       // of all
  bool slash = false;                                     // the path ends with '/'
  size_t variables = 0;
  Match* match = nullptr;
};

bool ActionMap::TakeLeaf(Search& search, const std::vector<Leaf>& leaves, size_t depth,
                         bool exact) const {
  const bool is_rest = depth < search.count;
  for (const Leaf& leaf : leaves) {
    if (leaf.method != search.method) {
      search.match->kind = Match::Kind::kOtherMethod;
      continue;
    }
    search.match->action = &actions_[leaf.action];
    search.match->kind = exact && (is_rest || leaf.slash == search.slash) ? Match::Kind::kFound
                                                                          : Match::Kind::kDoubtful;
    if (is_rest && search.match->action->variable_count() > search.variables) {
      const char* const begin = search.segments[depth].data();
      search.match->variables[search.variables] =
          search.path.substr(static_cast<size_t>(begin - search.path.data()));
    }
    return true;
  }
  return false;
}

// Each node is visited once at most, since one way leads to it.
bool ActionMap::Descend(Search& search, uint32_t node_index, size_t depth, bool exact) const {
  const Node& node = nodes_[node_index];
  if (depth == search.count) return TakeLeaf(search, node.ends, depth, exact);
  if (depth == kMaxSegments) return false;  // no template goes on here
  const std::string_view segment = search.segments[depth];
  const auto literal = std::lower_bound(
      node.literals.begin(), node.literals.end(), segment,
      [](const Node::Literal& a, std::string_view b) { return CompareFolded(b, a.folded) > 0; });
  if (literal != node.literals.end() && CompareFolded(segment, literal->folded) == 0 &&
      Descend(search, literal->node, depth + 1, exact && segment == literal->exact)) {
    return true;
  }
  if (node.variable != 0) {
    search.match->variables[search.variables++] = segment;
    if (Descend(search, node.variable, depth + 1, exact)) return true;
    --search.variables;
  }
  return TakeLeaf(search, node.rests, depth, exact);
}

void ActionMap::Find(std::string_view method, std::string_view path, Match* match) const {
  match->kind = Match::Kind::kNone;
  match->action = nullptr;
  Search search;
  search.method = method;
  search.path = path;
  search.match = match;
  search.slash = path.size() > 1 && path.ends_with('/');
  std::string_view left = path.substr(1, path.size() - 1 - (search.slash ? 1 : 0));
  while (!left.empty()) {
    const size_t end = std::min(left.find('/'), left.size());
    if (search.count < kMaxSegments) search.segments[search.count] = left.substr(0, end);
    ++search.count;
    left.remove_prefix(std::min(end + 1, left.size()));
  }
  Descend(search, 0, 0, true);
}

}  // namespace aegis::tool
