#include "aegis/policy/condition_reader.h"

#include <algorithm>
#include <array>
#include <unordered_map>

#include "aegis/policy/contradiction.h"

namespace aegis::policy {
namespace {

struct Placed {
  Condition condition;
  uint32_t offset;
};

std::optional<Op> OpOf(std::string_view name) {
  const std::span<const Key> keys = OperatorKeys();
  for (size_t i = 0; i < keys.size(); ++i) {
    if (keys[i].name == name) return static_cast<Op>(i);
  }
  return std::nullopt;
}

std::string Json(const Node& node) {
  std::string text;
  AppendJson(node, text);
  return text;
}

bool IsOne(Op op, std::initializer_list<Op> ops) {
  return std::find(ops.begin(), ops.end(), op) != ops.end();
}

Condition MakeCondition(Op op, std::string_view path, const Node& bound) {
  Condition condition;
  condition.op = op;
  condition.path = path;
  condition.bound = Json(bound);
  const bool text_parts =
      IsOne(op, {Op::kCidr, Op::kDomain, Op::kMatches, Op::kStartsWith, Op::kEndsWith, Op::kType});
  auto part = [&](const Node& node) {
    condition.values.push_back(text_parts && node.kind == Node::Kind::kString ? node.text
                                                                              : Json(node));
  };
  if (bound.kind == Node::Kind::kList && IsOne(op, {Op::kIn, Op::kNotIn, Op::kCidr, Op::kDomain})) {
    for (const Node* item : bound.items) part(*item);
  } else {
    part(bound);
  }
  return condition;
}

class ConditionReader {
 public:
  explicit ConditionReader(const Reporter& reporter) : reporter_(reporter) {}

  std::vector<Condition> Read(const Node& node) {
    for (const Node::Member& member : node.members) ReadMember(member);
    CheckTogether();
    std::vector<Condition> conditions;
    conditions.reserve(placed_.size());
    for (Placed& placed : placed_) conditions.push_back(std::move(placed.condition));
    return conditions;
  }

 private:
  void ReadMember(const Node::Member& member) {
    const Node& value = *member.value;
    if (value.kind == Node::Kind::kMap) {
      for (const Node::Member& op_member : value.members) {
        if (const auto op = OpOf(op_member.key)) {
          Add(MakeCondition(*op, member.key, *op_member.value), op_member.key_offset);
        }
      }
      return;
    }
    struct Form {
      std::string_view prefix;
      Op op;
    };
    static constexpr std::array<Form, 3> kForms = {Form{"max_", Op::kLte}, Form{"min_", Op::kGte},
                                                   Form{"allowed_", Op::kIn}};
    for (const Form& form : kForms) {
      if (!member.key.starts_with(form.prefix) || member.key.size() == form.prefix.size()) continue;
      Condition condition = MakeCondition(form.op, member.key.substr(form.prefix.size()), value);
      condition.short_form = member.key;
      CheckShortPath(condition, member);
      return Add(std::move(condition), member.key_offset);
    }
    if (value.kind == Node::Kind::kList || value.kind == Node::Kind::kNull) return;  // reported
    WarnYesNo(value);
    Add(MakeCondition(Op::kEq, member.key, value), member.key_offset);
  }

  void CheckShortPath(const Condition& condition, const Node::Member& member) {
    const std::string problem = CheckPath(condition.path);
    if (problem.empty()) return;
    reporter_.Error(member.key_offset, "the path '" + Shorten(condition.path) + "' of '" +
                                           Shorten(member.key) + "' " + problem);
  }

  // YAML 1.1 read these as booleans.
  void WarnYesNo(const Node& value) {
    if (value.kind != Node::Kind::kString || !value.plain) return;
    static constexpr std::array<std::string_view, 12> kWords = {
        "yes", "Yes", "YES", "no", "No", "NO", "on", "On", "ON", "off", "Off", "OFF"};
    if (std::find(kWords.begin(), kWords.end(), value.text) == kWords.end()) return;
    reporter_.Warn(value.offset, "'" + value.text +
                                     "' is a text in YAML 1.2; write true or false if a boolean is "
                                     "meant, else put it in quotes");
  }

  void Add(Condition condition, uint32_t offset) {
    std::vector<size_t>& same_path = by_path_[condition.path];
    for (const size_t i : same_path) {
      const Condition& other = placed_[i].condition;
      if (other.op != condition.op) continue;
      reporter_.Error(offset, "'" + Shorten(condition.path) + "' has " +
                                  std::string(OpName(condition.op)) +
                                  " twice: " + Shorten(other.Said()) + " and " +
                                  Shorten(condition.Said()) + "; keep one of them");
      return;
    }
    same_path.push_back(placed_.size());
    placed_.push_back({std::move(condition), offset});
  }

  void CheckTogether() {
    for (size_t i = 0; i < placed_.size(); ++i) {
      for (const size_t j : by_path_[placed_[i].condition.path]) {
        if (j >= i) break;
        if (!Contradict(placed_[j].condition, placed_[i].condition)) continue;
        reporter_.Warn(placed_[i].offset, "no call can meet both " +
                                              Shorten(placed_[j].condition.Said()) + " and " +
                                              Shorten(placed_[i].condition.Said()) + " on '" +
                                              Shorten(placed_[i].condition.path) + "'");
      }
    }
  }

  const Reporter& reporter_;
  std::vector<Placed> placed_;
  std::unordered_map<std::string, std::vector<size_t>> by_path_;
};

}  // namespace

std::vector<Condition> ReadConditions(const Node& node, const Reporter& reporter) {
  return ConditionReader(reporter).Read(node);
}

}  // namespace aegis::policy
