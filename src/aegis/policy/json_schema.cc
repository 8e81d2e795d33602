#include "aegis/policy/json_schema.h"

#include <nlohmann/json.hpp>

namespace aegis::policy {
namespace {

using Json = nlohmann::ordered_json;

class SchemaWriter {
 public:
  Json Write(const Type& type, std::string_view title) {
    Json schema;
    schema["$schema"] = "http://json-schema.org/draft-07/schema#";
    schema["title"] = title;
    schema.update(Body(type));
    if (!definitions_.empty()) schema["definitions"] = definitions_;
    return schema;
  }

 private:
  Json Schema(const Type& type) {
    if (type.id.empty()) return Body(type);
    const std::string id(type.id);
    if (!definitions_.contains(id)) {
      definitions_[id] = Json::object();  // before the body, should it refer to itself
      Json body = Body(type);
      definitions_[id] = std::move(body);
    }
    return {{"$ref", "#/definitions/" + id}};
  }

  Json Described(const Type& type, std::string_view doc) {
    Json schema = Schema(type);
    // In draft-07 nothing beside $ref counts.
    if (schema.contains("$ref")) schema = Json{{"allOf", Json::array({schema})}};
    Json described;
    described["description"] = doc;
    schema.erase("description");
    described.update(schema);
    return described;
  }

  Json Body(const Type& type) {
    Json schema = Json::object();
    if (!type.doc.empty()) schema["description"] = type.doc;
    switch (type.shape) {
      case Shape::kText:
        schema["type"] = "string";
        if (!type.allowed.empty()) schema["enum"] = type.allowed;
        if (!type.schema_pattern.empty()) schema["pattern"] = type.schema_pattern;
        if (type.max_bytes > 0) schema["maxLength"] = type.max_bytes;
        break;
      case Shape::kBool:
        schema["type"] = "boolean";
        break;
      case Shape::kNumber:
        schema["type"] = "number";
        break;
      case Shape::kCount:
        schema["type"] = "integer";
        schema["minimum"] = 0;
        schema["maximum"] = kMaxCount;
        break;
      case Shape::kScalar:
        schema["type"] = {"string", "number", "boolean"};
        break;
      case Shape::kValue:
        break;
      case Shape::kList:
        schema["type"] = "array";
        schema["items"] = Schema(*type.element);
        if (type.min_size > 0) schema["minItems"] = type.min_size;
        if (type.max_size > 0) schema["maxItems"] = type.max_size;
        if (type.unique) schema["uniqueItems"] = true;
        break;
      case Shape::kMap:
        AddMap(type, schema);
        break;
      case Shape::kChoice:
        schema["anyOf"] = Json::array();
        for (const Type* option : type.options) schema["anyOf"].push_back(Schema(*option));
        break;
    }
    return schema;
  }

  void AddMap(const Type& type, Json& schema) {
    schema["type"] = "object";
    if (type.min_size > 0) schema["minProperties"] = type.min_size;
    if (type.max_size > 0) schema["maxProperties"] = type.max_size;
    Json required = Json::array();
    for (const Key& key : type.keys) {
      Json& property = schema["properties"][std::string(key.name)];
      if (key.type != nullptr) {
        property = Described(*key.type, key.doc);
      } else {
        property = {{"description", "Not supported yet: " + std::string(key.doc)},
                    {"doNotSuggest", true},
                    {"not", Json::object()}};
      }
      if (key.required) required.push_back(key.name);
    }
    if (!required.empty()) schema["required"] = required;
    AddFreeKeys(type, schema);
    if (type.exactly_one.empty()) return;
    schema["oneOf"] = Json::array();
    for (const std::string_view key : type.exactly_one) {
      schema["oneOf"].push_back({{"required", Json::array({key})}});
    }
  }

  // Free keys by patterns alone: editors know patternProperties better than propertyNames.
  void AddFreeKeys(const Type& type, Json& schema) {
    if (type.element == nullptr || type.key_schema_pattern.empty()) {
      schema["additionalProperties"] =
          type.element == nullptr ? Json(false) : Schema(*type.element);
      return;
    }
    std::string form(type.key_schema_pattern);  // "^...$"
    form.erase(0, 1);
    std::string prefixes;
    for (const KeyFamily& family : type.families) {
      const std::string prefix(family.prefix);
      prefixes += (prefixes.empty() ? "" : "|") + prefix;
      schema["patternProperties"]["^" + prefix + form] = Described(*family.type, family.doc);
    }
    const std::string others = prefixes.empty() ? "" : "(?!(" + prefixes + ").)";
    schema["patternProperties"]["^" + others + form] = Schema(*type.element);
    schema["additionalProperties"] = false;
  }

  Json definitions_ = Json::object();
};

}  // namespace

std::string JsonSchema() { return JsonSchemaOf(DocumentType(), "Aegis policy (aegis/v1)"); }

std::string TestFileJsonSchema() {
  return JsonSchemaOf(TestFileType(), "Aegis policy tests (aegis/v1)");
}

std::string JsonSchemaOf(const Type& type, std::string_view title) {
  return SchemaWriter().Write(type, title).dump(2) + "\n";
}

}  // namespace aegis::policy
