#include "aegis/rego/program.h"

#include <algorithm>

#include "aegis/rego/code.h"
#include "aegis/rego/ir.h"
#include "aegis/rego/lowering.h"
#include "aegis/rego/string_pool.h"
#include "aegis/rego/table.h"

namespace aegis::rego {

// The memory of a program and its strings, which are apart so that none leaves a gap in front of a
// value.
class Program::Strings {
 public:
  Strings() : arena_(kChunkBytes), texts_(kChunkBytes), pool_(texts_) {}
  Arena& arena() { return arena_; }
  internal::StringPool& pool() { return pool_; }

 private:
  static constexpr size_t kChunkBytes = 16 * 1024;
  Arena arena_, texts_;
  internal::StringPool pool_;
};

namespace {

// Strings that look like names of time zones: a capital, and a '/' somewhere.
void WarmTimeZonesIn(Value value, int& left) {
  if (value.is_string()) {
    const std::string_view text = value.string_value();
    if (text.empty() || text[0] < 'A' || text[0] > 'Z' || text.find('/') == text.npos) return;
    if (left-- > 0) WarmTimeZone(text);
  } else if (value.is_object()) {
    for (const Member& member : value.members()) {
      WarmTimeZonesIn(member.key, left);
      WarmTimeZonesIn(member.value, left);
    }
  } else {
    for (const Value element : value.elements()) WarmTimeZonesIn(element, left);
  }
}

void WarmTimeZones(const internal::ByteCode& code) {
  const bool asks = std::any_of(code.builtins.begin(), code.builtins.end(),
                                [](const Builtin* b) { return b->name.starts_with("time."); });
  if (!asks) return;
  WarmTimeZone("UTC");  // the list of names
  int left = 1024;
  for (const Value constant : code.constants) {
    if (!constant.is_collection()) WarmTimeZonesIn(constant, left);
  }
  WarmTimeZonesIn(code.data, left);
}

}  // namespace

Program::Program()
    : strings_(std::make_unique<Strings>()), code_(std::make_unique<internal::ByteCode>()) {}
Program::~Program() = default;

Result<std::unique_ptr<const Program>> Program::Load(std::string_view plan_json,
                                                     std::string_view data_json,
                                                     const ProgramLimits& limits) {
  std::unique_ptr<Program> program(new Program());
  Arena& arena = program->strings_->arena();
  internal::StringPool& pool = program->strings_->pool();
  internal::ByteCode& code = *program->code_;
  AEGIS_TRY(const ir::Policy policy, ir::ReadPlan(plan_json, limits.max_plan_bytes));
  // The strings that a policy compares with are found by their address where data has them too.
  for (const std::string& text : policy.strings) pool.Make(text);
  code.data = Value::EmptyObject();
  if (!data_json.empty()) {
    const json::Limits data_limits{.max_bytes = limits.max_data_bytes,
                                   .max_depth = kMaxHeight - 1,
                                   .max_values = limits.max_data_bytes};
    Result<Value> data = internal::ParseJsonPooled(data_json, arena, data_limits, pool);
    if (!data) return Fail(Annotate(std::move(data).error(), "data.json"));
    if (!data->is_object()) {
      return Fail(Code::kInvalidArgument, "data_malformed", "data.json is not an object");
    }
    code.data = *data;
    pool.ForgetPassing();
  }
  internal::MakeShareable(code.data);
  AEGIS_RETURN_IF_ERROR(internal::Lower(policy, arena, pool, limits, code));
  WarmTimeZones(code);
  return std::unique_ptr<const Program>(std::move(program));
}

std::vector<std::string_view> Program::entrypoints() const {
  std::vector<std::string_view> names;
  for (const internal::Entrypoint& entrypoint : code_->entrypoints)
    names.push_back(entrypoint.name);
  return names;
}

std::optional<uint32_t> Program::FindEntrypoint(std::string_view name) const {
  for (size_t i = 0; i < code_->entrypoints.size(); ++i) {
    if (code_->entrypoints[i].name == name) return static_cast<uint32_t>(i);
  }
  return std::nullopt;
}

Value Program::Intern(std::string_view text) const { return strings_->pool().Find(text); }

Value Program::data() const { return code_->data; }

bool Program::ReachesInput(uint32_t entrypoint, std::string_view key) const {
  if (entrypoint >= code_->entrypoints.size()) return true;
  const internal::Entrypoint& found = code_->entrypoints[entrypoint];
  return found.all_input ||
         std::find(found.input_keys.begin(), found.input_keys.end(), key) != found.input_keys.end();
}

}  // namespace aegis::rego
