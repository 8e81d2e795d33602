#include "aegis/tool/openapi.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace aegis::tool {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

std::string Describe(const std::string& paths, const std::string& components = "{}") {
  return R"({"openapi":"3.1.0","servers":[{"url":"http://h/v1"}],"components":)" + components +
         R"(,"paths":)" + paths + "}";
}

OpenApiImport Import(const std::string& text) {
  auto made = ImportOpenApi(text, "t", "");
  EXPECT_TRUE(made) << made.error().message;
  if (!made) return {};
  std::vector<Mistake> mistakes;
  if (!made->spec.actions.empty()) {
    EXPECT_TRUE(ReadSpec(SpecJson(made->spec), &mistakes)) << mistakes[0].detail;
  }
  return *std::move(made);
}
std::vector<std::string> Texts(const std::vector<OpenApiImport::Note>& notes) {
  std::vector<std::string> out;
  for (const auto& note : notes) out.push_back(note.operation + ": " + note.detail);
  return out;
}

TEST(OpenApiTest, OperationsBecomeActions) {
  const OpenApiImport made = Import(Describe(
      R"({"/pets/{petId}":{
        "parameters":[{"$ref":"#/components/parameters/Pet"}],
        "get":{"operationId":"pets.get",
               "parameters":[{"name":"verbose","in":"query","schema":{"type":"boolean"}},
                             {"name":"tags","in":"query",
                              "schema":{"type":"array","items":{"type":"string"}}},
                             {"name":"ids","in":"query","explode":false,
                              "schema":{"type":"array","items":{"type":"integer"}}},
                             {"name":"X-Request-Id","in":"header","schema":{"type":"string"}},
                             {"name":"Accept","in":"header"},
                             {"name":"flavour","in":"cookie","schema":{"type":"integer"}}]},
        "put":{"requestBody":{"$ref":"#/components/requestBodies/Pet"}}},
       "/pets":{"post":{"operationId":"create pet!","requestBody":{"content":{
                   "application/x-www-form-urlencoded":{"schema":{"$ref":"#/components/schemas/Pet"}},
                   "application/xml":{}}}},
                "x-note":{}}})",
      R"({"parameters":{"Pet":{"name":"petId","in":"path","schema":{"type":["integer"]}}},
          "requestBodies":{"Pet":{"content":{"application/merge-patch+json":{
              "schema":{"$ref":"#/components/schemas/Pet"}}}}},
          "schemas":{"Pet":{"allOf":[{"$ref":"#/components/schemas/Base"},
                                     {"properties":{"age":{"type":"integer"},
                                                    "name":{"type":"string"}}}]},
                     "Base":{"properties":{"petId":{"type":"integer"},
                                           "price":{"type":"number","nullable":true}}}}})"));
  EXPECT_EQ(
      SpecJson(made.spec),
      R"({"name":"t","base_url":"http://h/v1","actions":[)"
      R"({"name":"create_pet","method":"POST","path":"/pets",)"
      R"("params":{"age":{"in":"body","type":"integer"},"petId":{"in":"body","type":"integer"}},)"
      R"("body":["form"]},)"
      R"({"name":"pets.get","method":"GET","path":"/pets/{petId}","params":{)"
      R"("X-Request-Id":{"in":"header","name":"x-request-id","type":"string"},)"
      R"("flavour":{"in":"cookie","type":"integer"},"ids":{"in":"query"},)"
      R"("petId":{"in":"path","type":"integer"},)"
      R"("tags":{"in":"query","type":"array","items":"string"},)"
      R"("verbose":{"in":"query","type":"boolean"}},"body":[]},)"
      R"({"name":"put_pets_petId","method":"PUT","path":"/pets/{petId}",)"
      R"("params":{"path_petId":{"in":"path","name":"petId","type":"integer"}},)"
      R"("body":["json"]}]})");
  EXPECT_THAT(Texts(made.left_out), ElementsAre());
  EXPECT_THAT(Texts(made.remarks),
              ElementsAre(HasSubstr("POST /pets: bodies of these types are refused"),
                          HasSubstr("GET /pets/{petId}: the list 'ids' is one text"),
                          HasSubstr("PUT /pets/{petId}: the parameter 'petId' in the path is the "
                                    "param 'path_petId'")));
}

TEST(OpenApiTest, WhatIsLeftOutIsTakenForNothingElse) {
  const OpenApiImport made = Import(Describe(
      R"({"/users/{id}.json":{"get":{}},"/users/{id}":{"get":{},"put":{}},"/users":{"get":{}},
          "/a/{x}/c":{"get":{}},"/a/b/{y}":{"get":{}},"/{p}/{q}/{r}":{"get":{}},
          "/own":{"get":{"servers":[]}},"/traced":{"trace":{}}})"));
  std::vector<std::string> names;
  for (const Action& action : made.spec.actions) names.push_back(action.name);
  EXPECT_THAT(names, ElementsAre("get_users", "put_users_id"));
  EXPECT_THAT(Texts(made.left_out),
              ElementsAre("TRACE /traced: tools are not called with TRACE",
                          HasSubstr("GET /a/b/{y}: it would be taken for calls of GET /a/{x}/c"),
                          HasSubstr("GET /a/{x}/c: its path and '/a/b/{y}'"),
                          "GET /own: it has servers of its own; make a tool of them",
                          HasSubstr("GET /users/{id}: it would be taken for calls of GET "
                                    "/users/{id}.json"),
                          HasSubstr("GET /users/{id}.json: its path has a segment that is a "
                                    "variable in part"),
                          HasSubstr("GET /{p}/{q}/{r}: it would be taken for calls of GET /a/")));
}

TEST(OpenApiTest, HostileDescriptions) {
  const std::pair<std::string, std::string> refused[] = {
      {"[]", "openapi_malformed"},
      {"{}", "openapi_version"},
      {R"({"swagger":"2.0"})", "openapi_version"},
      {R"({"openapi":"3.0.3","paths":{}})", "openapi_server"},
      {R"({"openapi":"3.0.3","servers":[{"url":"/v1"}],"paths":{}})", "openapi_server"},
      {R"({"openapi":"3.0.3","servers":[{"url":"http://h"}]})", "openapi_malformed"},
      {Describe(R"({"/a":{"$ref":"other.yaml#/x"}})"), "openapi_malformed"},
      {Describe(R"({"/a":{"$ref":"#/paths/~1a"}})"), "openapi_malformed"},
      {std::string(200, '[') + std::string(200, ']'), "json_too_deep"},
  };
  for (const auto& [text, reason] : refused) {
    const auto made = ImportOpenApi(text, "t", "");
    ASSERT_FALSE(made) << text;
    EXPECT_EQ(made.error().reason, reason) << text;
  }
  EXPECT_FALSE(ImportOpenApi(Describe("{}"), "../t", ""));
  EXPECT_FALSE(ImportOpenApi(Describe("{}"), "t", "file:///x"));
  // Schemas that refer to themselves, in a circle or without end.
  const OpenApiImport made = Import(Describe(
      R"({"/a":{"post":{"parameters":[{"name":"q","in":"query","schema":{"$ref":"#/components/schemas/Loop"}},
                                      {"$ref":"#/nowhere"},7,{"name":"x[y]","in":"query"},
                                      {"name":"z","in":"nowhere"}],
                        "requestBody":{"content":{"multipart/form-data":{"schema":{"$ref":"#/components/schemas/Self"}}}}}}})",
      R"({"schemas":{"Loop":{"$ref":"#/components/schemas/Loop"},
                     "Self":{"allOf":[{"$ref":"#/components/schemas/Self"},{"$ref":"#/components/schemas/Self"}],
                             "properties":{"n":{"type":"integer"},"x[]":{"type":"integer"}}}}})"));
  ASSERT_EQ(made.spec.actions.size(), 1u);
  EXPECT_EQ(made.spec.actions[0].params.size(), 2u);
  std::string many = "{";
  for (int i = 0; i < 2001; ++i) {
    many += (i > 0 ? "," : "") + ("\"/p" + std::to_string(i)) + R"(":{"get":{}})";
  }
  EXPECT_EQ(ImportOpenApi(Describe(many + "}"), "t", "").error().reason, "openapi_too_many");
}

}  // namespace
}  // namespace aegis::tool
