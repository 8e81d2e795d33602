// The JSON texts that the store keeps: labels of agents, and the before and after of operator
// entries. Internal to the store.
#pragma once

#include <map>
#include <string>
#include <string_view>

#include "aegis/store/repository.h"

namespace aegis::store {

std::string LabelsToJson(const std::map<std::string, std::string>& labels);
// Errors: store_corrupt (not an object of strings).
Result<std::map<std::string, std::string>> LabelsFromJson(std::string_view json);

std::string AgentJson(const Agent& agent);
std::string ToolJson(const Tool& tool);
// The active version and what it is made of; the sources themselves are kept with the version.
std::string PolicyJson(int64_t version, std::string_view bundle_sha256, std::string_view message);
std::string KeyJson(const KeyRecord& key);
std::string RevocationJson(const Revocation& revocation);
std::string BlockJson(const Block& block);
// Without the key's hash.
std::string CredentialJson(const Credential& credential);

}  // namespace aegis::store
