// GraphQL text (October 2021 edition, with gqlparser's extensions) as the AST that OPA shows: the
// structures of github.com/vektah/gqlparser/v2/ast as JSON, without positions and without what is
// empty.
//
// Internal to the rego library.
#pragma once

#include <string_view>

#include "aegis/rego/builtins/builtin.h"

namespace aegis::rego {

// Undefined with an error in `context` when the text is not a document of the kind, or nests deeper
// than it may.
Value ParseGraphqlSchema(BuiltinContext& context, std::string_view text);
Value ParseGraphqlQuery(BuiltinContext& context, std::string_view text);

}  // namespace aegis::rego
