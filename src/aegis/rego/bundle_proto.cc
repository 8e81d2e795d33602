#include "aegis/rego/bundle_proto.h"

#include <algorithm>
#include <array>
#include <bit>
#include <charconv>
#include <cmath>
#include <cstdint>
#include <span>
#include <utility>
#include <vector>

#include "aegis/base/protobuf_wire.h"
#include "aegis/base/text.h"
#include "aegis/json/tree.h"

namespace aegis::rego {
namespace {

constexpr int kMaxDepth = 400;  // blocks and metadata in each other; the JSON readers stop sooner

tl::unexpected<Error> Malformed(std::string_view what) {
  return Fail(Code::kInvalidArgument, "bundle_malformed",
              "the protobuf of the bundle is damaged: " + std::string(what));
}

// How a field is written as JSON.
enum class Form : uint8_t {
  kNone,
  kInt,
  kText,
  kInts,      // repeated; none: []
  kIntsNull,  // repeated; none: null
  kTexts,
  kMessage,   // one, of the type `type`
  kMessages,  // repeated
  kOperand,
  kOperands,
};

struct MessageSpec;
struct FieldSpec {
  uint32_t number = 0;
  std::string_view name;
  Form form = Form::kNone;
  const MessageSpec* type = nullptr;
};
// A message whose fields become members of an object in this order. The statement's envelope, which
// holds one of 34 messages, is not one of these.
struct MessageSpec {
  std::array<FieldSpec, 5> fields;
};

extern const MessageSpec kBlock;
constexpr MessageSpec kStatement = {};  // a mark only: Converter::Statement writes it
constexpr MessageSpec kValueOnly = {{{{1, "value", Form::kText}}}};
constexpr MessageSpec kNameOnly = {{{{1, "name", Form::kText}}}};
const MessageSpec kBlock = {{{{1, "stmts", Form::kMessages, &kStatement}}}};
const MessageSpec kPlan = {{{{1, "name", Form::kText}, {2, "blocks", Form::kMessages, &kBlock}}}};
const MessageSpec kFunction = {{{{1, "name", Form::kText},
                                 {2, "params", Form::kInts},
                                 {3, "return", Form::kInt},
                                 {4, "blocks", Form::kMessages, &kBlock},
                                 {5, "path", Form::kTexts}}}};
const MessageSpec kStatic = {{{{1, "strings", Form::kMessages, &kValueOnly},
                               {2, "builtin_funcs", Form::kMessages, &kNameOnly},
                               {3, "files", Form::kMessages, &kValueOnly}}}};
const MessageSpec kPlans = {{{{1, "plans", Form::kMessages, &kPlan}}}};
const MessageSpec kFunctions = {{{{1, "funcs", Form::kMessages, &kFunction}}}};
const MessageSpec kPolicy = {{{{1, "static", Form::kMessage, &kStatic},
                               {2, "plans", Form::kMessage, &kPlans},
                               {3, "funcs", Form::kMessage, &kFunctions}}}};

struct StatementSpec {
  std::string_view type;
  MessageSpec body;
};
constexpr uint32_t kFirstStatement = 4;
// By field number, from kFirstStatement on; alphabetical, as plan.proto has them.
const StatementSpec kStatements[] = {
    {"ArrayAppendStmt", {{{{1, "value", Form::kOperand}, {2, "array", Form::kInt}}}}},
    {"AssignIntStmt", {{{{1, "value", Form::kInt}, {2, "target", Form::kInt}}}}},
    {"AssignVarOnceStmt", {{{{1, "source", Form::kOperand}, {2, "target", Form::kInt}}}}},
    {"AssignVarStmt", {{{{1, "source", Form::kOperand}, {2, "target", Form::kInt}}}}},
    {"BlockStmt", {{{{1, "blocks", Form::kMessages, &kBlock}}}}},
    {"BreakStmt", {{{{1, "index", Form::kInt}}}}},
    {"CallDynamicStmt",
     {{{{1, "args", Form::kInts}, {2, "result", Form::kInt}, {3, "path", Form::kOperands}}}}},
    {"CallStmt",
     {{{{1, "func", Form::kText}, {2, "args", Form::kOperands}, {3, "result", Form::kInt}}}}},
    {"DotStmt",
     {{{{1, "source", Form::kOperand}, {2, "key", Form::kOperand}, {3, "target", Form::kInt}}}}},
    {"EqualStmt", {{{{1, "a", Form::kOperand}, {2, "b", Form::kOperand}}}}},
    {"IsArrayStmt", {{{{1, "source", Form::kOperand}}}}},
    {"IsDefinedStmt", {{{{1, "source", Form::kInt}}}}},
    {"IsObjectStmt", {{{{1, "source", Form::kOperand}}}}},
    {"IsSetStmt", {{{{1, "source", Form::kOperand}}}}},
    {"IsUndefinedStmt", {{{{1, "source", Form::kInt}}}}},
    {"LenStmt", {{{{1, "source", Form::kOperand}, {2, "target", Form::kInt}}}}},
    {"MakeArrayStmt", {{{{1, "capacity", Form::kInt}, {2, "target", Form::kInt}}}}},
    {"MakeNullStmt", {{{{1, "target", Form::kInt}}}}},
    {"MakeNumberIntStmt", {{{{1, "value", Form::kInt}, {2, "target", Form::kInt}}}}},
    {"MakeNumberRefStmt", {{{{1, "index", Form::kInt}, {2, "target", Form::kInt}}}}},
    {"MakeObjectStmt", {{{{1, "target", Form::kInt}}}}},
    {"MakeSetStmt", {{{{1, "target", Form::kInt}}}}},
    {"NopStmt", {}},
    {"NotEqualStmt", {{{{1, "a", Form::kOperand}, {2, "b", Form::kOperand}}}}},
    {"NotStmt", {{{{1, "block", Form::kMessage, &kBlock}}}}},
    {"ObjectInsertOnceStmt",
     {{{{1, "key", Form::kOperand}, {2, "value", Form::kOperand}, {3, "object", Form::kInt}}}}},
    {"ObjectInsertStmt",
     {{{{1, "key", Form::kOperand}, {2, "value", Form::kOperand}, {3, "object", Form::kInt}}}}},
    {"ObjectMergeStmt",
     {{{{1, "a", Form::kInt}, {2, "b", Form::kInt}, {3, "target", Form::kInt}}}}},
    {"ResetLocalStmt", {{{{1, "target", Form::kInt}}}}},
    {"ResultSetAddStmt", {{{{1, "value", Form::kInt}}}}},
    {"ReturnLocalStmt", {{{{1, "source", Form::kInt}}}}},
    {"ScanStmt",
     {{{{1, "source", Form::kInt},
        {2, "key", Form::kInt},
        {3, "value", Form::kInt},
        {4, "block", Form::kMessage, &kBlock}}}}},
    {"SetAddStmt", {{{{1, "value", Form::kOperand}, {2, "set", Form::kInt}}}}},
    {"WithStmt",
     {{{{1, "local", Form::kInt},
        {2, "path", Form::kIntsNull},
        {3, "value", Form::kOperand},
        {4, "block", Form::kMessage, &kBlock}}}}},
};
static_assert(std::size(kStatements) == 34);
// Fields of the envelope that say where the statement comes from.
constexpr FieldSpec kLocation[] = {
    {1, "file", Form::kInt}, {2, "col", Form::kInt}, {3, "row", Form::kInt}};

class Converter {
 public:
  explicit Converter(size_t max_json_bytes) : limit_(max_json_bytes) {}

  Result<std::string> Finish(const Status& status) {
    if (!status) return tl::unexpected<Error>(status.error());
    return std::move(out_);
  }

  // Each field's values stand in `bytes` in any order, so each is looked for on its own; a message
  // has at most five kinds of field.
  Status Message(std::string_view bytes, const MessageSpec& spec, int depth) {
    if (depth > kMaxDepth) return Malformed("messages nest too deep");
    out_ += '{';
    AEGIS_RETURN_IF_ERROR(Members(bytes, spec.fields, depth));
    out_ += '}';
    return CheckSize();
  }

 private:
  Status CheckSize() const {
    if (out_.size() <= limit_) return Ok();
    return Fail(
        Code::kResourceExhausted, "bundle_too_large",
        "a protobuf of the bundle unpacks to more than " + std::to_string(limit_) + " bytes");
  }

  Status Members(std::string_view bytes, std::span<const FieldSpec> fields, int depth) {
    bool first = true;
    for (const FieldSpec& field : fields) {
      if (field.form == Form::kNone) break;
      if (!first) out_ += ',';
      first = false;
      out_.append("\"").append(field.name).append("\":");
      AEGIS_RETURN_IF_ERROR(Member(bytes, field, depth));
    }
    return Ok();
  }

  static bool IsRepeated(Form form) {
    return form == Form::kInts || form == Form::kIntsNull || form == Form::kTexts ||
           form == Form::kMessages || form == Form::kOperands;
  }

  Status Member(std::string_view bytes, const FieldSpec& spec, int depth) {
    const bool repeated = IsRepeated(spec.form);
    size_t found = 0;
    WireReader reader(bytes);
    WireField field;
    while (!reader.done()) {
      if (!reader.Next(field)) return Malformed("bad bytes");
      if (field.number != spec.number) continue;
      if (!repeated && found > 0) return Malformed("a field stands twice");
      if (repeated) out_ += found == 0 ? '[' : ',';
      ++found;
      AEGIS_RETURN_IF_ERROR(Value(field, spec, depth));
      AEGIS_RETURN_IF_ERROR(CheckSize());
    }
    if (repeated) {
      out_ += found > 0 ? "]" : spec.form == Form::kIntsNull ? "null" : "[]";
    } else if (found == 0) {
      return Absent(spec, depth);
    }
    return Ok();
  }

  Status Absent(const FieldSpec& spec, int depth) {
    switch (spec.form) {
      case Form::kInt:
        out_ += '0';
        return Ok();
      case Form::kText:
        out_ += "\"\"";
        return Ok();
      case Form::kMessage:
        return Message({}, *spec.type, depth + 1);
      default:
        return Malformed("an operand is missing");
    }
  }

  Status Value(const WireField& field, const FieldSpec& spec, int depth) {
    const bool is_int =
        spec.form == Form::kInt || spec.form == Form::kInts || spec.form == Form::kIntsNull;
    if (is_int && field.wire == Wire::kVarint) {
      Int(field.value);
      return Ok();
    }
    if (field.wire != Wire::kBytes) return Malformed("a field has a wrong type");
    switch (spec.form) {
      case Form::kInts:
      case Form::kIntsNull:
        return Packed(field.bytes);
      case Form::kText:
      case Form::kTexts:
        if (!IsValidUtf8(field.bytes)) return Malformed("a text is not UTF-8");
        json::AppendQuoted(out_, field.bytes);
        return Ok();
      case Form::kMessage:
      case Form::kMessages:
        if (spec.type == &kStatement) return Statement(field.bytes, depth + 1);
        return Message(field.bytes, *spec.type, depth + 1);
      case Form::kOperand:
      case Form::kOperands:
        return Operand(field.bytes);
      default:
        return Malformed("a field has a wrong type");
    }
  }

  void Int(uint64_t value) { out_ += std::to_string(static_cast<int64_t>(value)); }

  Status Packed(std::string_view bytes) {
    if (bytes.empty()) return Malformed("an empty list of numbers");
    WireReader reader(bytes);
    for (bool first = true; !reader.done(); first = false) {
      uint64_t value = 0;
      if (!reader.Varint(value)) return Malformed("bad bytes");
      if (!first) out_ += ',';
      Int(value);
    }
    return Ok();
  }

  // Operand{value: Val{oneof bool=1, local=2, string_index=3}}
  Status Operand(std::string_view bytes) {
    WireField outer, inner;
    WireReader operand(bytes);
    if (!operand.Next(outer) || outer.number != 1 || outer.wire != Wire::kBytes ||
        !operand.done()) {
      return Malformed("a bad operand");
    }
    WireReader value(outer.bytes);
    if (!value.Next(inner) || inner.wire != Wire::kVarint || !value.done()) {
      return Malformed("a bad operand");
    }
    switch (inner.number) {
      case 1:
        out_ += inner.value != 0 ? R"({"type":"bool","value":true})"
                                 : R"({"type":"bool","value":false})";
        return Ok();
      case 2:
        out_ += R"({"type":"local","value":)";
        break;
      case 3:
        out_ += R"({"type":"string_index","value":)";
        break;
      default:
        return Malformed("a bad operand");
    }
    Int(inner.value);
    out_ += '}';
    return Ok();
  }

  Status Statement(std::string_view bytes, int depth) {
    if (depth > kMaxDepth) return Malformed("messages nest too deep");
    const StatementSpec* spec = nullptr;
    std::string_view body;
    WireReader reader(bytes);
    WireField field;
    while (!reader.done()) {
      if (!reader.Next(field)) return Malformed("bad bytes");
      if (field.number < kFirstStatement ||
          field.number >= kFirstStatement + std::size(kStatements)) {
        continue;
      }
      if (spec != nullptr) return Malformed("a statement of two kinds");
      if (field.wire != Wire::kBytes) return Malformed("a field has a wrong type");
      spec = &kStatements[field.number - kFirstStatement];
      body = field.bytes;
    }
    if (spec == nullptr) return Malformed("a statement of no known kind");
    out_.append(R"({"type":")").append(spec->type).append(R"(","stmt":{)");
    const size_t before = out_.size();
    AEGIS_RETURN_IF_ERROR(Members(body, spec->body.fields, depth));
    if (out_.size() > before) out_ += ',';
    AEGIS_RETURN_IF_ERROR(Members(bytes, kLocation, depth));
    out_ += "}}";
    return CheckSize();
  }

  const size_t limit_;
  std::string out_;
};

// google.protobuf.Struct as JSON. Names that stand twice: the last counts, as in protobuf maps.
class StructConverter {
 public:
  explicit StructConverter(std::string& out, size_t limit) : out_(out), limit_(limit) {}

  Status Struct(std::string_view bytes, int depth) {
    if (depth > kMaxDepth) return Malformed("messages nest too deep");
    std::vector<std::pair<std::string_view, std::string_view>> members;
    Status read = ForEach(bytes, [&](const WireField& entry) -> Status {
      std::string_view name, value;
      if (entry.number != 1) return Ok();
      AEGIS_RETURN_IF_ERROR(ForEach(entry.bytes, [&](const WireField& part) -> Status {
        if (part.number == 1) name = part.bytes;
        if (part.number == 2) value = part.bytes;
        return Ok();
      }));
      if (!IsValidUtf8(name)) return Malformed("a text is not UTF-8");
      members.emplace_back(name, value);
      return Ok();
    });
    if (!read) return read;
    std::stable_sort(members.begin(), members.end(),
                     [](const auto& a, const auto& b) { return a.first < b.first; });
    out_ += '{';
    bool first = true;
    for (size_t i = 0; i < members.size(); ++i) {
      if (i + 1 < members.size() && members[i].first == members[i + 1].first) continue;
      if (!first) out_ += ',';
      first = false;
      json::AppendQuoted(out_, members[i].first);
      out_ += ':';
      AEGIS_RETURN_IF_ERROR(Value(members[i].second, depth + 1));
    }
    out_ += '}';
    return Ok();
  }

 private:
  template <typename F>
  static Status ForEach(std::string_view bytes, F&& visit) {
    WireReader reader(bytes);
    WireField field;
    while (!reader.done()) {
      if (!reader.Next(field)) return Malformed("bad bytes");
      AEGIS_RETURN_IF_ERROR(visit(field));
    }
    return Ok();
  }

  Status Value(std::string_view bytes, int depth) {
    if (depth > kMaxDepth) return Malformed("messages nest too deep");
    if (out_.size() > limit_) {
      return Fail(Code::kResourceExhausted, "bundle_too_large",
                  "the bundle's manifest is too large");
    }
    WireReader reader(bytes);
    WireField field;
    if (!reader.Next(field) || !reader.done()) return Malformed("a bad value");
    switch (field.number) {
      case 1:
        out_ += "null";
        return Ok();
      case 2:
        return Number(field);
      case 3:
        if (!IsValidUtf8(field.bytes)) return Malformed("a text is not UTF-8");
        json::AppendQuoted(out_, field.bytes);
        return Ok();
      case 4:
        out_ += field.value != 0 ? "true" : "false";
        return Ok();
      case 5:
        return Struct(field.bytes, depth + 1);
      case 6: {
        out_ += '[';
        bool first = true;
        AEGIS_RETURN_IF_ERROR(ForEach(field.bytes, [&](const WireField& element) -> Status {
          if (element.number != 1) return Ok();
          if (!first) out_ += ',';
          first = false;
          return Value(element.bytes, depth + 1);
        }));
        out_ += ']';
        return Ok();
      }
      default:
        return Malformed("a bad value");
    }
  }

  Status Number(const WireField& field) {
    const double number = std::bit_cast<double>(field.value);
    if (field.wire != Wire::kFixed64 || !std::isfinite(number)) return Malformed("a bad number");
    char text[32];
    out_.append(text, std::to_chars(text, text + sizeof text, number).ptr);
    return Ok();
  }

  std::string& out_;
  const size_t limit_;
};

}  // namespace

Result<std::string> PlanJsonFromProto(std::string_view bytes, size_t max_json_bytes) {
  Converter converter(max_json_bytes);
  return converter.Finish(converter.Message(bytes, kPolicy, 0));
}

Result<std::string> ManifestJsonFromProto(std::string_view bytes, size_t max_json_bytes) {
  std::string revision, roots, out;
  std::string_view metadata;
  uint64_t version = 0;
  bool roots_set = false, has_version = false, has_metadata = false;
  WireReader reader(bytes);
  WireField field;
  while (!reader.done()) {
    if (!reader.Next(field)) return Malformed("bad bytes");
    const bool text = field.number == 1 || field.number == 2;
    if (text && (field.wire != Wire::kBytes || !IsValidUtf8(field.bytes)))
      return Malformed("a text is not UTF-8");
    if (field.number == 1) {
      revision.clear();
      json::AppendQuoted(revision, field.bytes);
    } else if (field.number == 2) {
      if (!roots.empty()) roots += ',';
      json::AppendQuoted(roots, field.bytes);
    } else if (field.number == 4) {
      version = field.value;
      has_version = true;
    } else if (field.number == 6) {
      if (has_metadata) return Malformed("a field stands twice");
      metadata = field.bytes;
      has_metadata = true;
    } else if (field.number == 7) {
      roots_set = field.value != 0;
    }
  }
  out = "{\"revision\":" + (revision.empty() ? std::string("\"\"") : revision);
  if (roots_set || !roots.empty()) out += ",\"roots\":[" + roots + "]";
  if (has_version) out += ",\"rego_version\":" + std::to_string(static_cast<int64_t>(version));
  if (has_metadata) {
    out += ",\"metadata\":";
    AEGIS_RETURN_IF_ERROR(StructConverter(out, max_json_bytes).Struct(metadata, 0));
  }
  return out + "}";
}

}  // namespace aegis::rego
