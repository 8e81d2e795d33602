#include "aegis/grpc/descriptor_pool.h"

#include <set>
#include <utility>

#include "aegis/base/protobuf_wire.h"

namespace aegis::grpc {
namespace {

constexpr int kMaxDepth = 32;  // of messages within messages

std::string Join(const std::string& scope, std::string_view name) {
  return scope.empty() ? std::string(name) : (scope + ".").append(name);
}

// The field `number` of a message, the last one if there are several; false: malformed.
bool ReadName(std::string_view message, std::string_view& name) {
  WireReader reader(message);
  WireField field;
  while (!reader.done()) {
    if (!reader.Next(field)) return false;
    if (field.number == 1 && field.wire == Wire::kBytes) name = field.bytes;
  }
  return !name.empty();
}

}  // namespace

Status DescriptorPool::Add(std::string_view file_descriptor_set) {
  WireReader reader(file_descriptor_set);
  WireField field;
  while (!reader.done()) {
    if (!reader.Next(field) || field.number != 1 || field.wire != Wire::kBytes ||
        !AddFile(field.bytes)) {
      return Fail(Code::kInvalidArgument, "bad_descriptors",
                  "this is no FileDescriptorSet: write it with protoc --descriptor_set_out");
    }
  }
  return Ok();
}

bool DescriptorPool::AddFile(std::string_view bytes) {
  // FileDescriptorProto{name = 1, package = 2, dependency = 3, message_type = 4, enum_type = 5,
  // service = 6, extension = 7}; the package is needed first, wherever it stands.
  File file;
  file.bytes = bytes;
  std::string package;
  WireField field;
  for (WireReader reader(bytes); !reader.done();) {
    if (!reader.Next(field)) return false;
    if (field.wire != Wire::kBytes) continue;
    if (field.number == 1) file.name = field.bytes;
    if (field.number == 2) package = field.bytes;
    if (field.number == 3) file.dependencies.emplace_back(field.bytes);
  }
  if (file.name.empty()) return false;
  const std::string name = file.name;
  const auto [place, added] = files_.try_emplace(name, std::move(file));
  if (!added) return true;
  const File* kept = &place->second;
  for (WireReader reader(kept->bytes); !reader.done();) {
    if (!reader.Next(field)) return false;
    if (field.wire != Wire::kBytes) continue;
    bool good = true;
    if (field.number == 4) good = AddMessage(field.bytes, package, kept, 0);
    // EnumDescriptorProto and ServiceDescriptorProto have name = 1 and members = 2, named likewise.
    // The values of an enum are siblings of the enum.
    if (field.number == 5) good = AddNamed(field.bytes, package, 0, kept);
    if (field.number == 6) good = AddNamed(field.bytes, package, 2, kept);
    if (field.number == 7) good = AddExtension(field.bytes, package, kept);
    if (!good) return false;
  }
  return true;
}

// A declaration and, with `members` not 0, those of that field number in it; else its members (2)
// beside it.
bool DescriptorPool::AddNamed(std::string_view bytes, const std::string& scope, uint32_t members,
                              const File* file) {
  std::string_view name;
  if (!ReadName(bytes, name)) return false;
  const std::string full = Join(scope, name);
  symbols_.emplace(full, file);
  WireField field;
  for (WireReader reader(bytes); !reader.done();) {
    if (!reader.Next(field)) return false;
    if (field.wire != Wire::kBytes || field.number != 2) continue;
    std::string_view member;
    if (!ReadName(field.bytes, member)) return false;
    symbols_.emplace(Join(members == 0 ? scope : full, member), file);
  }
  return true;
}

bool DescriptorPool::AddMessage(std::string_view bytes, const std::string& scope, const File* file,
                                int depth) {
  // DescriptorProto{name = 1, field = 2, nested_type = 3, enum_type = 4, extension = 6, oneof_decl
  // = 8}
  if (depth > kMaxDepth || !AddNamed(bytes, scope, 2, file)) return false;
  std::string_view name;
  if (!ReadName(bytes, name)) return false;
  const std::string full = Join(scope, name);
  WireField field;
  for (WireReader reader(bytes); !reader.done();) {
    if (!reader.Next(field)) return false;
    if (field.wire != Wire::kBytes) continue;
    bool good = true;
    std::string_view oneof;
    if (field.number == 3) good = AddMessage(field.bytes, full, file, depth + 1);
    if (field.number == 4) good = AddNamed(field.bytes, full, 0, file);
    if (field.number == 6) good = AddExtension(field.bytes, full, file);
    if (field.number == 8) {
      good = ReadName(field.bytes, oneof);
      if (good) symbols_.emplace(Join(full, oneof), file);
    }
    if (!good) return false;
  }
  return true;
}

bool DescriptorPool::AddExtension(std::string_view bytes, const std::string& scope,
                                  const File* file) {
  // FieldDescriptorProto{name = 1, extendee = 2, number = 3}
  std::string_view name;
  std::string_view extendee;
  uint64_t number = 0;
  WireField field;
  for (WireReader reader(bytes); !reader.done();) {
    if (!reader.Next(field)) return false;
    if (field.number == 1 && field.wire == Wire::kBytes) name = field.bytes;
    if (field.number == 2 && field.wire == Wire::kBytes) extendee = field.bytes;
    if (field.number == 3 && field.wire == Wire::kVarint) number = field.value;
  }
  if (name.empty() || !extendee.starts_with('.') || number > UINT32_MAX) return false;
  symbols_.emplace(Join(scope, name), file);
  extensions_[std::string(extendee.substr(1))].emplace(static_cast<uint32_t>(number), file);
  return true;
}

const DescriptorPool::File* DescriptorPool::FindFile(std::string_view name) const {
  const auto found = files_.find(name);
  return found == files_.end() ? nullptr : &found->second;
}

const DescriptorPool::File* DescriptorPool::FindSymbol(std::string_view symbol) const {
  const auto found = symbols_.find(symbol);
  return found == symbols_.end() ? nullptr : found->second;
}

const DescriptorPool::File* DescriptorPool::FindExtension(std::string_view type,
                                                          uint32_t number) const {
  const auto found = extensions_.find(type);
  if (found == extensions_.end()) return nullptr;
  const auto file = found->second.find(number);
  return file == found->second.end() ? nullptr : file->second;
}

std::vector<uint32_t> DescriptorPool::ExtensionNumbers(std::string_view type) const {
  std::vector<uint32_t> numbers;
  const auto found = extensions_.find(type);
  if (found == extensions_.end()) return numbers;
  for (const auto& [number, file] : found->second) numbers.push_back(number);
  return numbers;
}

std::vector<const DescriptorPool::File*> DescriptorPool::WithDependencies(const File& file) const {
  std::vector<const File*> out = {&file};
  std::set<const File*> seen = {&file};
  for (size_t i = 0; i < out.size(); ++i) {
    for (const std::string& name : out[i]->dependencies) {
      const File* needed = FindFile(name);
      if (needed != nullptr && seen.insert(needed).second) out.push_back(needed);
    }
  }
  return out;
}

}  // namespace aegis::grpc
