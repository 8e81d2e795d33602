#include "aegis/app/tool_config.h"

#include "aegis/app/config.h"
#include "aegis/app/config_types.h"
#include "aegis/tool/spec.h"

namespace aegis::app {
namespace {

using config_types::kReference;
using policy::Key;
using policy::Node;
using policy::Shape;
using policy::Type;

constexpr size_t kMaxEntries = 1'000;

std::string CheckHostName(std::string_view text) {
  if (text.empty() || text.find_first_of(":/@ ") != std::string_view::npos) {
    return "must be a host's name or IPv4 address, without scheme and port";
  }
  return {};
}

constexpr Type kFile = {.shape = Shape::kText, .expected = "a file's path", .max_bytes = 1024};
constexpr Type kHost = {.shape = Shape::kText,
                        .expected = "a host's name",
                        .check = CheckHostName,
                        .schema_pattern = "^[^:/@ ]+$",
                        .max_bytes = 253};
constexpr Type kHosts = {.shape = Shape::kList,
                         .expected = "a list of hosts",
                         .element = &kHost,
                         .min_size = 1,
                         .max_size = 64};

constexpr Key kCertificateKeys[] = {
    {"certificate", &kFile, "File with the PEM certificate, and those that lead to its root.",
     true},
    {"private_key", &kFile, "File with the PEM key of the certificate.", true},
};
constexpr Type kCertificate = {.shape = Shape::kMap,
                               .expected = "a map with 'certificate' and 'private_key'",
                               .keys = kCertificateKeys};
constexpr Key kSecretKeys[] = {
    {"from", &kReference, "The secret: env:NAME or file:PATH.", true},
    {"hosts", &kHosts, "Hosts of the tools that may get it; default: any."},
};
constexpr Type kSecretMap = {
    .shape = Shape::kMap, .expected = "a map with 'from'", .keys = kSecretKeys};
constexpr const Type* kSecretForms[] = {&kReference, &kSecretMap};
constexpr Type kSecret = {.shape = Shape::kChoice,
                          .expected = "env:NAME, file:PATH, or a map with 'from' and 'hosts'",
                          .options = kSecretForms};

gateway::ToolResources::Secret ReadSecret(const Node& node, const policy::Reporter& reporter) {
  gateway::ToolResources::Secret secret;
  const Node* from = node.kind == Node::Kind::kMap ? node.Find("from") : &node;
  if (const std::string problem = CheckSecretReference(from->text); !problem.empty()) {
    reporter.Error(from->offset, "the secret " + problem);
  }
  secret.read = [reference = from->text] { return ResolveSecret(reference); };
  if (const Node* hosts = node.Find("hosts"); from != &node && hosts != nullptr) {
    for (const Node* host : hosts->items) secret.hosts.push_back(host->text);
  }
  return secret;
}

}  // namespace

const Type kCertificateAuthorities = {.shape = Shape::kMap,
                                      .expected = "files by name",
                                      .element = &kFile,
                                      .max_size = kMaxEntries,
                                      .check_key = tool::CheckName,
                                      .key_word = "name"};
const Type kClientCertificates = {.shape = Shape::kMap,
                                  .expected = "certificates by name",
                                  .element = &kCertificate,
                                  .max_size = kMaxEntries,
                                  .check_key = tool::CheckName,
                                  .key_word = "name"};
const Type kSecrets = {.shape = Shape::kMap,
                       .expected = "secrets by name",
                       .element = &kSecret,
                       .max_size = kMaxEntries,
                       .check_key = tool::CheckName,
                       .key_word = "name"};

gateway::ToolResources ReadToolResources(const Node& root, const policy::Reporter& reporter) {
  gateway::ToolResources out;
  if (const Node* authorities = root.Find("certificate_authorities")) {
    for (const Node::Member& one : authorities->members) {
      out.certificate_authorities.emplace(one.key, one.value->text);
    }
  }
  if (const Node* certificates = root.Find("client_certificates")) {
    for (const Node::Member& one : certificates->members) {
      out.client_certificates[std::string(one.key)] = {one.value->Find("certificate")->text,
                                                       one.value->Find("private_key")->text};
    }
  }
  if (const Node* secrets = root.Find("secrets")) {
    for (const Node::Member& one : secrets->members) {
      out.secrets[std::string(one.key)] = ReadSecret(*one.value, reporter);
    }
  }
  return out;
}

}  // namespace aegis::app
