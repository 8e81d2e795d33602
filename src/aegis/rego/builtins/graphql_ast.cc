#include "aegis/rego/builtins/graphql_ast.h"

#include <algorithm>
#include <optional>

namespace aegis::rego {

bool IsGraphqlLocation(std::string_view name) {
  constexpr std::string_view kLocations[] = {"QUERY",
                                             "MUTATION",
                                             "SUBSCRIPTION",
                                             "FIELD",
                                             "FRAGMENT_DEFINITION",
                                             "FRAGMENT_SPREAD",
                                             "INLINE_FRAGMENT",
                                             "VARIABLE_DEFINITION",
                                             "SCHEMA",
                                             "SCALAR",
                                             "OBJECT",
                                             "FIELD_DEFINITION",
                                             "ARGUMENT_DEFINITION",
                                             "INTERFACE",
                                             "UNION",
                                             "ENUM",
                                             "ENUM_VALUE",
                                             "INPUT_OBJECT",
                                             "INPUT_FIELD_DEFINITION"};
  return std::find(std::begin(kLocations), std::end(kLocations), name) != std::end(kLocations);
}

namespace graphql {
namespace {

// Reads members of AST nodes; what is null is as good as absent. The first member of the wrong type
// makes the whole reading fail.
class Reader {
 public:
  explicit Reader(bool as_fields) : as_fields_(as_fields) {}

  bool failed() const { return failed_; }

  template <typename T>
  using ReadItem = T (Reader::*)(Value node);

  template <typename T>
  std::vector<T> List(Value node, std::string_view name, ReadItem<T> read) {
    std::vector<T> out;
    const Value list = Member(node, name);
    if (list.is_undefined()) return out;
    if (!list.is_array()) Fail();
    for (const Value item : list.elements()) {
      out.push_back((this->*read)(item));
      if (failed_) break;
    }
    return out;
  }

  Operation ReadOperation(Value node) {
    Operation out;
    out.operation = Text(node, "Operation");
    out.name = Text(node, "Name");
    out.variables = List(node, "VariableDefinitions", &Reader::ReadVariable);
    out.directives = Directives(node);
    out.selections = Selections(node);
    return out;
  }
  Fragment ReadFragment(Value node) {
    Fragment out;
    out.name = Text(node, "Name");
    out.type_condition = Text(node, "TypeCondition");
    List(node, "VariableDefinition", &Reader::ReadVariable);
    out.directives = Directives(node);
    out.selections = Selections(node);
    return out;
  }
  Definition ReadDefinition(Value node) {
    Definition out;
    out.kind = Text(node, "Kind");
    out.name = Text(node, "Name");
    Text(node, "Description");
    out.built_in = Bool(node, "BuiltIn");
    out.directives = Directives(node);
    out.interfaces = List(node, "Interfaces", &Reader::String);
    out.fields = List(node, "Fields", &Reader::ReadInput);
    out.types = List(node, "Types", &Reader::String);
    out.enum_values = List(node, "EnumValues", &Reader::ReadEnumValue);
    return out;
  }
  DirectiveDefinition ReadDirectiveDefinition(Value node) {
    DirectiveDefinition out;
    out.name = Text(node, "Name");
    out.arguments = List(node, "Arguments", &Reader::ReadInput);
    out.locations = List(node, "Locations", &Reader::String);
    out.repeatable = Bool(node, "IsRepeatable");
    return out;
  }
  SchemaDefinition ReadSchemaDefinition(Value node) {
    SchemaDefinition out;
    out.directives = Directives(node);
    out.operations = List(node, "OperationTypes", &Reader::ReadOperationType);
    return out;
  }

 private:
  void Fail() { failed_ = true; }

  Value Member(Value node, std::string_view name) {
    if (!node.is_object()) Fail();
    const Value value = node.Get(name);
    return value.is_null() ? Value() : value;
  }
  std::string_view String(Value value) {
    if (!value.is_string()) Fail();
    return value.string_value();
  }
  std::string_view Text(Value node, std::string_view name) {
    const Value value = Member(node, name);
    return value.is_undefined() ? std::string_view() : String(value);
  }
  bool Bool(Value node, std::string_view name) {
    const Value value = Member(node, name);
    if (!value.is_undefined() && !value.is_bool()) Fail();
    return value.is_true();
  }

  Type ReadType(Value node) {
    Type out;
    out.named = Text(node, "NamedType");
    out.non_null = Bool(node, "NonNull");
    const Value element = Member(node, "Elem");
    if (!element.is_undefined()) out.element = std::make_unique<Type>(ReadType(element));
    if (out.named.empty() && !out.element) Fail();
    return out;
  }
  Type TypeOf(Value node) {
    const Value type = Member(node, "Type");
    if (type.is_undefined()) Fail();
    return failed_ ? Type() : ReadType(type);
  }

  std::unique_ptr<Literal> ReadLiteral(Value node) {
    auto out = std::make_unique<Literal>();
    const std::optional<int64_t> kind = Member(node, "Kind").AsInt64();
    if (!kind || *kind < 0 || *kind > static_cast<int64_t>(GraphqlKind::kObject)) {
      Fail();
    } else {
      out->kind = static_cast<GraphqlKind>(*kind);
    }
    out->raw = Text(node, "Raw");
    out->children = List(node, "Children", &Reader::ReadChild);
    return out;
  }
  std::unique_ptr<Literal> LiteralOf(Value node, std::string_view name, bool needed) {
    const Value value = Member(node, name);
    if (value.is_undefined()) {
      if (needed) Fail();
      return nullptr;
    }
    return ReadLiteral(value);
  }
  Child ReadChild(Value node) {
    Child out;
    out.name = Text(node, "Name");
    out.value = LiteralOf(node, "Value", true);
    return out;
  }
  Argument ReadArgument(Value node) {
    Argument out;
    out.name = Text(node, "Name");
    out.value = LiteralOf(node, "Value", true);
    return out;
  }

  Directive ReadDirective(Value node) {
    Directive out;
    out.name = Text(node, "Name");
    out.arguments = List(node, "Arguments", &Reader::ReadArgument);
    return out;
  }
  std::vector<Directive> Directives(Value node) {
    return List(node, "Directives", &Reader::ReadDirective);
  }

  VariableDefinition ReadVariable(Value node) {
    VariableDefinition out;
    out.name = Text(node, "Variable");
    out.type = TypeOf(node);
    out.default_value = LiteralOf(node, "DefaultValue", false);
    out.directives = Directives(node);
    return out;
  }

  Selection ReadSelection(Value node) {
    Selection out;
    out.name = Text(node, "Name");
    out.alias = Text(node, "Alias");
    out.type_condition = Text(node, "TypeCondition");
    if (!as_fields_ && node.Get("Alias").is_undefined()) {
      out.kind =
          node.Get("Name").is_undefined() ? Selection::Kind::kInline : Selection::Kind::kSpread;
    }
    out.arguments = List(node, "Arguments", &Reader::ReadArgument);
    out.directives = Directives(node);
    out.selections = Selections(node);
    return out;
  }
  std::vector<Selection> Selections(Value node) {
    return List(node, "SelectionSet", &Reader::ReadSelection);
  }

  InputDefinition ReadInput(Value node) {
    InputDefinition out;
    out.name = Text(node, "Name");
    Text(node, "Description");
    out.arguments = List(node, "Arguments", &Reader::ReadInput);
    out.default_value = LiteralOf(node, "DefaultValue", false);
    out.type = TypeOf(node);
    out.directives = Directives(node);
    return out;
  }
  EnumValue ReadEnumValue(Value node) {
    EnumValue out;
    out.name = Text(node, "Name");
    out.directives = Directives(node);
    return out;
  }
  SchemaDefinition::OperationType ReadOperationType(Value node) {
    SchemaDefinition::OperationType out;
    out.operation = Text(node, "Operation");
    out.type = Text(node, "Type");
    return out;
  }

  bool as_fields_;
  bool failed_ = false;
};

}  // namespace

bool ReadQuery(Value document, bool as_fields, Query& out) {
  Reader reader(as_fields);
  out.operations = reader.List(document, "Operations", &Reader::ReadOperation);
  out.fragments = reader.List(document, "Fragments", &Reader::ReadFragment);
  return !reader.failed();
}

bool ReadSchema(Value document, SchemaDocument& out) {
  Reader reader(false);
  out.schemas = reader.List(document, "Schema", &Reader::ReadSchemaDefinition);
  out.schema_extensions = reader.List(document, "SchemaExtension", &Reader::ReadSchemaDefinition);
  out.directives = reader.List(document, "Directives", &Reader::ReadDirectiveDefinition);
  out.definitions = reader.List(document, "Definitions", &Reader::ReadDefinition);
  out.extensions = reader.List(document, "Extensions", &Reader::ReadDefinition);
  return !reader.failed();
}

}  // namespace graphql
}  // namespace aegis::rego
