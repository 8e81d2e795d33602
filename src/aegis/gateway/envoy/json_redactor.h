// Replaces members of JSON objects by "[redacted]", as an operator names them.
//
// A name "ssn" means every member ssn, at any depth; "customer.ssn" every member ssn of a member
// customer, also when that is an array of objects. Case does not matter (ASCII). The value goes
// whole, whatever it is. The rest of the text keeps its meaning; white space and how strings are
// escaped may change, numbers stay as they are written.
//
// Threading: as ContentFilter.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "aegis/gateway/envoy/content_filter.h"
#include "aegis/gateway/options.h"
#include "aegis/json/parser.h"

namespace aegis::gateway {

class JsonRedactor final : public ContentFilter {
 public:
  // `max_bytes`: of a text; a longer one is refused, and so is what is no JSON.
  JsonRedactor(const Redaction& redaction, size_t max_bytes);

  bool Covers(Direction direction) const override { return !names(direction).empty(); }
  Verdict Inspect(Direction direction, std::string_view json, std::string* out) override;

 private:
  class Rewriter;
  using Path = std::vector<std::string>;

  const std::vector<Path>& names(Direction direction) const {
    return direction == Direction::kRequest ? request_ : response_;
  }

  std::vector<Path> request_, response_;
  json::Limits limits_;
  json::Parser parser_;
};

}  // namespace aegis::gateway
