// OPA's intermediate representation of a policy (docs "IR" and v1/ir of OPA 1.22) as it is read
// from plan.json: verified, but not yet lowered to a program.
//
// Internal to the rego library.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "aegis/base/result.h"

namespace aegis::rego::ir {

// Numbers of variables. 0 is the input, 1 the base data, in a plan.
using Local = int32_t;
inline constexpr Local kNoLocal = -1;
inline constexpr Local kInput = 0;
inline constexpr Local kData = 1;
inline constexpr Local kMaxLocal = 1 << 20;

struct Operand {
  enum class Kind : uint8_t { kNone, kLocal, kBool, kString };
  Kind kind = Kind::kNone;
  int32_t value = 0;  // the local, 0 or 1, or an index into Policy::strings

  bool is_local(Local local) const { return kind == Kind::kLocal && value == local; }
};

enum class Kind : uint8_t {
  kArrayAppend,
  kAssignInt,
  kAssignVarOnce,
  kAssignVar,
  kBlock,
  kBreak,
  kCallDynamic,
  kCall,
  kDot,
  kEqual,
  kIsArray,
  kIsDefined,
  kIsObject,
  kIsSet,
  kIsUndefined,
  kLen,
  kMakeArray,
  kMakeNull,
  kMakeNumberInt,
  kMakeNumberRef,
  kMakeObject,
  kMakeSet,
  kNop,
  kNotEqual,
  kNot,
  kObjectInsertOnce,
  kObjectInsert,
  kObjectMerge,
  kResetLocal,
  kResultSetAdd,
  kReturnLocal,
  kScan,
  kSetAdd,
  kWith,
};

// Where in the Rego sources; row and col count from 1, 0: not known.
struct Place {
  uint32_t file = 0;  // index into Policy::files
  uint32_t row = 0;
  uint32_t col = 0;
};

struct Stmt;
struct Block {
  std::vector<Stmt> stmts;
};

// One statement; which fields are used depends on the kind, see the table in plan_reader.cc.
struct Stmt {
  Kind kind = Kind::kNop;
  Operand a;                // source, a, value
  Operand b;                // key, b
  Local target = kNoLocal;  // target, result, array, object, set, local; value of a scan
  Local key = kNoLocal;     // key of a scan
  // Value, capacity, break index, or index of a string. kObjectInsertOnce: 1 in a comprehension,
  // where of equal values (1e2 and 100) the last one stays; in a rule the first one does.
  int64_t number = 0;
  std::string func;           // name of the function of a call
  std::vector<Operand> args;  // of calls
  std::vector<Operand> path;  // of kCallDynamic and kWith; empty: the whole local
  std::vector<Block> blocks;  // kBlock: any number; kNot, kScan, kWith: one
  Place place;
};

struct Func {
  std::string name;
  std::vector<std::string> path;  // for kCallDynamic; may be empty
  std::vector<Local> params;
  Local result = kNoLocal;
  std::vector<Block> blocks;
};

struct Plan {
  std::string name;
  std::vector<Block> blocks;
};

struct Policy {
  std::vector<std::string> strings;
  std::vector<std::string> builtins;  // names that the plan declares
  std::vector<std::string> files;     // names of the sources
  std::vector<Plan> plans;
  std::vector<Func> funcs;
};

// Reads plan.json and checks all that can be checked without knowing the builtins: kinds, fields,
// indices of strings, numbers of locals, break depths, names and arities of functions.
// Errors: those of ParseJson; plan_malformed (what and where); plan_unsupported (a statement kind
// that OPA 1.22 does not have).
Result<Policy> ReadPlan(std::string_view plan_json, size_t max_bytes);

}  // namespace aegis::rego::ir
