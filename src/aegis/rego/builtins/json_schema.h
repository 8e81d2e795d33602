// JSON Schema, drafts 4, 6 and 7, as OPA has it (its copy of xeipuuv/gojsonschema): the same
// answers, the same texts of mistakes. References to other documents are refused instead of
// fetched.
//
// Internal to the rego library.
#pragma once

#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "aegis/rego/builtins/builtin.h"

namespace aegis::rego {

// What is wrong with a document.
struct SchemaMistake {
  std::string type;   // "invalid_type"
  std::string field;  // "(Root)", "a.0.b"
  std::string description;
};

// A schema ready for use. Holds copies of all that it needs.
class JsonSchema {
 public:
  // `text`: the schema as JSON. nullptr with `problem` set when it is none.
  static std::shared_ptr<const JsonSchema> Compile(std::string_view text, std::string& problem);
  ~JsonSchema();

  // The mistakes, in order; for an object's members by their names. False when the evaluation's
  // steps are used up, or after an error in `context`. `document`: JSON's values only.
  bool Validate(BuiltinContext& context, Value document, std::vector<SchemaMistake>& out) const;

 private:
  struct Node;
  class Compiler;
  class Validator;
  JsonSchema();

  Arena arena_;
  std::vector<std::unique_ptr<Node>> nodes_;
  const Node* root_ = nullptr;
};

}  // namespace aegis::rego
