#include "aegis/grpc/reflection.h"

#include "aegis/base/protobuf_wire.h"
#include "aegis/grpc/server.h"

namespace aegis::grpc {
namespace {

using File = DescriptorPool::File;

void WriteFile(const DescriptorPool& pool, const File* file, WireWriter& writer) {
  if (file == nullptr) {
    // error_response = 7 {error_code = 1, error_message = 2}
    const size_t error = writer.Begin(7);
    writer.Number(1, static_cast<uint64_t>(Code::kNotFound));
    writer.Bytes(2, "nothing of this name is known here");
    return writer.End(error);
  }
  // file_descriptor_response = 4 {file_descriptor_proto = 1}
  const size_t files = writer.Begin(4);
  for (const File* one : pool.WithDependencies(*file)) writer.Bytes(1, one->bytes);
  writer.End(files);
}

}  // namespace

class ReflectionService::Stream final : public Handler {
 public:
  explicit Stream(ReflectionService& service) : service_(service) {}
  void Begin(Call& call) { call_ = &call; }

  void OnMessage(std::string_view message) override {
    std::string answer;
    if (!service_.Answer(message, answer)) {
      return call_->Finish(Code::kInvalidArgument, "this is no ServerReflectionRequest");
    }
    call_->Send(answer);
  }
  void OnEnd() override { call_->FinishOk(); }
  void OnCancelled() override {}
  bool takes_stream() const override { return true; }
  void Release() override { service_.streams_.Give(this); }

 private:
  ReflectionService& service_;
  Call* call_ = nullptr;
};

ReflectionService::ReflectionService(const Server& server, Descriptors descriptors)
    : server_(server), descriptors_(std::move(descriptors)) {}

ReflectionService::~ReflectionService() = default;

Handler* ReflectionService::Start(Call& call) {
  if (!call.method().ends_with("/ServerReflectionInfo")) return nullptr;
  Stream* stream = streams_.Take([this] { return std::make_unique<Stream>(*this); });
  stream->Begin(call);
  return stream;
}

bool ReflectionService::Answer(std::string_view request, std::string& out) const {
  // ServerReflectionRequest{host = 1, and one of file_by_filename = 3, file_containing_symbol = 4,
  // file_containing_extension = 5, all_extension_numbers_of_type = 6, list_services = 7}
  WireField asked;
  std::string_view host;
  WireField field;
  for (WireReader reader(request); !reader.done();) {
    if (!reader.Next(field)) return false;
    if (field.wire != Wire::kBytes) continue;
    if (field.number == 1) host = field.bytes;
    if (field.number >= 3 && field.number <= 7) asked = field;
  }
  WireWriter writer(out);
  writer.Bytes(1, host);
  writer.Bytes(2, request);
  switch (asked.number) {
    case 3:
      WriteFile(descriptors_(), descriptors_().FindFile(asked.bytes), writer);
      return true;
    case 4:
      WriteFile(descriptors_(), descriptors_().FindSymbol(asked.bytes), writer);
      return true;
    case 5: {
      std::string_view type;
      uint64_t number = 0;
      for (WireReader reader(asked.bytes); !reader.done();) {
        if (!reader.Next(field)) return false;
        if (field.number == 1 && field.wire == Wire::kBytes) type = field.bytes;
        if (field.number == 2 && field.wire == Wire::kVarint) number = field.value;
      }
      const bool possible = number <= UINT32_MAX;
      WriteFile(
          descriptors_(),
          possible ? descriptors_().FindExtension(type, static_cast<uint32_t>(number)) : nullptr,
          writer);
      return true;
    }
    case 6: {
      if (descriptors_().FindSymbol(asked.bytes) == nullptr) {
        WriteFile(descriptors_(), nullptr, writer);
        return true;
      }
      // all_extension_numbers_response = 5 {base_type_name = 1, extension_number = 2}
      const size_t numbers = writer.Begin(5);
      writer.Bytes(1, asked.bytes);
      for (const uint32_t number : descriptors_().ExtensionNumbers(asked.bytes)) {
        writer.Number(2, number);
      }
      writer.End(numbers);
      return true;
    }
    case 7: {
      // list_services_response = 6 {service = 1 {name = 1}}
      const size_t services = writer.Begin(6);
      for (const auto& [name, service] : server_.services()) {
        const size_t one = writer.Begin(1);
        writer.Bytes(1, name);
        writer.End(one);
      }
      writer.End(services);
      return true;
    }
    default:
      return false;
  }
}

}  // namespace aegis::grpc
