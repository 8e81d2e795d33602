// The descriptors of .proto files (google/protobuf/descriptor.proto), found by file and by symbol:
// what server reflection tells clients. Only names are read; the descriptors are handed on as they
// are.
//
// Threading: once filled, any thread may read it.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "aegis/base/result.h"

namespace aegis::grpc {

class DescriptorPool {
 public:
  struct File {
    std::string name;   // "envoy/service/auth/v3/external_auth.proto"
    std::string bytes;  // FileDescriptorProto
    std::vector<std::string> dependencies;
  };

  // Adds all files of a FileDescriptorSet, as protoc --descriptor_set_out --include_imports writes
  // it; files that are there already are left. Errors: bad_descriptors.
  Status Add(std::string_view file_descriptor_set);

  const File* FindFile(std::string_view name) const;
  // The file that declares a message, field, enum, value, service, method or extension of this full
  // name, without a leading dot.
  const File* FindSymbol(std::string_view symbol) const;
  const File* FindExtension(std::string_view type, uint32_t number) const;
  // Sorted; empty: the type has none, or is unknown.
  std::vector<uint32_t> ExtensionNumbers(std::string_view type) const;
  // The file and all that it depends on as far as they are known, the file first.
  std::vector<const File*> WithDependencies(const File& file) const;

 private:
  bool AddFile(std::string_view bytes);
  bool AddMessage(std::string_view bytes, const std::string& scope, const File* file, int depth);
  bool AddNamed(std::string_view bytes, const std::string& scope, uint32_t members,
                const File* file);
  bool AddExtension(std::string_view bytes, const std::string& scope, const File* file);

  std::map<std::string, File, std::less<>> files_;
  std::map<std::string, const File*, std::less<>> symbols_;
  std::map<std::string, std::map<uint32_t, const File*>, std::less<>> extensions_;
};

}  // namespace aegis::grpc
