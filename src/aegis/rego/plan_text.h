// Writes plan.json for tests, so that a plan reads like one.
#pragma once

#include <initializer_list>
#include <string>
#include <string_view>
#include <vector>

namespace aegis::rego::plan_text {

inline std::string Join(const std::vector<std::string>& parts) {
  std::string out;
  for (const std::string& part : parts) out += (out.empty() ? "" : ",") + part;
  return out;
}

// Operands.
inline std::string L(int local) {
  return R"({"type":"local","value":)" + std::to_string(local) + "}";
}
inline std::string S(int index) {
  return R"({"type":"string_index","value":)" + std::to_string(index) + "}";
}
inline std::string B(bool value) {
  return std::string(R"({"type":"bool","value":)") + (value ? "true}" : "false}");
}

// A statement from its kind and its fields: Stmt("Dot", R"("source":…,"key":…)").
inline std::string Stmt(std::string_view kind, const std::string& fields) {
  return R"({"type":")" + std::string(kind) + R"(Stmt","stmt":{"file":0,"col":0,"row":0)" +
         (fields.empty() ? "" : ",") + fields + "}}";
}
inline std::string Block(const std::vector<std::string>& stmts) {
  return R"({"stmts":[)" + Join(stmts) + "]}";
}

inline std::string Local(std::string_view field, int local) {
  return "\"" + std::string(field) + "\":" + std::to_string(local);
}
inline std::string Field(std::string_view field, const std::string& json) {
  return "\"" + std::string(field) + "\":" + json;
}

inline std::string Dot(const std::string& source, const std::string& key, int target) {
  return Stmt("Dot",
              Field("source", source) + "," + Field("key", key) + "," + Local("target", target));
}
inline std::string Assign(const std::string& source, int target) {
  return Stmt("AssignVar", Field("source", source) + "," + Local("target", target));
}
inline std::string AssignOnce(const std::string& source, int target) {
  return Stmt("AssignVarOnce", Field("source", source) + "," + Local("target", target));
}
inline std::string Int(int64_t value, int target) {
  return Stmt("MakeNumberInt",
              "\"value\":" + std::to_string(value) + "," + Local("target", target));
}
inline std::string Number(int index, int target) {
  return Stmt("MakeNumberRef",
              "\"index\":" + std::to_string(index) + "," + Local("target", target));
}
inline std::string Make(std::string_view what, int target) {
  return Stmt("Make" + std::string(what),
              (what == "Array" ? "\"capacity\":0," : "") + Local("target", target));
}
inline std::string Append(const std::string& value, int array) {
  return Stmt("ArrayAppend", Field("value", value) + "," + Local("array", array));
}
inline std::string Add(const std::string& value, int set) {
  return Stmt("SetAdd", Field("value", value) + "," + Local("set", set));
}
inline std::string Insert(const std::string& key, const std::string& value, int object,
                          std::string_view once = "") {
  return Stmt("ObjectInsert" + std::string(once),
              Field("key", key) + "," + Field("value", value) + "," + Local("object", object));
}
inline std::string Compare(std::string_view kind, const std::string& a, const std::string& b) {
  return Stmt(kind, Field("a", a) + "," + Field("b", b));
}
inline std::string Is(std::string_view kind, const std::string& source) {
  return Stmt("Is" + std::string(kind), Field("source", source));
}
inline std::string IsLocal(std::string_view kind, int source) {
  return Stmt("Is" + std::string(kind), Local("source", source));
}
inline std::string Blocks(const std::vector<std::string>& blocks) {
  return Stmt("Block", "\"blocks\":[" + Join(blocks) + "]");
}
inline std::string Break(int index) { return Stmt("Break", "\"index\":" + std::to_string(index)); }
inline std::string Not(const std::vector<std::string>& stmts) {
  return Stmt("Not", Field("block", Block(stmts)));
}
inline std::string Scan(int source, int key, int value, const std::vector<std::string>& stmts) {
  return Stmt("Scan", Local("source", source) + "," + Local("key", key) + "," +
                          Local("value", value) + "," + Field("block", Block(stmts)));
}
inline std::string With(int local, const std::string& path, const std::string& value,
                        const std::vector<std::string>& stmts) {
  return Stmt("With", Local("local", local) + "," + Field("path", path) + "," +
                          Field("value", value) + "," + Field("block", Block(stmts)));
}
inline std::string Call(std::string_view func, const std::vector<std::string>& args, int result) {
  return Stmt("Call", "\"func\":\"" + std::string(func) + "\",\"args\":[" + Join(args) + "]," +
                          Local("result", result));
}
inline std::string Return(int source) { return Stmt("ReturnLocal", Local("source", source)); }
inline std::string Reset(int target) { return Stmt("ResetLocal", Local("target", target)); }

struct Function {
  std::string name;
  std::vector<int> params;
  std::vector<std::string> blocks;  // each from Block()
  std::string path = "null";
};

// A plan named "test/p" whose statements leave the result in local `result`.
inline std::string Plan(const std::vector<std::string>& strings,
                        const std::vector<Function>& functions, std::vector<std::string> stmts,
                        int result) {
  std::vector<std::string> values;
  for (const std::string& text : strings) values.push_back(R"({"value":")" + text + "\"}");
  values.push_back(R"({"value":"result"})");
  std::vector<std::string> funcs;
  for (const Function& function : functions) {
    std::vector<std::string> params;
    for (const int param : function.params) params.push_back(std::to_string(param));
    funcs.push_back(R"({"name":")" + function.name + R"(","params":[)" + Join(params) +
                    R"(],"return":2,"blocks":[)" + Join(function.blocks) +
                    "],\"path\":" + function.path + "}");
  }
  stmts.push_back(Make("Object", 999));
  stmts.push_back(Insert(S(static_cast<int>(strings.size())), L(result), 999));
  stmts.push_back(Stmt("ResultSetAdd", Local("value", 999)));
  return R"({"static":{"strings":[)" + Join(values) +
         R"(]},"plans":{"plans":[{"name":"test/p","blocks":[)" + Block(stmts) +
         R"(]}]},"funcs":{"funcs":[)" + Join(funcs) + "]}}";
}

}  // namespace aegis::rego::plan_text
