#include "aegis/rego/builtins/graphql_parser.h"

#include <algorithm>
#include <string>
#include <utility>
#include <vector>

#include "aegis/base/text.h"
#include "aegis/rego/builtins/graphql_ast.h"
#include "aegis/rego/builtins/unicode.h"

namespace aegis::rego {
namespace {

enum class Token : uint8_t {
  kEnd,
  kInvalid,
  kPunctuator,  // one character, or "..."
  kName,
  kInt,
  kFloat,
  kString,
  kBlockString,
  kComment,
};

bool IsDigit(char c) { return c >= '0' && c <= '9'; }
bool IsNameStart(char c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_'; }

size_t LeadingSpace(std::string_view line) {
  const size_t size = line.find_first_not_of(" \t");
  return size == line.npos ? SIZE_MAX : size;
}

// BlockStringValue of the specification (§2.9.4).
std::string WithoutIndent(std::string_view raw) {
  std::vector<std::string_view> lines = Split(raw, '\n');
  size_t common = SIZE_MAX;
  for (const std::string_view line : lines) common = std::min(common, LeadingSpace(line));
  if (common != SIZE_MAX) {
    for (size_t i = 1; i < lines.size(); ++i) {
      lines[i] = lines[i].substr(std::min(common, lines[i].size()));
    }
  }
  size_t begin = 0, end = lines.size();
  while (begin < end && LeadingSpace(lines[begin]) == SIZE_MAX) ++begin;
  while (begin < end && LeadingSpace(lines[end - 1]) == SIZE_MAX) --end;
  std::string out;
  for (size_t i = begin; i < end; ++i) {
    if (i > begin) out += '\n';
    out += lines[i];
  }
  return out;
}

class Lexer {
 public:
  explicit Lexer(std::string_view text) : text_(text) {}

  Token Next() {
    SkipSpace();
    if (at_ >= text_.size()) return Token::kEnd;
    const size_t begin = at_;
    const char c = text_[at_];
    const std::string_view rest = text_.substr(at_);
    if (IsNameStart(c)) {
      while (at_ < text_.size() && (IsNameStart(text_[at_]) || IsDigit(text_[at_]))) ++at_;
      value_ = text_.substr(begin, at_ - begin);
      return Token::kName;
    }
    if (rest.starts_with("...")) {
      at_ += 3;
      value_ = "...";
      return Token::kPunctuator;
    }
    if (std::string_view("!$&():=@[]{}|").find(c) != std::string_view::npos) {
      ++at_;
      value_ = text_.substr(begin, 1);
      return Token::kPunctuator;
    }
    if (c == '#') return Comment();
    if (c == '-' || IsDigit(c)) return Number();
    if (rest.starts_with("\"\"\"")) return BlockString();
    if (c == '"') return String();
    return Token::kInvalid;
  }
  // Of the token that was read last.
  const std::string& value() const { return value_; }

 private:
  void SkipSpace() {
    while (at_ < text_.size()) {
      const char c = text_[at_];
      if (c == ' ' || c == '\t' || c == ',' || c == '\n' || c == '\r') {
        ++at_;
      } else if (text_.substr(at_).starts_with("\xef\xbb\xbf")) {
        at_ += 3;
      } else {
        return;
      }
    }
  }

  Token Comment() {
    const size_t begin = at_;
    while (at_ < text_.size() &&
           (static_cast<unsigned char>(text_[at_]) > 0x1f || text_[at_] == '\t')) {
      ++at_;
    }
    value_ = text_.substr(begin, at_ - begin);
    return Token::kComment;
  }

  size_t Digits() {
    const size_t begin = at_;
    while (at_ < text_.size() && IsDigit(text_[at_])) ++at_;
    return at_ - begin;
  }
  bool Take(std::string_view any) {
    if (at_ >= text_.size() || any.find(text_[at_]) == any.npos) return false;
    ++at_;
    return true;
  }

  Token Number() {
    const size_t begin = at_;
    Take("-");
    if (Take("0")) {
      if (Digits() > 0) return Token::kInvalid;
    } else if (Digits() == 0) {
      return Token::kInvalid;
    }
    bool is_float = false;
    if (Take(".")) {
      is_float = true;
      if (Digits() == 0) return Token::kInvalid;
    }
    if (Take("eE")) {
      is_float = true;
      Take("+-");
      if (Digits() == 0) return Token::kInvalid;
    }
    value_ = text_.substr(begin, at_ - begin);
    return is_float ? Token::kFloat : Token::kInt;
  }

  // A character of a string, with what is no UTF-8 replaced.
  void TakeRune() {
    size_t size;
    AppendRune(value_, DecodeRune(text_.substr(at_), size));
    at_ += size;
  }

  bool Escape() {
    if (at_ + 1 >= text_.size()) return false;
    const char c = text_[at_ + 1];
    constexpr std::string_view kEscapes = "\"/\\bfnrt", kMeanings = "\"/\\\b\f\n\r\t";
    if (const size_t known = kEscapes.find(c); known != kEscapes.npos) {
      value_ += kMeanings[known];
      at_ += 2;
      return true;
    }
    if (c != 'u' || at_ + 6 >= text_.size()) return false;
    const std::optional<std::string> bytes = HexDecode(text_.substr(at_ + 2, 4));
    if (!bytes) return false;
    AppendRune(value_, static_cast<uint32_t>(static_cast<unsigned char>((*bytes)[0])) << 8 |
                           static_cast<unsigned char>((*bytes)[1]));
    at_ += 6;
    return true;
  }

  Token String() {
    ++at_;
    value_.clear();
    while (at_ < text_.size()) {
      const char c = text_[at_];
      if (c == '"') {
        ++at_;
        return Token::kString;
      }
      if (static_cast<unsigned char>(c) < 0x20 && c != '\t') return Token::kInvalid;
      if (c != '\\') {
        TakeRune();
      } else if (!Escape()) {
        return Token::kInvalid;
      }
    }
    return Token::kInvalid;
  }

  Token BlockString() {
    at_ += 3;
    value_.clear();
    while (at_ < text_.size()) {
      const std::string_view rest = text_.substr(at_);
      const char c = rest[0];
      if (c == '"') {
        // Of more than three quotes the last three end the string.
        const size_t quotes = std::min(rest.find_first_not_of('"'), rest.size());
        at_ += quotes;
        value_.append(quotes >= 3 ? quotes - 3 : quotes, '"');
        if (quotes < 3) continue;
        value_ = WithoutIndent(value_);
        return Token::kBlockString;
      }
      if (rest.starts_with("\\\"\"\"")) {
        value_ += "\"\"\"";
        at_ += 4;
      } else if (c == '\r') {
        value_ += '\n';
        at_ += rest.starts_with("\r\n") ? 2 : 1;
      } else if (static_cast<unsigned char>(c) < 0x20 && c != '\t' && c != '\n') {
        return Token::kInvalid;
      } else {
        TakeRune();
      }
    }
    return Token::kInvalid;
  }

  std::string_view text_;
  size_t at_ = 0;
  std::string value_;
};

// An object without what is empty.
class Node {
 public:
  explicit Node(Arena& arena) : object_(arena) {}
  Node& Add(std::string_view name, Value value) {
    if (!value.is_collection() || value.size() > 0) object_.Add(name, value);
    return *this;
  }
  Value Build() const { return object_.Build(); }

 private:
  ObjectBuilder object_;
};

class Parser {
 public:
  Parser(BuiltinContext& context, std::string_view text)
      : context_(context), arena_(context.arena()), lexer_(text) {
    Advance();
  }

  Value Schema();
  Value Query();

 private:
  // Deeper texts are refused.
  static constexpr int kMaxDepth = 150;

  struct Description {
    Value text = MakeStringView("");
    Value comment;
  };

  // --- Tokens ---

  void Fail() { failed_ = true; }

  // Reads the next token; comments in front of it become `comment_`.
  void Advance() {
    comment_ = Value();
    ArrayBuilder comments(arena_);
    bool any = false;
    for (token_ = lexer_.Next(); token_ == Token::kComment; token_ = lexer_.Next()) {
      comments.Add(Node(arena_).Add("Value", Text(lexer_.value())).Build());
      any = true;
    }
    if (any) comment_ = Node(arena_).Add("List", comments.Build()).Build();
    if (token_ == Token::kInvalid) Fail();
  }

  Value Text(std::string_view text) { return MakeString(arena_, text); }
  bool Is(std::string_view punctuator) const {
    return token_ == Token::kPunctuator && lexer_.value() == punctuator;
  }
  bool IsName(std::string_view name) const {
    return token_ == Token::kName && lexer_.value() == name;
  }
  bool Skip(std::string_view punctuator) {
    if (failed_ || !Is(punctuator)) return false;
    Advance();
    return true;
  }
  void Expect(std::string_view punctuator) {
    if (!Skip(punctuator)) Fail();
  }
  void ExpectName(std::string_view name) {
    if (failed_ || !IsName(name)) {
      Fail();
    } else {
      Advance();
    }
  }
  Value Name() {
    if (failed_ || token_ != Token::kName) {
      Fail();
      return Value();
    }
    const Value name = Text(lexer_.value());
    Advance();
    return name;
  }

  // Items between brackets, if there are brackets; `some`: there must be one at least. `last` gets
  // the comment in front of the closing one.
  template <typename Item>
  Value List(std::string_view open, std::string_view close, bool some, Item item,
             Value* last = nullptr) {
    if (!Skip(open)) return Value();
    ArrayBuilder items(arena_);
    bool any = false;
    while (!failed_ && !Is(close)) {
      items.Add(item());
      any = true;
      if (!context_.Charge(1)) Fail();
    }
    if (some && !any) Fail();
    if (last != nullptr) *last = comment_;
    Expect(close);
    return items.Build();
  }

  // --- What queries and schemas share ---

  Value Literal(bool constant) {
    // Lists and objects keep the comment in front of them, other values do not.
    const Value comment = comment_;
    if (Is("[")) {
      if (++depth_ > kMaxDepth) Fail();
      const Value children = List("[", "]", false, [&] {
        return Node(arena_).Add("Name", MakeStringView("")).Add("Value", Literal(constant)).Build();
      });
      --depth_;
      return Literal(GraphqlKind::kList, MakeStringView(""), children, comment);
    }
    if (Is("{")) {
      if (++depth_ > kMaxDepth) Fail();
      const Value children = List("{", "}", false, [&] { return ObjectField(constant); });
      --depth_;
      return Literal(GraphqlKind::kObject, MakeStringView(""), children, comment);
    }
    if (Is("$") && !constant) {
      return Literal(GraphqlKind::kVariable, Variable(), Value(), Value());
    }
    GraphqlKind kind = GraphqlKind::kEnum;
    switch (token_) {
      case Token::kInt:
        kind = GraphqlKind::kInt;
        break;
      case Token::kFloat:
        kind = GraphqlKind::kFloat;
        break;
      case Token::kString:
        kind = GraphqlKind::kString;
        break;
      case Token::kBlockString:
        kind = GraphqlKind::kBlock;
        break;
      case Token::kName:
        if (IsName("true") || IsName("false")) kind = GraphqlKind::kBoolean;
        if (IsName("null")) kind = GraphqlKind::kNull;
        break;
      default:
        Fail();
        return Value();
    }
    const Value raw = Text(lexer_.value());
    Advance();
    return Literal(kind, raw, Value(), Value());
  }
  Value Literal(GraphqlKind kind, Value raw, Value children, Value comment) {
    return Node(arena_)
        .Add("Raw", raw)
        .Add("Children", children)
        .Add("Kind", Value::Int(static_cast<int64_t>(kind)))
        .Add("Comment", comment)
        .Add("ExpectedTypeHasDefault", Value::Bool(false))
        .Build();
  }
  Value ObjectField(bool constant) {
    Node node(arena_);
    node.Add("Comment", comment_).Add("Name", Name());
    Expect(":");
    return node.Add("Value", Literal(constant)).Build();
  }

  Value Variable() {
    Expect("$");
    return Name();
  }

  Value Arguments(bool constant) {
    return List("(", ")", true, [&] {
      Node node(arena_);
      node.Add("Comment", comment_).Add("Name", Name());
      Expect(":");
      return node.Add("Value", Literal(constant)).Build();
    });
  }

  Value Directives(bool constant) {
    ArrayBuilder directives(arena_);
    while (Skip("@")) {
      Node node(arena_);
      node.Add("Name", Name());
      node.Add("Arguments", Arguments(constant)).Add("Location", MakeStringView(""));
      directives.Add(node.Build());
    }
    return directives.Build();
  }

  Value TypeReference() {
    Node node(arena_);
    if (++depth_ > kMaxDepth) Fail();
    if (Skip("[")) {
      node.Add("NamedType", MakeStringView("")).Add("Elem", TypeReference());
      Expect("]");
    } else {
      node.Add("NamedType", Name());
    }
    --depth_;
    return node.Add("NonNull", Value::Bool(Skip("!"))).Build();
  }

  Value OperationType() {
    for (const std::string_view name : {"query", "mutation", "subscription"}) {
      if (IsName(name)) return Name();
    }
    Fail();
    return Value();
  }

  // --- Queries ---

  Value SelectionSet() {
    if (!Is("{")) {
      Fail();
      return Value();
    }
    if (++depth_ > kMaxDepth) Fail();
    const Value set = List("{", "}", true, [&] { return Selection(); });
    --depth_;
    return set;
  }

  Value Selection() {
    const Value comment = comment_;
    Node node(arena_);
    node.Add("Comment", comment);
    if (Skip("...")) {
      if (token_ == Token::kName && !IsName("on")) {
        node.Add("Name", Name());
        return node.Add("Directives", Directives(false)).Build();
      }
      Value condition = MakeStringView("");
      if (IsName("on")) {
        Advance();
        condition = Name();
      }
      node.Add("TypeCondition", condition).Add("Directives", Directives(false));
      return node.Add("SelectionSet", SelectionSet()).Build();
    }
    const Value alias = Name();
    const Value name = Skip(":") ? Name() : alias;
    node.Add("Alias", alias).Add("Name", name).Add("Arguments", Arguments(false));
    node.Add("Directives", Directives(false));
    if (Is("{")) node.Add("SelectionSet", SelectionSet());
    return node.Build();
  }

  Value VariableDefinitions() {
    return List("(", ")", true, [&] {
      Node node(arena_);
      node.Add("Comment", comment_).Add("Variable", Variable());
      Expect(":");
      node.Add("Type", TypeReference());
      if (Skip("=")) node.Add("DefaultValue", Literal(true));
      return node.Add("Directives", Directives(false)).Add("Used", Value::Bool(false)).Build();
    });
  }

  Value Operation() {
    Node node(arena_);
    if (Is("{")) {
      node.Add("Operation", MakeStringView("query")).Add("Name", MakeStringView(""));
      return node.Add("SelectionSet", SelectionSet()).Build();
    }
    node.Add("Comment", comment_).Add("Operation", OperationType());
    node.Add("Name", token_ == Token::kName ? Name() : MakeStringView(""));
    node.Add("VariableDefinitions", VariableDefinitions()).Add("Directives", Directives(false));
    return node.Add("SelectionSet", SelectionSet()).Build();
  }

  Value FragmentDefinition() {
    Node node(arena_);
    node.Add("Comment", comment_);
    ExpectName("fragment");
    if (IsName("on")) Fail();
    node.Add("Name", Name()).Add("VariableDefinition", VariableDefinitions());
    ExpectName("on");
    node.Add("TypeCondition", Name()).Add("Directives", Directives(false));
    return node.Add("SelectionSet", SelectionSet()).Build();
  }

  // --- Schemas ---

  Description ReadDescription() {
    Description out;
    if (token_ != Token::kString && token_ != Token::kBlockString) return out;
    out.comment = comment_;
    out.text = Text(lexer_.value());
    Advance();
    return out;
  }

  // A described node inside a definition: the comment in front of a description counts only if
  // there is one.
  Node Described() {
    Node node(arena_);
    const Description description = ReadDescription();
    if (description.text.size_field() > 0)
      node.Add("BeforeDescriptionComment", description.comment);
    node.Add("Description", description.text).Add("AfterDescriptionComment", comment_);
    return node;
  }

  Value ArgumentDefinitions() {
    return List("(", ")", true, [&] { return InputDefinition(); });
  }
  Value InputDefinition() {
    Node node = Described();
    node.Add("Name", Name());
    Expect(":");
    node.Add("Type", TypeReference());
    if (Skip("=")) node.Add("DefaultValue", Literal(true));
    return node.Add("Directives", Directives(true)).Build();
  }
  Value FieldDefinition() {
    Node node = Described();
    node.Add("Name", Name()).Add("Arguments", ArgumentDefinitions());
    Expect(":");
    node.Add("Type", TypeReference());
    return node.Add("Directives", Directives(true)).Build();
  }
  Value EnumValueDefinition() {
    Node node = Described();
    node.Add("Name", Name());
    return node.Add("Directives", Directives(true)).Build();
  }

  // Names with a separator between them, which may also be in front.
  Value Names(std::string_view separator) {
    ArrayBuilder names(arena_);
    Skip(separator);
    do {
      names.Add(Name());
    } while (Skip(separator));
    return names.Build();
  }

  // The body of a type from its keyword on. An extension must say something.
  void TypeBody(Node& node, bool extension) {
    constexpr std::pair<std::string_view, std::string_view> kKinds[] = {
        {"scalar", "SCALAR"}, {"type", "OBJECT"}, {"interface", "INTERFACE"},
        {"union", "UNION"},   {"enum", "ENUM"},   {"input", "INPUT_OBJECT"}};
    std::string_view kind;
    for (const auto& [keyword, name] : kKinds) {
      if (IsName(keyword)) kind = name;
    }
    if (kind.empty()) return Fail();
    Advance();
    node.Add("Kind", MakeStringView(kind)).Add("Name", Name());
    node.Add("BuiltIn", Value::Bool(false));
    bool empty = true;
    const auto add = [&](std::string_view name, Value value) {
      node.Add(name, value);
      if (value.size() > 0) empty = false;
    };
    const bool fields = kind == "OBJECT" || kind == "INTERFACE";
    if (fields && !(extension && kind == "INTERFACE") && IsName("implements")) {
      Advance();
      add("Interfaces", Names("&"));
    }
    add("Directives", Directives(!(extension && kind == "INPUT_OBJECT")));
    Value end;
    if (fields) add("Fields", List("{", "}", true, [&] { return FieldDefinition(); }, &end));
    if (kind == "INPUT_OBJECT") {
      add("Fields", List("{", "}", true, [&] { return InputDefinition(); }, &end));
    }
    if (kind == "ENUM") {
      add("EnumValues", List("{", "}", true, [&] { return EnumValueDefinition(); }, &end));
    }
    if (kind == "UNION" && Skip("=")) add("Types", Names("|"));
    node.Add("EndOfDefinitionComment", end);
    if (extension && empty) Fail();
  }

  // From behind "schema" on.
  void SchemaBody(Node& node, bool extension) {
    const Value directives = Directives(true);
    Value end;
    const Value types = List(
        "{", "}", true,
        [&] {
          Node type(arena_);
          type.Add("Comment", comment_).Add("Operation", OperationType());
          Expect(":");
          return type.Add("Type", Name()).Build();
        },
        &end);
    node.Add("Directives", directives).Add("OperationTypes", types);
    node.Add("EndOfDefinitionComment", end);
    if (extension && directives.size() == 0 && types.size() == 0) Fail();
  }

  Value DirectiveDefinition(Node node) {
    ExpectName("directive");
    Expect("@");
    node.Add("Name", Name()).Add("Arguments", ArgumentDefinitions());
    const bool repeatable = IsName("repeatable");
    if (repeatable) Advance();
    node.Add("IsRepeatable", Value::Bool(repeatable));
    ExpectName("on");
    const Value locations = Names("|");
    for (const Value location : locations.elements()) {
      if (!IsGraphqlLocation(location.string_value())) Fail();
    }
    return node.Add("Locations", locations).Build();
  }

  BuiltinContext& context_;
  Arena& arena_;
  Lexer lexer_;
  Token token_ = Token::kEnd;
  Value comment_;
  int depth_ = 0;
  bool failed_ = false;
};

Value Parser::Schema() {
  ArrayBuilder schema(arena_), schema_extensions(arena_), directives(arena_), definitions(arena_),
      extensions(arena_);
  while (!failed_ && token_ != Token::kEnd) {
    const Description description = ReadDescription();
    Node node(arena_);
    if (IsName("extend")) {
      if (description.text.size_field() > 0) Fail();
      node.Add("Description", MakeStringView("")).Add("AfterDescriptionComment", comment_);
      Advance();
      if (IsName("schema")) {
        Advance();
        SchemaBody(node, true);
        schema_extensions.Add(node.Build());
      } else {
        TypeBody(node, true);
        extensions.Add(node.Build());
      }
      continue;
    }
    node.Add("BeforeDescriptionComment", description.comment)
        .Add("Description", description.text)
        .Add("AfterDescriptionComment", comment_);
    if (IsName("schema")) {
      Advance();
      SchemaBody(node, false);
      schema.Add(node.Build());
    } else if (IsName("directive")) {
      directives.Add(DirectiveDefinition(node));
    } else {
      TypeBody(node, false);
      definitions.Add(node.Build());
    }
  }
  if (failed_) return context_.Error("the GraphQL schema cannot be parsed");
  return Node(arena_)
      .Add("Schema", schema.Build())
      .Add("SchemaExtension", schema_extensions.Build())
      .Add("Directives", directives.Build())
      .Add("Definitions", definitions.Build())
      .Add("Extensions", extensions.Build())
      .Add("Comment", comment_)
      .Build();
}

Value Parser::Query() {
  ArrayBuilder operations(arena_), fragments(arena_);
  while (!failed_ && token_ != Token::kEnd) {
    if (IsName("fragment")) {
      fragments.Add(FragmentDefinition());
    } else {
      operations.Add(Operation());
    }
  }
  if (failed_) return context_.Error("the GraphQL query cannot be parsed");
  return Node(arena_)
      .Add("Operations", operations.Build())
      .Add("Fragments", fragments.Build())
      .Build();
}

}  // namespace

Value ParseGraphqlSchema(BuiltinContext& context, std::string_view text) {
  if (!context.Charge(text.size() / 8)) return Value();
  return Parser(context, text).Schema();
}

Value ParseGraphqlQuery(BuiltinContext& context, std::string_view text) {
  if (!context.Charge(text.size() / 8)) return Value();
  return Parser(context, text).Query();
}

}  // namespace aegis::rego
