// What becomes of the headers and trailers of a call that goes on through external processing, and
// of its answer's.
//
// Threading: values. Lifetime: names and values are views of what they were made from.
#pragma once

#include <span>
#include <string_view>
#include <vector>

#include "aegis/gateway/own_answer.h"
#include "aegis/gateway/pipeline.h"
#include "aegis/net/http1_parser.h"

namespace aegis::gateway {

// A name stands in one of the two only.
struct HeaderChanges {
  std::vector<OwnHeader> set;  // overwriting
  std::vector<std::string_view> remove;

  void Clear() {
    set.clear();
    remove.clear();
  }

  // For the tool: X-Aegis-*, and none of what no tool gets. `inspected`: the answer will be, so
  // that it may be neither coded nor a part of one.
  void SetForTool(const Ticket& ticket, const net::RequestHead& head,
                  bool credential_in_authorization, bool inspected);
  // For the agent: X-Aegis-*, and none of the tool's own. `inspected`: the body may become another;
  // `streamed`: of another length than can be said before.
  void SetForAgent(const Ticket& ticket, std::span<const OwnHeader> fields, bool inspected,
                   bool streamed);
  // Trailers of a request are not judged: no tool gets them.
  void DropAll(std::span<const OwnHeader> fields);
  // Trailers of an answer.
  void DropAegis(std::span<const OwnHeader> fields);

 private:
  void SetDecision(const Ticket& ticket);
  bool IsSet(std::string_view name) const;
};

}  // namespace aegis::gateway
