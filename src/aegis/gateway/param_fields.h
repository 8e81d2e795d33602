// The params of a call that are not members of a JSON body: fields of the query and of forms, and
// what a tool's map takes from the path, from header fields and from cookies. Collects them,
// refuses what some tool could read as other params than policy, and puts them beside the members.
//
// Threading: one call's, on its worker. Lifetime: values are views into the request, or in the
// arena.
#pragma once

#include <span>
#include <string_view>

#include "aegis/base/arena.h"
#include "aegis/gateway/params.h"
#include "aegis/net/http1_parser.h"
#include "aegis/rego/value.h"
#include "aegis/tool/action_map.h"

namespace aegis::gateway {

class ParamFields {
 public:
  // `action`: of the tool's map; nullptr: it has none. What is refused goes to `*refusal`, and
  // every function then gives false.
  ParamFields(const tool::MappedAction* action, Arena& arena, Refusal* refusal)
      : action_(action), arena_(arena), refusal_(refusal) {}

  // "a=1&b=2", of the query or of a form's body.
  bool AddUrlEncoded(tool::Place place, std::string_view text);
  // multipart/form-data; `content_type` is that of the request.
  bool AddFormData(std::string_view body, std::string_view content_type);
  // Of the path, the header fields and the cookies, as the map says.
  // `joined`: as of ParamSource.
  bool AddMapped(const tool::ActionMap::Match& match, std::span<const net::HeaderField> fields,
                 bool joined);
  // Whether the members of a JSON body have names and types that the map lets them have.
  bool CheckMembers(rego::Value object);
  // Puts all of them into `params`, which holds the members of the JSON body.
  bool AddTo(rego::Value& params);

 private:
  static constexpr size_t kMaxFields = 256;
  struct Field {
    std::string_view name;
    std::string_view loose;  // of the name
    rego::Value value;
  };

  // A field that was sent as `sent_as` with a text, or with a value that needs no conversion.
  bool AddSent(tool::Place place, std::string_view sent_as, std::string_view text);
  bool AddSent(tool::Place place, std::string_view sent_as, rego::Value value);
  bool FindParam(tool::Place place, std::string_view sent_as, const tool::Param** param);
  bool AddText(const tool::Param& param, std::string_view text);
  bool MakeRoom();
  bool Add(std::string_view name, rego::Value value, bool is_list);
  bool AddHeader(const tool::Param& param, std::span<const net::HeaderField> fields, bool joined);
  bool AddCookies(std::span<const net::HeaderField> fields, bool joined);
  bool AddCookie(std::string_view name, std::string_view value);
  // Of a field of a form that is no file.
  bool AddPart(std::string_view name, std::string_view content_type, std::string_view content);
  std::string_view Loose(std::string_view name);
  bool Refuse(const Refusal& refusal);

  const tool::MappedAction* action_;
  Arena& arena_;
  Refusal* refusal_;
  std::span<Field> fields_;  // in the arena, with room for more than `count_`
  size_t count_ = 0;
};

}  // namespace aegis::gateway
