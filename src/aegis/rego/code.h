// A lowered program: flat operations over registers, what Program loads and Vm runs.
//
// Internal to the rego library.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "aegis/rego/builtins/builtin.h"
#include "aegis/rego/value.h"

namespace aegis::rego::internal {

// a and b are operands: a register of the frame when not negative, else constant number ~operand.
// c is a register. "or jump": goes to op number `jump` when the statement is undefined, and c, if
// it is the result, becomes undefined.
enum class OpCode : uint8_t {
  kMove,         // c = a
  kMoveJump,     // c = a; to jump
  kMoveOnce,     // c = a; conflict when c is defined and different; then to jump, if there is one
                 // and a is defined
  kDot,          // c = a[b], or jump; extra: the hash of b for slots, if b is a constant string
  kLoad,         // c = a[b] or undefined; extra as in kDot
  kTypeIs,       // c = whether the type of a is `flag`, or jump
  kEqual,        // jump unless a == b
  kNotEqual,     // jump unless a != b
  kIsType,       // jump unless the type of a is `flag`
  kIsDefined,    // jump unless a is defined
  kIsUndefined,  // jump unless a is undefined
  kLen,          // c = size of a, or jump when undefined
  kMakeArray,    // c = [], room for `extra`
  kMakeObject,   // c = {}
  kMakeSet,      // c = set()
  kArray,        // c = the array of `count` operands from a on, or jump
  kObject,  // c = the object of `count` keys and values in turn from a on, or jump; the keys are
            // constant strings in order
  kArrayAppend,   // c = c + [a]
  kObjectInsert,  // c[b] = a
  // c[b] = a; conflict when it is there and different; `flag`: 1 if an equal one is replaced.
  kObjectInsertOnce,
  kObjectMerge,  // c = a and b merged, a's scalars count; conflict unless both are objects
  kSetAdd,       // c = c + {a}
  kResultAdd,    // adds a to the result set
  kJump,         // to jump
  kScanBegin,    // starts over a with iterator registers b, b+1; key -> c, value -> extra; or jump
  kScanNext,     // the next element -> c, extra and jump; goes on when there is none
  // Operands from a on: wanted, key, and for kFindFirst the collection. Elements match whose member
  // `key`, or that themselves if that is undefined, are equal to what is wanted, different if
  // `flag`.
  kFindFirst,    // starts with iterator registers b, b+1; key and value as kScanBegin; or jump
  kFind,         // the next element that matches; else as kScanNext
  kWalkBegin,    // starts over a and all that is in it with iterator register b; values whose type
                 // is `flag` (kUndefined: any) -> c; or jump when there is none
  kWalkNext,     // the next value -> c and jump; goes on when there is none
  kWalkPath,     // c = the path to where the walk of b is
  kCall,         // c = function `extra` of `count` arguments from a on, or jump
  kCallDynamic,  // c = function by the path that follows the arguments (extra of them), or jump
  kBuiltin,      // c = builtin `extra` of `count` arguments from a on, or jump
  kMember,       // c = whether a is an element of b, or jump
  kMemberJump,   // jump unless a is an element of b
  kCompare,      // c = whether a and b compare as `flag` says (see Comparison), or jump
  kCompareJump,  // jump unless a and b compare as `flag` says, or one is undefined
  kWithBegin,    // b = old c; c = a, or c with a at path `extra`; or jump
  kWithEnd,      // c = b
  kSwitch,       // to the first case of switch `extra` for the `count` subjects from a on, else to
                 // jump; b and b+1 keep where it is
  kNextCase,     // to the next case of switch `extra` from number c on, else to jump
  kReturn,       // returns a
  kHalt,         // ends the plan
  kNop,          // only between the passes of the optimizer
};

enum class Comparison : uint8_t { kEqual, kNotEqual, kLess, kLessEqual, kGreater, kGreaterEqual };

inline constexpr uint32_t kNone = UINT32_MAX;

struct Op {
  OpCode code = OpCode::kHalt;
  uint8_t flag = 0;
  uint16_t count = 0;
  int32_t a = 0;
  int32_t b = 0;
  int32_t c = 0;
  uint32_t jump = kNone;
  uint32_t extra = kNone;
};
static_assert(sizeof(Op) == 24);

// A run of rules of which those are evaluated that a look-up of their equalities finds. A case is
// such a rule; a subject is what several rules compare with a constant. Constants have numbers from
// 1 on, by subject.
struct Switch {
  static constexpr size_t kMaxSubjects = 4;
  struct Case {
    uint32_t entry = 0;                      // its op
    uint32_t wanted[kMaxSubjects - 1] = {};  // numbers for the subjects but the first; 0: any
  };
  std::vector<Case> cases;     // in order
  std::vector<Value> numbers;  // by subject: an object, constant to number
  std::vector<uint32_t>
      starts;                   // by number of the first subject: where its cases begin in `lists`;
                                // from [0] on those that do not ask for it; [last]: the end
  std::vector<uint32_t> lists;  // indices into `cases`, ascending within a list
};

struct Function {
  std::string name;
  uint32_t entry = 0;  // of its first op
  uint32_t op_count = 0;
  uint32_t params = 0;    // registers 0 to params-1
  uint32_t init_end = 0;  // registers params to init_end-1 must start undefined
  uint32_t registers = 0;
};

struct Entrypoint {
  std::string name;
  uint32_t function = 0;
  // Members of the input that the plan can look at; empty and all_input: any.
  std::vector<std::string> input_keys;
  bool all_input = true;
};

struct ByteCode {
  std::vector<Op> ops;
  std::vector<Function> functions;
  std::vector<Entrypoint> entrypoints;
  std::vector<const Builtin*> builtins;
  std::vector<int32_t> args;              // operands of calls
  std::vector<Value> constants;           // constant i is constants[size - 1 - i]
  std::vector<std::vector<Value>> paths;  // of kWithBegin
  std::vector<Switch> switches;
  std::unordered_map<std::string, uint32_t> dynamic;  // joined path -> function
  Value data;

  const Value* constants_end() const { return constants.data() + constants.size(); }
};

// The key of a function's path in ByteCode::dynamic.
void AppendPathSegment(std::string& key, std::string_view segment);

}  // namespace aegis::rego::internal
