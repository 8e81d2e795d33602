// Rules for queries, by their names in the specification's reference implementation where that
// helps.
#include <algorithm>
#include <charconv>
#include <map>
#include <set>
#include <string>
#include <utility>

#include "aegis/rego/builtins/graphql_schema.h"

namespace aegis::rego::graphql {
namespace {

template <typename Names>
bool Contains(const Names& names, std::string_view name) {
  return std::find(names.begin(), names.end(), name) != names.end();
}

bool IsDeep(std::string_view field) {
  return field == "fields" || field == "interfaces" || field == "possibleTypes" ||
         field == "inputFields";
}

// OverlappingFieldsCanBeMerged: fields with one response name must ask for the same.
class Overlaps {
 public:
  Overlaps(BuiltinContext& context, const Schema& schema, const Query& query)
      : context_(context), schema_(schema), query_(query) {}

  bool AreWithin(const std::vector<Selection>& selections) {
    const Collected collected = Collect(selections);
    for (const auto& [name, fields] : collected.fields) {
      for (size_t i = 0; i < fields.size(); ++i) {
        for (size_t j = i + 1; j < fields.size(); ++j) {
          if (Conflict(false, *fields[i], *fields[j])) return true;
        }
      }
    }
    compared_.clear();
    const auto& spreads = collected.spreads;
    for (size_t i = 0; i < spreads.size(); ++i) {
      if (WithFragment(false, collected, *spreads[i])) return true;
      for (size_t j = i + 1; j < spreads.size(); ++j) {
        if (BetweenFragments(false, *spreads[i], *spreads[j])) return true;
      }
    }
    return false;
  }

 private:
  struct Collected {
    std::map<std::string_view, std::vector<const Selection*>> fields;
    std::vector<const Selection*> spreads;
  };

  // Nothing is left to spend: what comes out does not matter any more.
  bool Exhausted(size_t steps) { return !context_.Charge(1 + steps); }

  void CollectInto(const std::vector<Selection>& selections, Collected& out) {
    for (const Selection& selection : selections) {
      switch (selection.kind) {
        case Selection::Kind::kField:
          out.fields[selection.alias.empty() ? selection.name : selection.alias].push_back(
              &selection);
          break;
        case Selection::Kind::kInline:
          CollectInto(selection.selections, out);
          break;
        case Selection::Kind::kSpread:
          out.spreads.push_back(&selection);
          break;
      }
    }
  }
  Collected Collect(const std::vector<Selection>& selections) {
    Collected out;
    if (!Exhausted(selections.size())) CollectInto(selections, out);
    return out;
  }

  bool Between(bool exclusive, const Collected& a, const Collected& b) {
    for (const auto& [name, fields] : a.fields) {
      const auto others = b.fields.find(name);
      if (others == b.fields.end()) continue;
      for (const Selection* field : fields) {
        for (const Selection* other : others->second) {
          if (Conflict(exclusive, *field, *other)) return true;
        }
      }
    }
    return false;
  }

  bool WithFragment(bool exclusive, const Collected& collected, const Selection& spread) {
    if (!compared_.insert(spread.name).second) return false;
    const Fragment* fragment = FindName(query_.fragments, spread.name);
    if (fragment == nullptr || Exhausted(0)) return false;
    const Collected others = Collect(fragment->selections);
    if (others.fields == collected.fields && others.spreads == collected.spreads) return false;
    if (Between(exclusive, collected, others)) return true;
    return std::any_of(others.spreads.begin(), others.spreads.end(), [&](const Selection* other) {
      return other->name != spread.name && WithFragment(exclusive, collected, *other);
    });
  }

  bool BetweenFragments(bool exclusive, const Selection& a, const Selection& b) {
    if (a.name == b.name || Exhausted(0)) return false;
    // What was compared as exclusive says nothing about the other way.
    const auto pair = std::minmax(a.name, b.name);
    const auto [known, added] = pairs_.emplace(pair, exclusive);
    if (!added) {
      if (exclusive || !known->second) return false;
      known->second = false;
    }
    const Fragment* left = FindName(query_.fragments, a.name);
    const Fragment* right = FindName(query_.fragments, b.name);
    if (left == nullptr || right == nullptr) return false;
    const Collected lefts = Collect(left->selections), rights = Collect(right->selections);
    if (Between(exclusive, lefts, rights)) return true;
    return std::any_of(
               rights.spreads.begin(), rights.spreads.end(),
               [&](const Selection* other) { return BetweenFragments(exclusive, a, *other); }) ||
           std::any_of(lefts.spreads.begin(), lefts.spreads.end(), [&](const Selection* other) {
             return BetweenFragments(exclusive, *other, b);
           });
  }

  bool BetweenSelections(bool exclusive, const Selection& a, const Selection& b) {
    const Collected lefts = Collect(a.selections), rights = Collect(b.selections);
    if (Between(exclusive, lefts, rights)) return true;
    for (const Selection* spread : rights.spreads) {
      compared_.clear();
      if (WithFragment(exclusive, lefts, *spread)) return true;
    }
    for (const Selection* spread : lefts.spreads) {
      compared_.clear();
      if (WithFragment(exclusive, rights, *spread)) return true;
    }
    for (const Selection* left : lefts.spreads) {
      for (const Selection* right : rights.spreads) {
        if (BetweenFragments(exclusive, *left, *right)) return true;
      }
    }
    return false;
  }

  bool Conflict(bool exclusive, const Selection& a, const Selection& b) {
    if (a.parent == nullptr || b.parent == nullptr || Exhausted(0)) return false;
    exclusive = exclusive ||
                (a.parent->name != b.parent->name && a.parent->kind == "OBJECT" &&
                 b.parent->kind == "OBJECT" && a.definition != nullptr && b.definition != nullptr);
    if (!exclusive && (a.name != b.name || !SameArguments(a.arguments, b.arguments))) return true;
    if (a.definition != nullptr && b.definition != nullptr &&
        TypesConflict(a.definition->type, b.definition->type)) {
      return true;
    }
    return BetweenSelections(exclusive, a, b);
  }

  bool SameArguments(const std::vector<Argument>& a, const std::vector<Argument>& b) {
    if (a.size() != b.size() || Exhausted(a.size() * b.size() / 4)) return false;
    return std::all_of(a.begin(), a.end(), [&](const Argument& argument) {
      return std::any_of(b.begin(), b.end(), [&](const Argument& other) {
        return argument.name == other.name && SameValue(*argument.value, *other.value);
      });
    });
  }

  static std::vector<const Child*> Sorted(const Literal& value) {
    std::vector<const Child*> children;
    for (const Child& child : value.children) children.push_back(&child);
    if (value.kind == GraphqlKind::kObject) {
      std::stable_sort(children.begin(), children.end(),
                       [](const Child* a, const Child* b) { return a->name < b->name; });
    }
    return children;
  }
  bool SameValue(const Literal& a, const Literal& b) {
    if (a.kind != b.kind || a.raw != b.raw || a.children.size() != b.children.size() ||
        Exhausted(a.children.size())) {
      return false;
    }
    const std::vector<const Child*> left = Sorted(a), right = Sorted(b);
    for (size_t i = 0; i < left.size(); ++i) {
      if (left[i]->name != right[i]->name || !SameValue(*left[i]->value, *right[i]->value)) {
        return false;
      }
    }
    return true;
  }

  bool TypesConflict(const Type& a, const Type& b) const {
    if (a.element && b.element) return TypesConflict(*a.element, *b.element);
    if (a.element || b.element || a.non_null != b.non_null) return true;
    const Definition* left = schema_.FindType(a.named);
    const Definition* right = schema_.FindType(b.named);
    if (left == nullptr || right == nullptr) return true;
    return left->is_leaf() && right->is_leaf() && left->name != right->name;
  }

  BuiltinContext& context_;
  const Schema& schema_;
  const Query& query_;
  std::set<std::string_view> compared_;
  std::map<std::pair<std::string_view, std::string_view>, bool> pairs_;
};

// Walks over the document as gqlparser does: operations with the fragments that they reach, then
// each fragment by itself. Every check is false when its rule does not hold.
class Checker {
 public:
  Checker(BuiltinContext& context, const Schema& schema, Query& query)
      : context_(context), schema_(schema), query_(query), overlaps_(context, schema, query) {
    type_name_.name = "__typename";
    type_name_.type.named = "String";
  }

  bool Run() {
    std::set<std::string_view> names;
    for (Operation& operation : query_.operations) {
      reached_.clear();
      if (!CheckOperation(operation) || !names.insert(operation.name).second) return false;
      if (operation.name.empty() && query_.operations.size() > 1) return false;
    }
    operation_ = nullptr;
    std::set<std::string_view> fragments;
    for (Fragment& fragment : query_.fragments) {
      reached_.clear();
      if (!CheckFragment(fragment) || !fragments.insert(fragment.name).second) return false;
    }
    return true;
  }

 private:
  using Definitions = std::vector<InputDefinition>;

  const Definition* FindType(std::string_view name) const { return schema_.FindType(name); }

  static std::string_view LocationOf(std::string_view operation) {
    return operation == "mutation"       ? "MUTATION"
           : operation == "subscription" ? "SUBSCRIPTION"
                                         : "QUERY";
  }

  bool CheckOperation(Operation& operation) {
    operation_ = &operation;
    const Definition* root = schema_.Root(operation.operation);
    if (root == nullptr) return false;
    std::set<std::string_view> names;
    for (VariableDefinition& variable : operation.variables) {
      variable.definition = FindType(variable.type.name());
      if (variable.definition == nullptr || !variable.definition->is_input()) return false;
      if (!names.insert(variable.name).second) return false;
    }
    for (VariableDefinition& variable : operation.variables) {
      if (variable.default_value) {
        variable.default_value->expected = &variable.type;
        variable.default_value->definition = variable.definition;
        if (!CheckValue(*variable.default_value)) return false;
      }
      if (!CheckDirectives(variable.directives, "VARIABLE_DEFINITION")) return false;
    }
    if (!CheckDirectives(operation.directives, LocationOf(operation.operation)) ||
        !CheckSelections(root, operation.selections)) {
      return false;
    }
    const bool all_used = std::all_of(operation.variables.begin(), operation.variables.end(),
                                      [](const VariableDefinition& each) { return each.used; });
    if (!all_used || overlaps_.AreWithin(operation.selections)) return false;
    return operation.operation != "subscription" || HasSingleField(operation.selections);
  }

  bool CheckFragment(Fragment& fragment) {
    const Definition* type = FindType(fragment.type_condition);
    if (type == nullptr || !type->is_composite()) return false;
    if (!CheckDirectives(fragment.directives, "FRAGMENT_DEFINITION") ||
        !CheckSelections(type, fragment.selections)) {
      return false;
    }
    return used_fragments_.contains(fragment.name) && !IsCyclic(fragment) &&
           !overlaps_.AreWithin(fragment.selections);
  }

  // --- Directives and arguments ---

  bool CheckDirectives(std::vector<Directive>& directives, std::string_view location) {
    std::set<std::string_view> seen;
    for (Directive& directive : directives) {
      const DirectiveDefinition* definition = schema_.FindDirective(directive.name);
      if (definition == nullptr || !Contains(definition->locations, location)) return false;
      if (!seen.insert(directive.name).second && !definition->repeatable) return false;
      if (!CheckArguments(&definition->arguments, directive.arguments)) return false;
    }
    return true;
  }

  // `definitions`: nullptr when it is not known what is called.
  bool CheckArguments(const Definitions* definitions, std::vector<Argument>& arguments) {
    if (!context_.Charge(1 + arguments.size())) return false;
    std::set<std::string_view> seen;
    for (Argument& argument : arguments) {
      if (definitions != nullptr) {
        const InputDefinition* definition = FindName(*definitions, argument.name);
        if (definition == nullptr) return false;
        Expect(*definition, *argument.value);
      }
      if (!seen.insert(argument.name).second || !CheckValue(*argument.value)) return false;
    }
    if (definitions == nullptr) return true;
    return std::all_of(definitions->begin(), definitions->end(), [&](const auto& definition) {
      return !definition.type.non_null || definition.default_value ||
             seen.contains(definition.name);
    });
  }

  // --- Values ---

  void Expect(const InputDefinition& definition, Literal& value) const {
    value.expected = &definition.type;
    value.expected_has_default =
        definition.default_value && definition.default_value->kind != GraphqlKind::kNull;
    value.definition = FindType(definition.type.name());
  }

  bool CheckValue(Literal& value) {
    if (!context_.Charge(1 + value.children.size())) return false;
    if (value.kind == GraphqlKind::kVariable && operation_ != nullptr) {
      VariableDefinition* variable = FindName(operation_->variables, value.raw);
      if (variable == nullptr) return false;
      variable->used = true;
      value.variable = variable;
      if (!FitsVariable(value)) return false;
    }
    std::set<std::string_view> names;
    for (Child& child : value.children) {
      if (value.kind == GraphqlKind::kObject) {
        const InputDefinition* field =
            value.definition == nullptr ? nullptr : FindName(value.definition->fields, child.name);
        if (field != nullptr) Expect(*field, *child.value);
        if (!names.insert(child.name).second) return false;
      } else if (value.kind == GraphqlKind::kList && value.expected != nullptr &&
                 value.expected->element) {
        child.value->expected = value.expected->element.get();
        child.value->definition = value.definition;
      }
      if (!CheckValue(*child.value)) return false;
    }
    return HasRightType(value) && OneOfVariablesFit(value);
  }

  static bool IsOneOf(const Definition& definition) {
    return FindName(definition.directives, "oneOf") != nullptr;
  }

  // Variables in a @oneOf object must not be null.
  bool OneOfVariablesFit(const Literal& value) const {
    if (value.kind != GraphqlKind::kObject || value.definition == nullptr ||
        !IsOneOf(*value.definition) || operation_ == nullptr) {
      return true;
    }
    return std::all_of(value.children.begin(), value.children.end(), [](const Child& child) {
      return child.value->kind != GraphqlKind::kVariable || child.value->variable == nullptr ||
             child.value->variable->type.non_null;
    });
  }

  static bool IsCompatible(const Type& type, const Type& other, bool other_non_null) {
    if (type.named != other.named) return false;
    if (type.element &&
        (!other.element || !IsCompatible(*type.element, *other.element, other.element->non_null))) {
      return false;
    }
    return !other_non_null || type.non_null;
  }
  // A default on either side makes up for a null.
  static bool FitsVariable(const Literal& value) {
    if (value.expected == nullptr) return true;
    const VariableDefinition& variable = *value.variable;
    const bool has_default =
        variable.default_value && variable.default_value->kind != GraphqlKind::kNull;
    return IsCompatible(variable.type, *value.expected,
                        value.expected->non_null && !has_default && !value.expected_has_default);
  }

  static bool IsReadable(const Literal& value) {
    const char* const begin = value.raw.data();
    const char* const end = begin + value.raw.size();
    if (value.kind == GraphqlKind::kInt) {
      int64_t number;
      return std::from_chars(begin, end, number).ec == std::errc();
    }
    if (value.kind == GraphqlKind::kFloat) {
      double number;
      const auto [read, error] = std::from_chars(begin, end, number);
      return error == std::errc() || (read == end && number == 0);
    }
    return std::all_of(value.children.begin(), value.children.end(),
                       [](const Child& child) { return IsReadable(*child.value); });
  }

  bool HasRightType(const Literal& value) {
    constexpr std::string_view kScalars[] = {"Int", "Float", "String", "Boolean", "ID"};
    if (value.definition == nullptr || value.expected == nullptr) return true;
    const Definition& type = *value.definition;
    if (value.kind == GraphqlKind::kNull && value.expected->non_null) return false;
    if (type.kind == "SCALAR" &&
        std::find(std::begin(kScalars), std::end(kScalars), type.name) == std::end(kScalars)) {
      return true;
    }
    if (!IsReadable(value)) return false;
    const bool is_enum = type.kind == "ENUM";
    switch (value.kind) {
      case GraphqlKind::kNull:
      case GraphqlKind::kVariable:
        return true;
      case GraphqlKind::kList:
        return value.expected->element != nullptr;
      case GraphqlKind::kInt:
        return type.name == "Int" || type.name == "Float" || type.name == "ID";
      case GraphqlKind::kFloat:
        return type.name == "Float";
      case GraphqlKind::kString:
      case GraphqlKind::kBlock:
        return !is_enum && (type.name == "String" || type.name == "ID");
      case GraphqlKind::kEnum:
        return is_enum && FindName(type.enum_values, value.raw) != nullptr;
      case GraphqlKind::kBoolean:
        return type.name == "Boolean";
      case GraphqlKind::kObject:
        return IsInputObject(value, type);
    }
    return false;
  }

  bool IsInputObject(const Literal& value, const Definition& type) {
    if (!context_.Charge(value.children.size() * (1 + type.fields.size() / 4))) return false;
    for (const InputDefinition& field : type.fields) {
      if (field.type.non_null && !field.default_value &&
          FindName(value.children, field.name) == nullptr) {
        return false;
      }
    }
    if (IsOneOf(type) &&
        (value.children.size() != 1 || value.children[0].value->kind == GraphqlKind::kNull)) {
      return false;
    }
    return std::all_of(value.children.begin(), value.children.end(), [&](const Child& child) {
      return FindName(type.fields, child.name) != nullptr;
    });
  }

  // --- Selections ---

  bool CheckSelections(const Definition* parent, std::vector<Selection>& selections) {
    for (Selection& selection : selections) {
      if (!context_.Charge(1)) return false;
      selection.parent = parent;
      const bool good = selection.kind == Selection::Kind::kField ? CheckField(parent, selection)
                        : selection.kind == Selection::Kind::kInline
                            ? CheckInline(parent, selection)
                            : CheckSpread(parent, selection);
      if (!good) return false;
    }
    return true;
  }

  bool CheckField(const Definition* parent, Selection& field) {
    field.definition = field.name == "__typename" ? &type_name_
                       : parent == nullptr        ? nullptr
                                                  : FindName(parent->fields, field.name);
    if (parent != nullptr && field.definition == nullptr) return false;
    const Definition* type =
        field.definition == nullptr ? nullptr : FindType(field.definition->type.name());
    const Definitions* arguments =
        field.definition == nullptr ? nullptr : &field.definition->arguments;
    if (!CheckArguments(arguments, field.arguments) ||
        !CheckDirectives(field.directives, "FIELD") || !CheckSelections(type, field.selections)) {
      return false;
    }
    if (type != nullptr && type->is_leaf() != field.selections.empty()) return false;
    if (field.name == "__schema" || field.name == "__type") {
      std::set<std::string_view> visited;
      if (IsTooDeep(field, visited, 0)) return false;
    }
    return operation_ == nullptr || field.selections.empty() ||
           !overlaps_.AreWithin(field.selections);
  }

  bool CheckInline(const Definition* parent, Selection& fragment) {
    const Definition* type = parent;
    if (!fragment.type_condition.empty()) {
      type = FindType(fragment.type_condition);
      if (type == nullptr || !type->is_composite()) return false;
    }
    return CheckDirectives(fragment.directives, "INLINE_FRAGMENT") &&
           CheckSelections(type, fragment.selections) &&
           !overlaps_.AreWithin(fragment.selections) && CanBe(parent, fragment.type_condition);
  }

  bool CheckSpread(const Definition* parent, Selection& spread) {
    Fragment* fragment = FindName(query_.fragments, spread.name);
    if (fragment == nullptr) return false;
    const Definition* type = FindType(fragment->type_condition);
    if (!CheckDirectives(spread.directives, "FRAGMENT_SPREAD")) return false;
    if (operation_ != nullptr) used_fragments_.insert(spread.name);
    if (reached_.insert(fragment->name).second) {
      if (reached_.size() > kMaxFragments) return false;
      if (!CheckDirectives(fragment->directives, "FRAGMENT_DEFINITION") ||
          !CheckSelections(type, fragment->selections)) {
        return false;
      }
    }
    return CanBe(parent, fragment->type_condition);
  }

  // PossibleFragmentSpreads.
  bool CanBe(const Definition* parent, std::string_view condition) {
    const Definition* type = FindType(condition);
    if (parent == nullptr || !parent->is_composite() || type == nullptr || !type->is_composite()) {
      return true;
    }
    const auto& types = schema_.PossibleTypes(condition);
    if (parent->kind == "OBJECT") {
      return std::any_of(types.begin(), types.end(),
                         [&](const Definition* each) { return each->name == parent->name; });
    }
    const auto& parents = schema_.PossibleTypes(parent->name);
    if (!context_.Charge(types.size() * parents.size() / 4)) return false;
    return std::any_of(types.begin(), types.end(), [&](const Definition* each) {
      return std::any_of(parents.begin(), parents.end(),
                         [&](const Definition* other) { return each->name == other->name; });
    });
  }

  // MaxIntrospectionDepth: three lists of types in each other.
  bool IsTooDeep(const Selection& selection, std::set<std::string_view>& visited, int depth) {
    constexpr int kMaxLists = 3;
    if (!context_.Charge(1)) return true;
    const std::vector<Selection>* selections = &selection.selections;
    if (selection.kind == Selection::Kind::kField && IsDeep(selection.name) &&
        ++depth >= kMaxLists) {
      return true;
    }
    if (selection.kind == Selection::Kind::kSpread) {
      const Fragment* fragment = FindName(query_.fragments, selection.name);
      if (fragment == nullptr || !visited.insert(selection.name).second) return false;
      selections = &fragment->selections;
    }
    const bool deep =
        std::any_of(selections->begin(), selections->end(),
                    [&](const Selection& below) { return IsTooDeep(below, visited, depth); });
    if (selection.kind == Selection::Kind::kSpread) visited.erase(selection.name);
    return deep;
  }

  // SingleFieldSubscriptions.
  bool HasSingleField(const std::vector<Selection>& selections) const {
    std::set<std::string_view> fields, fragments;
    const auto visit = [&](const std::vector<Selection>& set, const auto& self) -> void {
      for (const Selection& selection : set) {
        if (selection.kind == Selection::Kind::kField) {
          fields.insert(selection.name);
        } else if (selection.kind == Selection::Kind::kInline) {
          self(selection.selections, self);
        } else if (fragments.insert(selection.name).second) {
          const Fragment* fragment = FindName(query_.fragments, selection.name);
          if (fragment != nullptr) self(fragment->selections, self);
        }
      }
    };
    visit(selections, visit);
    return fields.size() <= 1 && std::none_of(fields.begin(), fields.end(),
                                              [](auto name) { return name.starts_with("__"); });
  }

  // NoFragmentCycles: whether a fragment that can be reached from this one spreads itself.
  bool IsCyclic(const Fragment& start) {
    std::set<std::string_view> open;
    const auto visit = [&](std::string_view name, const std::vector<Selection>& selections,
                           const auto& self) -> bool {
      for (const Selection& selection : selections) {
        if (selection.kind != Selection::Kind::kSpread) {
          if (self(name, selection.selections, self)) return true;
          continue;
        }
        if (open.contains(selection.name)) return true;
        if (!acyclic_.insert(selection.name).second) continue;
        const Fragment* fragment = FindName(query_.fragments, selection.name);
        if (fragment == nullptr) continue;
        open.insert(selection.name);
        if (self(selection.name, fragment->selections, self)) return true;
        open.erase(selection.name);
      }
      return false;
    };
    acyclic_.insert(start.name);
    open.insert(start.name);
    return visit(start.name, start.selections, visit);
  }

  // More fragments that spread each other are refused: checks recurse from one to the next.
  static constexpr size_t kMaxFragments = 500;

  BuiltinContext& context_;
  const Schema& schema_;
  Query& query_;
  Overlaps overlaps_;
  InputDefinition type_name_;
  Operation* operation_ = nullptr;
  std::set<std::string_view> reached_;  // fragments, from the operation or fragment being checked
  std::set<std::string_view> used_fragments_;
  std::set<std::string_view> acyclic_;
};

}  // namespace

bool IsValidQuery(BuiltinContext& context, const Schema& schema, Query& query) {
  return Checker(context, schema, query).Run();
}

}  // namespace aegis::rego::graphql
