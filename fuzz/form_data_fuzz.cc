// Forms with parts: no input may crash the reader, and what it accepts holds the delimiter nowhere
// but where it was taken for one. With a map and without, params come out or a refusal.
#include <cstdint>
#include <cstdlib>
#include <memory>
#include <string>

#include "aegis/gateway/form_data.h"
#include "aegis/gateway/params.h"
#include "aegis/tool/spec.h"

namespace {

using aegis::gateway::BodyType;
using aegis::gateway::FormDataReader;

void CheckParts(std::string_view body) {
  FormDataReader reader(body, "B");
  FormDataReader::Part part;
  size_t taken = 0;
  while (reader.Next(&part) == FormDataReader::Step::kPart) {
    if (part.name.empty() || part.name.find('"') != std::string_view::npos) std::abort();
    if (part.content.find("--B") != std::string_view::npos) std::abort();
    if (part.content.data() < body.data() + taken) std::abort();
    taken = static_cast<size_t>(part.content.data() - body.data()) + part.content.size();
    if (taken > body.size()) std::abort();
  }
}

const aegis::tool::ActionMap& Map() {
  static const aegis::tool::ActionMap map = [] {
    std::vector<aegis::tool::Mistake> mistakes;
    auto spec = aegis::tool::ReadSpec(
        R"({"name":"t","base_url":"http://h","actions":[{"name":"a","method":"POST","path":"/{id}",
            "params":{"n":{"type":"number"},"l":{"type":"array","items":"integer"},
                      "q":{"in":"query"},"c":{"in":"cookie"}}}]})",
        &mistakes);
    if (!spec) std::abort();
    return aegis::tool::ActionMap(*spec);
  }();
  return map;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  // A copy of its own size lets the sanitizer see any byte read beyond it.
  const auto copy = std::make_unique<char[]>(size);
  std::copy(data, data + size, copy.get());
  const std::string_view body(copy.get(), size);
  CheckParts(body);
  aegis::gateway::FindFormBoundary(body);

  const size_t line = body.find('\n');
  const std::string_view first = body.substr(0, line);
  aegis::net::HeaderField fields[2];
  fields[0].name = "content-type";
  fields[0].value = "multipart/form-data; boundary=B";
  fields[0].id = aegis::net::FieldId::kContentType;
  fields[1].name = "cookie";
  fields[1].value = first;
  aegis::tool::ActionMap::Match match;
  Map().Find("POST", "/7", &match);
  static aegis::Arena arena(16 * 1024, size_t{64} << 20);
  for (const BodyType type : {BodyType::kMultipart, BodyType::kForm, BodyType::kJson}) {
    for (const auto* map : {static_cast<aegis::tool::ActionMap::Match*>(nullptr), &match}) {
      arena.Reset();
      aegis::gateway::Refusal refusal;
      const auto params =
          aegis::gateway::BuildParams({type, body, first, fields, map}, arena, &refusal);
      if (params.is_undefined() == (refusal.status == 0)) std::abort();
      if (!params.is_undefined() && !params.is_object()) std::abort();
    }
  }
  return 0;
}
