#include "aegis/tool/openapi.h"

#include <algorithm>
#include <array>
#include <optional>
#include <set>

#include "aegis/base/text.h"
#include "aegis/json/tree.h"
#include "aegis/tool/base_url.h"
#include "aegis/tool/loose_name.h"
#include "aegis/tool/path_template.h"

namespace aegis::tool {
namespace {

using json::Tree;
using Kind = PathTemplate::Kind;

constexpr int kMaxReferences = 16;  // one after the other
constexpr int kMaxSchemaDepth = 8;  // of allOf in each other
constexpr size_t kMaxNotes = 10'000;
constexpr std::array<std::string_view, 7> kMethods = {"get",   "head",   "post",   "put",
                                                      "patch", "delete", "options"};

bool IsAlphanumeric(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
}

std::string Upper(std::string_view text) {
  std::string out(text);
  for (char& c : out) {
    if (c >= 'a' && c <= 'z') c = static_cast<char>(c - 'a' + 'A');
  }
  return out;
}

// A name of an action: as it is, with '_' for what names may not have.
std::string ActionName(std::string_view text) {
  std::string out;
  for (const char c : text.substr(0, kMaxNameBytes)) {
    const bool fits = IsAlphanumeric(c) || (!out.empty() && (c == '.' || c == '_' || c == '-'));
    if (fits) {
      out += c;
    } else if (!out.empty() && out.back() != '_') {
      out += '_';
    }
  }
  while (out.ends_with('_')) out.pop_back();
  return out;
}

class Importer {
 public:
  explicit Importer(const Tree& root) : root_(root) {}

  Status Run(std::string_view name, std::string_view base_url);
  OpenApiImport& result() { return out_; }

 private:
  struct Operation {
    Action action;
    std::string title;    // "GET /pets/{id}"
    PathTemplate path;    // as it is, or as good as it can be told
    std::string problem;  // why it is left out; empty: it is not
  };
  struct Parameter {
    std::string_view name, in;
    const Tree* value;
  };

  void Remark(const std::string& title, std::string detail) {
    if (out_.remarks.size() < kMaxNotes) out_.remarks.push_back({title, std::move(detail)});
  }
  // What `value` refers to, or itself; nullptr: a reference that leads nowhere.
  const Tree* Follow(const Tree* value) const;
  const Tree* Find(const Tree& object, std::string_view name) const {
    return Follow(object.Find(name));
  }

  Status SetServer(std::string_view base_url);
  Status ReadPaths();
  Status ReadPathItem(std::string_view path, const Tree& item);
  Operation ReadOperation(std::string_view method, std::string_view path, const Tree& item,
                          const Tree& operation);
  std::string ReadTemplate(std::string_view path, Operation& out, std::vector<std::string>& names);
  std::string NameOf(std::string_view method, std::string_view path, const Tree& operation);
  std::vector<Parameter> ParametersOf(const Tree& item, const Tree& operation,
                                      const std::string& title);
  void AddParameter(const Parameter& parameter, const std::vector<std::string>& path_names,
                    const std::set<std::string>& body_names, Operation& out);
  void ReadQueryType(const Tree& value, Param& param, const std::string& title);
  void ReadBody(const Tree& operation, Operation& out, std::set<std::string>& body_names);
  void ReadProperties(const Tree* schema, int depth, bool declare, Operation& out,
                      std::set<std::string>& names);
  // The one type that a schema has, as far as a map can say it.
  struct SchemaType {
    Type type = Type::kAny;
    bool list = false;
    bool object = false;
    bool null = false;  // null too
  };
  SchemaType TypeOf(const Tree* schema, int depth = 0) const;
  bool Declare(Param param, Operation& out);
  void LeaveOut();

  const Tree& root_;
  OpenApiImport out_;
  std::vector<Operation> operations_;
  std::set<std::string> action_names_;
};

const Tree* Importer::Follow(const Tree* value) const {
  for (int hops = 0; value != nullptr; ++hops) {
    const auto reference = value->FindString("$ref");
    if (!reference) return value;
    if (hops == kMaxReferences || !reference->starts_with("#/")) return nullptr;
    value = &root_;
    for (const std::string_view part : Split(reference->substr(2), '/')) {
      // RFC 6901 §4; percent-encoding of the fragment is not used for names that occur.
      std::string name;
      for (size_t i = 0; i < part.size(); ++i) {
        const bool escape = part[i] == '~' && i + 1 < part.size();
        name += escape ? (part[++i] == '1' ? '/' : '~') : part[i];
      }
      value = value == nullptr ? nullptr : value->Find(name);
    }
  }
  return nullptr;
}

Status Importer::Run(std::string_view name, std::string_view base_url) {
  if (!root_.is_object()) {
    return Fail(Code::kInvalidArgument, "openapi_malformed", "the description is not an object");
  }
  const std::string_view version = root_.FindString("openapi").value_or("");
  if (!version.starts_with("3.0") && !version.starts_with("3.1")) {
    return Fail(Code::kInvalidArgument, "openapi_version",
                "the description is not one of OpenAPI 3.0 or 3.1: its member 'openapi' says "
                "otherwise, or is missing");
  }
  out_.spec.name = name;
  if (std::string problem = CheckName(name); !problem.empty()) {
    return Fail(Code::kInvalidArgument, "openapi_malformed", "the tool's name " + problem);
  }
  AEGIS_RETURN_IF_ERROR(SetServer(base_url));
  AEGIS_RETURN_IF_ERROR(ReadPaths());
  LeaveOut();
  return Ok();
}

Status Importer::SetServer(std::string_view base_url) {
  std::string_view url = base_url;
  if (url.empty()) {
    const Tree* servers = root_.Find("servers");
    if (servers != nullptr && !servers->elements().empty()) {
      url = servers->elements()[0].FindString("url").value_or("");
    }
  }
  out_.spec.base_url = url;
  const std::string problem = CheckBaseUrl(url);
  if (problem.empty()) return Ok();
  return Fail(Code::kInvalidArgument, "openapi_server",
              base_url.empty() ? "the description's first server cannot be used (its URL " +
                                     problem + "); say where the tool is with --url"
                               : "the URL " + problem);
}

Status Importer::ReadPaths() {
  const Tree* paths = root_.Find("paths");
  if (paths == nullptr || !paths->is_object()) {
    return Fail(Code::kInvalidArgument, "openapi_malformed", "the description has no 'paths'");
  }
  for (const json::Member& member : paths->members()) {
    if (!member.name.starts_with('/')) continue;  // x-…
    const Tree* item = Follow(&member.value);
    if (item == nullptr || !item->is_object()) {
      return Fail(Code::kInvalidArgument, "openapi_malformed",
                  "the path " + std::string(member.name.substr(0, 200)) +
                      " is no object, or refers to something outside the description");
    }
    AEGIS_RETURN_IF_ERROR(ReadPathItem(member.name, *item));
  }
  return Ok();
}

Status Importer::ReadPathItem(std::string_view path, const Tree& item) {
  for (const std::string_view method : kMethods) {
    const Tree* operation = item.Find(method);
    if (operation == nullptr || !operation->is_object()) continue;
    if (operations_.size() == kMaxActions) {
      return Fail(Code::kResourceExhausted, "openapi_too_many",
                  "the description has more than " + std::to_string(kMaxActions) +
                      " operations; divide it");
    }
    operations_.push_back(ReadOperation(method, path, item, *operation));
  }
  if (item.Find("trace") != nullptr) {
    out_.left_out.push_back({"TRACE " + std::string(path), "tools are not called with TRACE"});
  }
  return Ok();
}

Importer::Operation Importer::ReadOperation(std::string_view method, std::string_view path,
                                            const Tree& item, const Tree& operation) {
  Operation out;
  out.action.method = Upper(method);
  out.title = out.action.method + " " + std::string(path.substr(0, kMaxTemplateBytes));
  std::vector<std::string> path_names;
  out.problem = ReadTemplate(path, out, path_names);
  if (item.Find("servers") != nullptr || operation.Find("servers") != nullptr) {
    out.problem = "it has servers of its own; make a tool of them";
  }
  out.action.name = NameOf(method, path, operation);
  std::set<std::string> body_names;
  ReadBody(operation, out, body_names);
  for (const Parameter& parameter : ParametersOf(item, operation, out.title)) {
    AddParameter(parameter, path_names, body_names, out);
  }
  return out;
}

// `names`: of the variables, as the description has them. Gives why the path cannot be a template;
// out.path is then the nearest one that matches all of its calls.
std::string Importer::ReadTemplate(std::string_view path, Operation& out,
                                   std::vector<std::string>& names) {
  std::string text;
  std::string problem;
  std::string_view left = path.substr(1);
  const bool slash = left.ends_with('/');
  if (slash) left.remove_suffix(1);
  std::vector<std::string_view> parts;
  if (!left.empty()) parts = Split(left, '/');
  for (size_t i = 0; i < parts.size(); ++i) {
    std::string_view part = parts[i];
    text += '/';
    const bool variable = part.size() > 2 && part.front() == '{' && part.back() == '}' &&
                          part.find('{', 1) == std::string_view::npos;
    if (variable) {
      part = part.substr(1, part.size() - 2);
      std::string name;
      for (const char c : part.substr(0, kMaxVariableBytes)) {
        name += IsAlphanumeric(c) || c == '_' || c == '-' ? c : '_';
      }
      if (!name.empty() && !IsAlphanumeric(name[0])) name[0] = '_';
      if (!name.empty() && name[0] >= '0' && name[0] <= '9') name.insert(0, "_");
      names.emplace_back(part);
      text.append("{").append(name).append("}");
      out.path.segments.push_back({Kind::kVariable, std::move(name)});
      continue;
    }
    text += part;
    PathTemplate single;
    std::string wrong = ParsePathTemplate("/" + std::string(part), &single);
    if (wrong.empty() && single.segments.size() == 1 && single.segments[0].kind == Kind::kLiteral) {
      out.path.segments.push_back({Kind::kLiteral, std::string(part)});
    } else {
      problem = "its path " + (wrong.empty() ? "cannot be a template" : wrong);
      out.path.segments.push_back({Kind::kVariable, "x" + std::to_string(i)});
    }
  }
  if (slash || text.empty()) text += '/';
  out.path.slash = slash;
  out.action.path = std::move(text);
  return problem;
}

std::string Importer::NameOf(std::string_view method, std::string_view path,
                             const Tree& operation) {
  std::string name = ActionName(operation.FindString("operationId").value_or(""));
  if (name.empty()) name = ActionName(std::string(method) + std::string(path));
  const std::string base = name.substr(0, kMaxNameBytes - 8);
  for (int i = 2; !action_names_.insert(name).second; ++i) name = base + "_" + std::to_string(i);
  return name;
}

// Those of the path and of the operation, which override them.
std::vector<Importer::Parameter> Importer::ParametersOf(const Tree& item, const Tree& operation,
                                                        const std::string& title) {
  std::vector<Parameter> out;
  for (const Tree* list : {operation.Find("parameters"), item.Find("parameters")}) {
    if (list == nullptr) continue;
    for (const Tree& element : list->elements()) {
      const Tree* value = Follow(&element);
      if (value == nullptr) {
        Remark(title, "a parameter refers to something that is not in the description");
        continue;
      }
      const Parameter parameter{value->FindString("name").value_or(""),
                                value->FindString("in").value_or(""), value};
      const bool known = std::any_of(out.begin(), out.end(), [&](const Parameter& other) {
        return other.name == parameter.name && other.in == parameter.in;
      });
      if (!known && out.size() < 1000) out.push_back(parameter);
    }
  }
  return out;
}

Importer::SchemaType Importer::TypeOf(const Tree* schema, int depth) const {
  SchemaType out;
  schema = Follow(schema);
  if (schema == nullptr || depth > kMaxSchemaDepth) return out;
  std::vector<std::string_view> types;
  if (const Tree* type = schema->Find("type")) {
    if (type->is_string()) types.push_back(type->text());
    for (const Tree& each : type->elements()) types.push_back(each.text());
  } else if (const Tree* all = schema->Find("allOf");
             all != nullptr && all->elements().size() == 1) {
    return TypeOf(&all->elements()[0], depth + 1);
  }
  const auto null = std::find(types.begin(), types.end(), "null");
  if (null != types.end()) {
    out.null = true;
    types.erase(null);
  }
  if (const Tree* nullable = schema->Find("nullable"))
    out.null = out.null || nullable->bool_value();
  if (types.size() != 1) return out;
  if (types[0] == "integer") out.type = Type::kInteger;
  if (types[0] == "number") out.type = Type::kNumber;
  if (types[0] == "boolean") out.type = Type::kBoolean;
  if (types[0] == "string") out.type = Type::kString;
  if (types[0] == "object") out.object = true;
  if (types[0] == "array") {
    const SchemaType items = TypeOf(schema->Find("items"), depth + 1);
    out.list = true;
    out.type = items.null || items.list ? Type::kAny : items.type;
    out.object = items.object || items.list;
  }
  return out;
}

// False: another param has a name that is the same to some tools.
bool Importer::Declare(Param param, Operation& out) {
  const std::string loose = LooseName(param.name);
  for (const Param& before : out.action.params) {
    if (LooseName(before.name) == loose) return false;
  }
  for (const PathTemplate::Segment& segment : out.path.segments) {
    if (segment.kind == Kind::kLiteral || param.place == Place::kPath) continue;
    if (LooseName(segment.text) == loose) return false;
  }
  if (out.action.params.size() == kMaxParams) {
    Remark(out.title,
           "has more params than a map may declare; '" + param.name + "' and others are texts");
    return true;
  }
  out.action.params.push_back(std::move(param));
  return true;
}

void Importer::AddParameter(const Parameter& parameter, const std::vector<std::string>& path_names,
                            const std::set<std::string>& body_names, Operation& out) {
  const std::string name(parameter.name.substr(0, kMaxParamNameBytes));
  const Tree* schema = Find(*parameter.value, "schema");
  Param param{name, name, Place::kAnywhere, Type::kAny, false};
  if (parameter.in == "path") {
    param.place = Place::kPath;
    const auto at = std::find(path_names.begin(), path_names.end(), name);
    if (at == path_names.end()) return;  // of a path that is left out
    size_t index = static_cast<size_t>(at - path_names.begin());
    for (const PathTemplate::Segment& segment : out.path.segments) {
      if (segment.kind == Kind::kVariable && index-- == 0) param.sent_as = segment.text;
    }
    param.name = param.sent_as;
    param.type = TypeOf(schema).type;
    if (TypeOf(schema).list) param.type = Type::kAny;
  } else if (parameter.in == "query") {
    param.place = Place::kQuery;
    ReadQueryType(*parameter.value, param, out.title);
  } else if (parameter.in == "header") {
    if (EqualsIgnoreCase(name, "accept") || EqualsIgnoreCase(name, "content-type") ||
        EqualsIgnoreCase(name, "authorization")) {
      return;  // not parameters, says OpenAPI
    }
    param.place = Place::kHeader;
    param.type = TypeOf(schema).list ? Type::kAny : TypeOf(schema).type;
    std::transform(name.begin(), name.end(), param.sent_as.begin(), [](char c) {
      return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c;
    });
  } else if (parameter.in == "cookie") {
    param.place = Place::kCookie;
    param.type = TypeOf(schema).list ? Type::kAny : TypeOf(schema).type;
  } else {
    return Remark(out.title, "a parameter is in a place that OpenAPI does not know");
  }
  if (name.find_first_of("[];") != std::string::npos) {
    return Remark(out.title, "calls with the parameter '" + name +
                                 "' are refused: tools read '[', ']' and ';' in several ways");
  }
  const std::string in(parameter.in);
  const bool in_body = body_names.contains(LooseName(param.name));
  const bool says_something = param.place != Place::kPath || param.type != Type::kString;
  if (!in_body && !says_something) return;
  if (!in_body && Declare(param, out)) return;
  param.name = in + "_" + param.name;
  if (Declare(param, out)) {
    Remark(out.title, "the parameter '" + name + "' in the " + in + " is the param '" + param.name +
                          "': the request has another of its name");
  } else {
    Remark(out.title, "the parameter '" + name +
                          "' has the name of another; calls with both are "
                          "refused");
  }
}

void Importer::ReadQueryType(const Tree& value, Param& param, const std::string& title) {
  if (value.Find("content") != nullptr) {
    return Remark(title, "the parameter '" + param.name + "' is a text: it holds a text of JSON");
  }
  const SchemaType type = TypeOf(Find(value, "schema"));
  const std::string_view style = value.FindString("style").value_or("form");
  const Tree* explode = value.Find("explode");
  const bool repeats = explode == nullptr ? style == "form" : explode->bool_value();
  if (type.object && !type.list) {
    return Remark(title, "the parameter '" + param.name +
                             "' is an object: its members are params "
                             "of their own, or the call is refused where their names have '['");
  }
  param.type = type.type;
  if (!type.list) return;
  if (style == "form" && repeats && !type.object) {
    param.list = true;
    return;
  }
  param.type = Type::kAny;
  Remark(title, "the list '" + param.name + "' is one text, as it is sent");
}

void Importer::ReadBody(const Tree& operation, Operation& out, std::set<std::string>& body_names) {
  out.action.bodies = 0;
  if (operation.Find("requestBody") == nullptr) return;
  const Tree* body = Find(operation, "requestBody");
  const Tree* content = body == nullptr ? nullptr : Find(*body, "content");
  if (content == nullptr || !content->is_object()) {
    return Remark(out.title, "the request body is not described; the action takes none");
  }
  std::string others;
  for (const json::Member& member : content->members()) {
    const std::string_view type = Trim(member.name.substr(0, member.name.find(';')));
    const Bodies before = out.action.bodies;
    if (EqualsIgnoreCase(type, "application/json") || EqualsIgnoreCase(type, "text/json") ||
        (type.size() > 5 && EqualsIgnoreCase(type.substr(type.size() - 5), "+json"))) {
      out.action.bodies |= kJsonBody;
    } else if (EqualsIgnoreCase(type, "application/x-www-form-urlencoded")) {
      out.action.bodies |= kFormBody;
    } else if (EqualsIgnoreCase(type, "multipart/form-data")) {
      out.action.bodies |= kMultipartBody;
    } else if (type == "*/*") {
      out.action.bodies |= kJudgedBodies;
    } else if (type == "application/octet-stream" || type == "application/pdf" ||
               type == "application/zip" || type == "application/gzip" || type == "text/plain" ||
               type == "text/csv" || type.starts_with("image/") || type.starts_with("audio/") ||
               type.starts_with("video/") || type.starts_with("font/")) {
      out.action.bodies |= kOpaqueBody;
    } else {
      others.append(others.empty() ? "" : ", ").append(type.substr(0, 100));
    }
    if (out.action.bodies == before) continue;
    const bool declare = (out.action.bodies & (kFormBody | kMultipartBody)) != 0;
    ReadProperties(Find(member.value, "schema"), 0, declare, out, body_names);
  }
  if (others.empty()) return;
  Remark(out.title, "bodies of these types are refused, for policy cannot read them: " + others +
                        (out.action.bodies == 0
                             ? "; write body: [unread] to let them pass without being judged"
                             : ""));
}

void Importer::ReadProperties(const Tree* schema, int depth, bool declare, Operation& out,
                              std::set<std::string>& names) {
  schema = Follow(schema);
  if (schema == nullptr || depth > kMaxSchemaDepth || names.size() > 1000) return;
  for (const char* both : {"allOf", "anyOf", "oneOf"}) {
    const Tree* list = schema->Find(both);
    if (list == nullptr) continue;
    // What only some of several schemas say is not what all bodies are.
    const bool all = std::string_view(both) == "allOf";
    for (const Tree& each : list->elements()) {
      ReadProperties(&each, depth + 1, declare && all, out, names);
    }
  }
  const Tree* properties = schema->Find("properties");
  if (properties == nullptr) return;
  for (const json::Member& member : properties->members()) {
    const std::string name(member.name.substr(0, kMaxParamNameBytes));
    if (!names.insert(LooseName(name)).second || !declare) continue;
    const SchemaType type = TypeOf(&member.value);
    if (name.find_first_of("[];") != std::string::npos) continue;
    if (type.null || type.object || (type.type == Type::kAny && !type.list)) continue;
    // A file is of type string, and declared text cannot be one.
    if (type.type == Type::kString) continue;
    Declare({name, name, Place::kBody, type.type, type.list}, out);
  }
}

// Takes out what cannot be in one map, and what would catch the calls of what is not in it.
void Importer::LeaveOut() {
  for (bool changed = true; changed;) {
    changed = false;
    Spec& spec = out_.spec;
    spec.actions.clear();
    std::vector<size_t> which;
    for (size_t i = 0; i < operations_.size(); ++i) {
      if (!operations_[i].problem.empty()) continue;
      spec.actions.push_back(operations_[i].action);
      which.push_back(i);
    }
    std::vector<Mistake> mistakes;
    const auto read = ReadSpec(SpecJson(spec), &mistakes);
    for (const Mistake& mistake : mistakes) {
      const std::vector<std::string_view> parts = Split(mistake.pointer, '/');
      size_t index = which.size();
      if (parts.size() > 2 && parts[1] == "actions") {
        index = std::strtoul(std::string(parts[2]).c_str(), nullptr, 10);
      }
      if (index >= which.size()) continue;
      std::string& problem = operations_[which[index]].problem;
      if (!problem.empty()) continue;
      problem = "its " + std::string(parts.back()) + " " + mistake.detail;
      changed = true;
    }
    if (changed) continue;
    if (read) spec = *read;
    for (const Operation& gone : operations_) {
      if (gone.problem.empty()) continue;
      for (Operation& other : operations_) {
        if (!other.problem.empty() || other.action.method != gone.action.method) continue;
        const Overlap overlap = Compare(other.path, gone.path);
        if (overlap == Overlap::kNone || overlap == Overlap::kFirst) continue;
        other.problem = "it would be taken for calls of " + gone.title + ", which is left out";
        changed = true;
      }
    }
  }
  for (const Operation& operation : operations_) {
    if (!operation.problem.empty()) out_.left_out.push_back({operation.title, operation.problem});
  }
  const auto is_gone = [&](const OpenApiImport::Note& note) {
    return std::any_of(operations_.begin(), operations_.end(), [&](const Operation& operation) {
      return operation.title == note.operation && !operation.problem.empty();
    });
  };
  std::erase_if(out_.remarks, is_gone);
}

}  // namespace

Result<OpenApiImport> ImportOpenApi(std::string_view text, std::string_view name,
                                    std::string_view base_url) {
  Arena arena;
  json::TreeLimits limits;
  limits.max_bytes = kMaxOpenApiBytes;
  limits.max_depth = 128;
  AEGIS_TRY(const Tree root, json::ParseTree(text, arena, limits));
  Importer importer(root);
  AEGIS_RETURN_IF_ERROR(importer.Run(name, base_url));
  return std::move(importer.result());
}

}  // namespace aegis::tool
