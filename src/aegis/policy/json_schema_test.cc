#include "aegis/policy/json_schema.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <functional>
#include <nlohmann/json.hpp>
#include <valijson/adapters/nlohmann_json_adapter.hpp>
#include <valijson/schema.hpp>
#include <valijson/schema_parser.hpp>
#include <valijson/validation_results.hpp>
#include <valijson/validator.hpp>

#include "aegis/base/file.h"
#include "aegis/policy/check.h"
#include "aegis/policy/parse.h"

namespace aegis::policy {
namespace {

using Json = nlohmann::json;
using ::testing::HasSubstr;

class SchemaOracle {
 public:
  explicit SchemaOracle(const std::string& text) : document_(Json::parse(text)) {
    valijson::SchemaParser parser(valijson::SchemaParser::kDraft7);
    parser.populateSchema(valijson::adapters::NlohmannJsonAdapter(document_), schema_);
  }
  bool Accepts(const Json& value) {
    valijson::ValidationResults results;
    const bool ok =
        validator_.validate(schema_, valijson::adapters::NlohmannJsonAdapter(value), &results);
    problems_.clear();
    for (valijson::ValidationResults::Error error; results.popError(error);) {
      for (const std::string& step : error.context) problems_ += step;
      problems_ += ": " + error.description + "\n";
    }
    return ok;
  }
  const std::string& problems() const { return problems_; }

 private:
  std::string problems_;
  valijson::Validator validator_;  // keeps compiled patterns
  Json document_;
  valijson::Schema schema_;
};

class FirstDocument final : public DocumentSink {
 public:
  explicit FirstDocument(std::string& json) : json_(json) {}
  void OnDocument(const NodeTree& tree) override {
    if (json_.empty()) AppendJson(*tree.root, json_);
  }

 private:
  std::string& json_;
};

Json GoodDocument() {
  const std::string path =
      std::string(AEGIS_SOURCE_DIR) + "/src/aegis/policy/testdata/good/whole-dialect.yaml";
  const Result<std::string> text = ReadFile(path);
  EXPECT_TRUE(text);
  std::string json;
  FirstDocument sink(json);
  Diagnostics diagnostics;
  ReadSource(SourceText("a.yaml", *text), {}, sink, diagnostics);
  EXPECT_EQ(diagnostics.ToString(), "");
  return Json::parse(json);
}

// Calls `visit` with every document that differs from `root` in one place.
void ForEachMutation(const Json& root,
                     const std::function<void(const Json&, const std::string&)>& visit) {
  const std::vector<Json> replacements = {nullptr,
                                          true,
                                          5,
                                          -1,
                                          1.5,
                                          "",
                                          "x",
                                          "*",
                                          Json::array(),
                                          Json::object(),
                                          Json::array({"x"}),
                                          Json::array({"x", "x"}),
                                          Json::array({nullptr}),
                                          Json{{"x", 1}},
                                          Json{{"lte", 1}}};
  const Json flat = root.flatten();
  for (const auto& [pointer_text, leaf] : flat.items()) {
    // Every value on the way to a leaf.
    for (Json::json_pointer pointer(pointer_text);; pointer = pointer.parent_pointer()) {
      for (const Json& replacement : replacements) {
        Json mutated = root;
        mutated[pointer] = replacement;
        visit(mutated, pointer.to_string() + " = " + replacement.dump());
      }
      if (pointer.empty()) break;
      Json mutated = root;
      Json& parent = mutated[pointer.parent_pointer()];
      if (parent.is_object()) {
        parent.erase(pointer.back());
        visit(mutated, "without " + pointer.to_string());
        parent["colour"] = root[pointer];
        visit(mutated, "renamed " + pointer.to_string());
      } else {
        parent.push_back(root[pointer]);
        visit(mutated, "twice " + pointer.to_string());
        parent.erase(std::stoul(pointer.back()));
        visit(mutated, "moved " + pointer.to_string());
      }
    }
  }
}

// Mistakes that no schema can see.
bool OnlyBeyondSchema(const Diagnostics& diagnostics) {
  for (const Diagnostic& item : diagnostics.items()) {
    const bool beyond = item.message.find("is not a valid RE2 pattern") != std::string::npos ||
                        item.message.find("is not a known time zone") != std::string::npos ||
                        item.message.find("is not a block of IP") != std::string::npos ||
                        item.message.find(" twice: ") != std::string::npos ||
                        item.severity == Severity::kWarning;
    if (!beyond) return false;
  }
  return true;
}

TEST(JsonSchemaTest, AgreesWithTheParser) {
  SchemaOracle oracle(JsonSchema());
  const Json good = GoodDocument();
  ASSERT_TRUE(oracle.Accepts(good)) << oracle.problems();
  size_t accepted = 0;
  size_t rejected = 0;
  ForEachMutation(good, [&](const Json& document, const std::string& what) {
    const ParseResult result = ParseDocument(document.dump(), "a.json");
    const bool refused = result.diagnostics.has_errors() || document.is_null();
    const bool schema_refuses = !oracle.Accepts(document);
    EXPECT_TRUE(refused || !schema_refuses) << what << "\n" << oracle.problems();
    if (refused && !schema_refuses) {
      EXPECT_TRUE(OnlyBeyondSchema(result.diagnostics)) << what << "\n"
                                                        << result.diagnostics.ToString();
    }
    ++(refused ? rejected : accepted);
  });
  EXPECT_GT(accepted, 300U);
  EXPECT_GT(rejected, 1000U);
}

TEST(JsonSchemaTest, TestFilesToo) {
  SchemaOracle oracle(TestFileJsonSchema());
  const Json good = Json::parse(R"({"tests": [{"name": "n",
      "call": {"agent": "a", "tool": "t", "action": "x", "params": {"a": [null]}, "chain": ["user:alice"],
               "labels": {"team": "f"}, "time": "2026-11-24T09:30:00+01:00"},
      "expect": {"outcome": "deny", "reason": "no_grant", "mode": "shadow"}}]})");
  ASSERT_TRUE(oracle.Accepts(good)) << oracle.problems();
  ForEachMutation(good, [&](const Json& document, const std::string& what) {
    const std::string text = document.dump();
    const SourceText source("t.json", text);
    Diagnostics diagnostics;
    class Sink final : public DocumentSink {
     public:
      explicit Sink(const Reporter& reporter) : reporter_(reporter) {}
      void OnDocument(const NodeTree& tree) override {
        CheckNode(*tree.root, TestFileType(), "the file", reporter_);
      }
      const Reporter& reporter_;
    };
    const Reporter reporter(source, diagnostics);
    Sink sink(reporter);
    ReadSource(source, {}, sink, diagnostics);
    EXPECT_EQ(!diagnostics.has_errors(), oracle.Accepts(document)) << what << "\n"
                                                                   << diagnostics.ToString();
  });
}

TEST(JsonSchemaTest, LaterKeysAreDescribedAndRefused) {
  const Json schema = Json::parse(JsonSchema());
  const Json& budget = schema["properties"]["budget"];
  EXPECT_THAT(budget["description"].get<std::string>(), HasSubstr("Not supported yet"));
  EXPECT_EQ(budget["not"], Json::object());
  EXPECT_EQ(schema["definitions"].size(), 2U);
}

}  // namespace
}  // namespace aegis::policy
