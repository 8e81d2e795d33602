// The actions of a tool's document.
#include <algorithm>
#include <array>

#include "aegis/base/text.h"
#include "aegis/json/writer.h"
#include "aegis/tool/loose_name.h"
#include "aegis/tool/path_template.h"
#include "aegis/tool/spec_reader.h"

namespace aegis::tool {
namespace {

using internal::Reader;

constexpr std::array<std::string_view, 7> kMethods = {"GET",   "HEAD",   "POST",   "PUT",
                                                      "PATCH", "DELETE", "OPTIONS"};
constexpr std::array<std::string_view, 5> kPlaces = {"path", "query", "header", "cookie", "body"};
constexpr std::array<std::string_view, 4> kTypes = {"string", "integer", "number", "boolean"};
constexpr std::array<std::string_view, 5> kTypesAndArray = {"string", "integer", "number",
                                                            "boolean", "array"};
constexpr size_t kArray = 4;
constexpr std::array<std::string_view, 5> kBodies = {"json", "form", "multipart", "opaque",
                                                     "unread"};
constexpr std::string_view kActionMembers[] = {"name", "method", "path", "params", "body"};
constexpr std::string_view kParamMembers[] = {"in", "name", "type", "items"};

// Fields that say how the message is read, who calls, or what policy has no business with; the
// gateway takes them away or makes them itself, so that the tool does not get what was judged.
constexpr std::string_view kRefusedHeaders[] = {"accept-encoding",
                                                "authorization",
                                                "connection",
                                                "content-encoding",
                                                "content-length",
                                                "content-type",
                                                "cookie",
                                                "expect",
                                                "host",
                                                "keep-alive",
                                                "proxy-authenticate",
                                                "proxy-authorization",
                                                "proxy-connection",
                                                "te",
                                                "traceparent",
                                                "tracestate",
                                                "trailer",
                                                "transfer-encoding",
                                                "upgrade",
                                                "x-original-url",
                                                "x-rewrite-url",
                                                "x-http-method",
                                                "x-http-method-override",
                                                "x-method-override"};

std::string Lower(std::string_view text) {
  std::string out(text);
  for (char& c : out) {
    if (c >= 'A' && c <= 'Z') c = static_cast<char>(c - 'A' + 'a');
  }
  return out;
}

std::string CheckParamName(std::string_view name) {
  if (name.empty() || name.size() > kMaxParamNameBytes) return "must have 1 to 256 bytes";
  for (const char c : name) {
    if (static_cast<unsigned char>(c) < 0x20 || c == 0x7f || c == '[' || c == ';') {
      return "must not have control characters, '[' or ';'";
    }
  }
  if (LooseName(name).empty()) return "must not be blank";
  return {};
}

std::string CheckHeaderName(std::string_view name) {
  for (const char c : name) {
    const bool plain = (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-';
    if (!plain) return "must be the name of a header field: letters, digits and '-'";
  }
  if (name.starts_with("x-aegis") ||
      std::find(std::begin(kRefusedHeaders), std::end(kRefusedHeaders), name) !=
          std::end(kRefusedHeaders)) {
    return "is a field that the gateway reads or replaces; it cannot be a param";
  }
  return {};
}

std::string CheckCookieName(std::string_view name) {
  for (const char c : name) {
    const bool plain = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
                       c == '-' || c == '_' || c == '.';
    if (!plain) return "must be the name of a cookie: letters, digits, '-', '_' and '.'";
  }
  return {};
}

Param ReadParam(std::string_view name, Reader reader, const PathTemplate& path) {
  Param param;
  param.name = name;
  param.sent_as = name;
  if (std::string problem = CheckParamName(name); !problem.empty()) {
    reader.Report(std::move(problem));
  }
  if (!reader.IsObject(std::size(kParamMembers))) return param;
  const json::Tree& value = reader.value();
  reader.RefuseOthers(kParamMembers);
  if (const json::Tree* in = value.Find("in")) {
    if (const auto which = reader.At("in", *in).OneOf(kPlaces)) {
      param.place = static_cast<Place>(*which + 1);
    }
  }
  if (const json::Tree* type = value.Find("type")) {
    Reader at = reader.At("type", *type);
    if (const auto which = at.OneOf(kTypesAndArray)) {
      param.list = *which == kArray;
      if (!param.list) param.type = static_cast<Type>(*which + 1);
    }
  }
  if (const json::Tree* items = value.Find("items")) {
    Reader at = reader.At("items", *items);
    const auto which = at.OneOf(kTypes);
    if (!param.list) {
      at.Report("belongs to the type array only");
    } else if (which) {
      param.type = static_cast<Type>(*which + 1);
    }
  }
  if (const json::Tree* sent_as = value.Find("name")) {
    Reader at = reader.At("name", *sent_as);
    if (const auto text = at.Text()) {
      param.sent_as = *text;
      if (std::string problem = CheckParamName(*text); !problem.empty()) {
        at.Report(std::move(problem));
      }
      if (param.place == Place::kBody || param.place == Place::kAnywhere) {
        at.Report("can be given where 'in' is path, query, header or cookie");
      }
    }
  }
  const bool is_variable =
      std::any_of(path.segments.begin(), path.segments.end(), [&](const auto& segment) {
        return segment.kind != PathTemplate::Kind::kLiteral && segment.text == param.sent_as;
      });
  if (param.place == Place::kAnywhere && is_variable) param.place = Place::kPath;
  switch (param.place) {
    case Place::kPath:
      if (!is_variable) {
        reader.Report("is in the path, but the path has no variable '" + param.sent_as + "'");
      }
      break;
    case Place::kHeader: {
      param.sent_as = Lower(param.sent_as);
      std::string problem = CheckHeaderName(param.sent_as);
      if (!problem.empty()) reader.Report("has a name that " + problem);
      break;
    }
    case Place::kCookie:
      if (std::string problem = CheckCookieName(param.sent_as); !problem.empty()) {
        reader.Report("has a name that " + problem);
      }
      break;
    case Place::kAnywhere:
      if (value.Find("type") == nullptr && value.Find("in") == nullptr) {
        reader.Report("says nothing: give it a type, or say where it is ('in')");
      }
      break;
    default:
      break;
  }
  if (param.list && param.place != Place::kQuery && param.place != Place::kBody &&
      param.place != Place::kAnywhere) {
    reader.Report("can be a list in the query or the body only");
  }
  return param;
}

bool Covers(const Param& param, Place place) {
  if (param.place != Place::kAnywhere) return param.place == place;
  return place == Place::kQuery || place == Place::kBody;
}

// Whether one request could give both under names that some reader takes for one.
bool SentAlike(const Param& a, const Param& b) {
  for (const Place place :
       {Place::kPath, Place::kQuery, Place::kHeader, Place::kCookie, Place::kBody}) {
    if (Covers(a, place) && Covers(b, place) && LooseName(a.sent_as) == LooseName(b.sent_as)) {
      return true;
    }
  }
  return false;
}

void ReadParams(Reader reader, const PathTemplate& path, Action& action) {
  if (!reader.IsObject(kMaxParams)) return;
  for (const json::Member& member : reader.value().members()) {
    Reader at = reader.At(member.name, member.value);
    Param param = ReadParam(member.name, at, path);
    for (const Param& before : action.params) {
      if (LooseName(before.name) == LooseName(param.name)) {
        at.Report("and '" + before.name + "' are one name to some tools; rename one of them");
      } else if (SentAlike(before, param)) {
        at.Report("is sent under the name of '" + before.name + "'");
      }
    }
    action.params.push_back(std::move(param));
  }
}

// The names of variables must not be one to some reader, nor be that of a declared param.
void CheckVariables(Reader reader, const PathTemplate& path, const Action& action) {
  std::vector<std::string> names;
  for (const PathTemplate::Segment& segment : path.segments) {
    if (segment.kind == PathTemplate::Kind::kLiteral || segment.text.empty()) continue;
    const auto declared =
        std::find_if(action.params.begin(), action.params.end(), [&](const Param& param) {
          return param.place == Place::kPath && param.sent_as == segment.text;
        });
    if (declared != action.params.end()) continue;
    std::string loose = LooseName(segment.text);
    const bool taken =
        std::any_of(action.params.begin(), action.params.end(),
                    [&](const Param& param) { return LooseName(param.name) == loose; });
    if (taken || std::find(names.begin(), names.end(), loose) != names.end()) {
      reader.Report("has the variable '" + segment.text +
                    "', whose name is that of another param to some tools");
    }
    names.push_back(std::move(loose));
  }
}

Bodies ReadBodies(Reader reader) {
  Bodies bodies = 0;
  size_t index = 0;
  for (const json::Tree& element : reader.Elements(kBodies.size())) {
    if (const auto which = reader.At(index++, element).OneOf(kBodies)) {
      bodies |= static_cast<Bodies>(1 << *which);
    }
  }
  if ((bodies & kUnreadBody) != 0 && bodies != kUnreadBody) {
    reader.Report("must be [unread] alone, or without it: what is unread is not read");
  }
  return bodies;
}

Action ReadAction(Reader reader, PathTemplate* path) {
  Action action;
  if (!reader.IsObject(16)) return action;
  reader.RefuseOthers(kActionMembers);
  const json::Tree& value = reader.value();
  for (const std::string_view required : {"name", "method", "path"}) {
    if (value.Find(required) == nullptr) reader.At(required, value).Report("is required");
  }
  if (const json::Tree* name = value.Find("name")) {
    Reader at = reader.At("name", *name);
    if (const auto text = at.Text()) {
      action.name = *text;
      if (std::string problem = CheckName(*text); !problem.empty()) at.Report(std::move(problem));
    }
  }
  if (const json::Tree* method = value.Find("method")) {
    if (const auto which = reader.At("method", *method).OneOf(kMethods)) {
      action.method = kMethods[*which];
    }
  }
  if (const json::Tree* text = value.Find("path")) {
    Reader at = reader.At("path", *text);
    if (const auto written = at.Text()) {
      action.path = *written;
      if (std::string problem = ParsePathTemplate(*written, path); !problem.empty()) {
        at.Report(std::move(problem));
      }
    }
  }
  if (const json::Tree* body = value.Find("body")) {
    action.bodies = ReadBodies(reader.At("body", *body));
  }
  if (const json::Tree* params = value.Find("params")) {
    ReadParams(reader.At("params", *params), *path, action);
  }
  if (const json::Tree* text = value.Find("path")) {
    CheckVariables(reader.At("path", *text), *path, action);
  }
  return action;
}

// What no request may leave in doubt: two actions for one, or literals that differ in case only.
std::string FindConflict(const Action& a, const PathTemplate& a_path, const Action& b,
                         const PathTemplate& b_path) {
  // The literals that both have behind the same segments.
  for (size_t i = 0; i < std::min(a_path.segments.size(), b_path.segments.size()); ++i) {
    const auto &x = a_path.segments[i], &y = b_path.segments[i];
    if (x.kind != y.kind) break;
    if (x.kind != PathTemplate::Kind::kLiteral || x.text == y.text) continue;
    if (EqualsIgnoreCase(x.text, y.text)) {
      return "differs from '" + b.path + "' in the case of letters, which many servers ignore";
    }
    break;
  }
  if (a.method != b.method) return {};
  switch (Compare(a_path, b_path)) {
    case Overlap::kSame:
      return "matches the same requests as '" + b.path + "' of action '" + b.name + "'";
    case Overlap::kAmbiguous:
      return "and '" + b.path + "' of action '" + b.name +
             "' match the same path, and neither is narrower than the other";
    default:
      return {};
  }
}

}  // namespace

namespace internal {

std::vector<Action> ReadActions(Reader reader) {
  std::vector<Action> actions;
  std::vector<PathTemplate> paths;
  size_t index = 0;
  for (const json::Tree& element : reader.Elements(kMaxActions)) {
    Reader at = reader.At(index++, element);
    PathTemplate path;
    Action action = ReadAction(at, &path);
    const bool whole = !action.path.empty() && !action.method.empty();
    for (size_t i = 0; whole && i < actions.size(); ++i) {
      std::string conflict = FindConflict(action, path, actions[i], paths[i]);
      if (conflict.empty()) continue;
      at.At("path", element).Report(std::move(conflict));
      break;
    }
    actions.push_back(std::move(action));
    paths.push_back(std::move(path));
  }
  return actions;
}

void AppendActions(const std::vector<Action>& actions, std::string& out) {
  const auto member = [&](std::string_view name, std::string_view value) {
    if (out.back() != '{') out += ',';
    json::AppendString(out, name);
    out += ':';
    json::AppendString(out, value);
  };
  out += '[';
  for (const Action& action : actions) {
    if (out.back() != '[') out += ',';
    out += '{';
    member("name", action.name);
    member("method", action.method);
    member("path", action.path);
    if (!action.params.empty()) {
      out += ",\"params\":{";
      for (const Param& param : action.params) {
        if (out.back() != '{') out += ',';
        json::AppendString(out, param.name);
        out += ":{";
        if (param.place != Place::kAnywhere) member("in", PlaceName(param.place));
        if (param.sent_as != param.name) member("name", param.sent_as);
        if (param.list) member("type", "array");
        if (param.type != Type::kAny) {
          member(param.list ? "items" : "type", TypeName(param.type));
        }
        out += '}';
      }
      out += '}';
    }
    if (action.bodies != kJudgedBodies) {
      out += ",\"body\":[";
      for (size_t i = 0; i < kBodies.size(); ++i) {
        if ((action.bodies & (1 << i)) == 0) continue;
        if (out.back() != '[') out += ',';
        json::AppendString(out, kBodies[i]);
      }
      out += ']';
    }
    out += '}';
  }
  out += ']';
}

}  // namespace internal

std::string_view PlaceName(Place place) {
  return place == Place::kAnywhere ? "" : kPlaces[static_cast<size_t>(place) - 1];
}

std::string_view TypeName(Type type) {
  return type == Type::kAny ? "" : kTypes[static_cast<size_t>(type) - 1];
}

}  // namespace aegis::tool
