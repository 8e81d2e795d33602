// The values of Rego: JSON's, sets, numbers of any size, and "undefined".
//
// A Value is a 16-byte handle, copied freely; what it points to lives in an Arena or in a loaded
// Program and is not changed once it is shared. Reading is thread-safe.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

#include "aegis/base/arena.h"
#include "aegis/base/result.h"

namespace aegis::rego {

// In OPA's total order of types (v1/ast/compare.go), kUndefined apart.
enum class Type : uint8_t { kUndefined, kNull, kBool, kNumber, kString, kArray, kObject, kSet };

class Value;  // see the draft of its interface in the comment below; owned by the rego library

/* Interface that other libraries build on (names are fixed, the rest is the rego library's):

   class Value {
    public:
     Value();                                  // undefined
     static Value Null(); static Value Bool(bool); static Value Int(int64_t);
     Type type() const; bool is_undefined() const; bool is_string() const; ...
     bool bool_value() const; std::string_view string_value() const;
     size_t size() const;                      // array, object, set
     Value Get(std::string_view key) const;    // member of an object; undefined when absent
     Value At(size_t i) const;                 // element of an array
   };
   Value MakeString(Arena&, std::string_view);     // copies
   Value MakeStringView(Arena&, std::string_view); // refers to bytes that outlive the arena's use
   class ObjectBuilder { ObjectBuilder(Arena&, size_t capacity); void Add(Value key, Value value); Value Build(); };
   class ArrayBuilder  { ... Add, Build };
   int Compare(Value a, Value b);              // OPA's total order
   Result<Value> ParseJson(std::string_view text, Arena&, const json::Limits&);
   void AppendJson(Value, std::string& out);   // keys sorted, no spaces, numbers as OPA writes them
*/

}  // namespace aegis::rego
