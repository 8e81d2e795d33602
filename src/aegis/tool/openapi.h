// Makes a tool's document of an OpenAPI description (3.0 and 3.1; https://spec.openapis.org).
//
// Operations become actions: by operationId, else by method and path. Declared types become types
// of params, media types of request bodies kinds of body. What a document of a tool cannot say is
// left out and told. An operation that is left out must not be taken for another one: actions whose
// paths would match its calls are left out with it.
//
// Only references within the description are followed, 16 in a row at most.
//
// Threading: free functions.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "aegis/base/result.h"
#include "aegis/tool/spec.h"

namespace aegis::tool {

inline constexpr size_t kMaxOpenApiBytes = size_t{16} << 20;

struct OpenApiImport {
  struct Note {
    std::string operation;  // "GET /pets/{id}"
    std::string detail;
  };
  Spec spec;
  std::vector<Note> left_out;  // operations, and why
  std::vector<Note> remarks;   // on what was made
};

// `json`: the description. `name`: of the tool. `base_url`: where it is; empty: the description's
// first server. Errors: those of json::ParseTree; openapi_version (not 3.0 or 3.1),
// openapi_malformed, openapi_too_many (operations), openapi_server (no server that can be used).
Result<OpenApiImport> ImportOpenApi(std::string_view json, std::string_view name,
                                    std::string_view base_url);

}  // namespace aegis::tool
