#include "aegis/store/record_json.h"

#include <nlohmann/json.hpp>

#include "aegis/base/clock.h"

namespace aegis::store {
namespace {

using nlohmann::json;

// Bytes that are not UTF-8 become U+FFFD: rendering an entry must never throw.
std::string Dump(const json& value) {
  return value.dump(-1, ' ', false, json::error_handler_t::replace);
}

}  // namespace

std::string LabelsToJson(const std::map<std::string, std::string>& labels) {
  json object = json::object();
  for (const auto& [key, value] : labels) object[key] = value;
  return Dump(object);
}

Result<std::map<std::string, std::string>> LabelsFromJson(std::string_view text) {
  const json object = json::parse(text, nullptr, /*allow_exceptions=*/false);
  std::map<std::string, std::string> labels;
  bool good = object.is_object();
  if (good) {
    for (const auto& [key, value] : object.items()) {
      if (!value.is_string()) {
        good = false;
        break;
      }
      labels.emplace(key, value.get_ref<const std::string&>());
    }
  }
  if (!good) {
    return Fail(Code::kDataLoss, "store_corrupt", "an agent's labels in the database are not JSON");
  }
  return labels;
}

std::string AgentJson(const Agent& agent) {
  json labels = json::object();
  for (const auto& [key, value] : agent.labels) labels[key] = value;
  return Dump({{"name", agent.name},
               {"labels", std::move(labels)},
               {"status", std::string(AgentStatusName(agent.status))},
               {"revision", agent.revision}});
}

std::string ToolJson(const Tool& tool) {
  json object = json::parse(tool.document, nullptr, /*allow_exceptions=*/false);
  if (!object.is_object()) object = {{"name", tool.name}};
  object["revision"] = tool.revision;
  return Dump(object);
}

std::string PolicyJson(int64_t version, std::string_view bundle_sha256, std::string_view message) {
  return Dump({{"version", version},
               {"bundle_sha256", std::string(bundle_sha256)},
               {"message", std::string(message)}});
}

std::string KeyJson(const KeyRecord& key) {
  return Dump({{"use", key.use}, {"key_id", key.key_id}, {"algorithm", key.algorithm}});
}

std::string RevocationJson(const Revocation& revocation) {
  return Dump({{"jti", revocation.jti}, {"until", FormatRfc3339Millis(revocation.until)}});
}

std::string BlockJson(const Block& block) {
  return Dump({{"kind", std::string(BlockKindName(block.kind))}, {"value", block.value}});
}

std::string CredentialJson(const Credential& credential) {
  return Dump({{"id", credential.id}, {"role", credential.role}});
}

}  // namespace aegis::store
