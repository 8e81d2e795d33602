// What the handlers of the control API share. Internal to the control library.
#pragma once

#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "aegis/control/api.h"
#include "aegis/control/problem.h"
#include "aegis/control/strict_json.h"

namespace aegis::control {

// ?limit and ?cursor. A cursor is the last item's key in hexadecimal: opaque to clients.
// Errors: bad_limit, bad_cursor.
Result<store::PageRequest> ReadPageRequest(const net::HttpRequest& request);

// {"items": [...], "next_cursor": "..." | null}
net::HttpResponse PageAnswer(nlohmann::json items, bool more, std::string_view last_key);

// The revision that If-Match asks for: nothing when there is no such header or it is "*".
// Errors: bad_if_match (not one ETag with a number in it).
Result<std::optional<int64_t>> ReadIfMatch(const net::HttpRequest& request);

void SetEtag(net::HttpResponse& response, int64_t revision);

// 422 body_invalid with all errors.
net::HttpResponse InvalidBody(const std::vector<FieldError>& errors);

nlohmann::json AgentToJson(const store::Agent& agent);

}  // namespace aegis::control
