// Types of values that several parts of aegis.yaml have (policy/dialect.h).
#pragma once

#include "aegis/app/config.h"
#include "aegis/policy/dialect.h"

namespace aegis::app::config_types {

inline constexpr policy::Type kText = {
    .shape = policy::Shape::kText, .expected = "a text", .max_bytes = 1024};
inline constexpr policy::Type kFlag = {.shape = policy::Shape::kBool, .expected = "true or false"};
inline constexpr policy::Type kCount = {.shape = policy::Shape::kCount,
                                        .expected = "a whole number"};
inline constexpr policy::Type kUrl = {.shape = policy::Shape::kText,
                                      .expected = "a URL",
                                      .check = CheckUrl,
                                      .schema_pattern = "^https?://[^?#@]+$",
                                      .max_bytes = 2048};
inline constexpr policy::Type kReference = {
    .shape = policy::Shape::kText,
    .expected = "a reference to a secret: env:NAME or file:PATH",
    .schema_pattern = "^(env|file):.+$",
    .max_bytes = 4096};

}  // namespace aegis::app::config_types
