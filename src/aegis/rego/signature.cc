#include "aegis/rego/signature.h"

#include <algorithm>
#include <optional>
#include <vector>

#include "aegis/base/arena.h"
#include "aegis/base/text.h"
#include "aegis/crypto/digest.h"
#include "aegis/crypto/jws.h"
#include "aegis/json/tree.h"
#include "aegis/rego/bundle.h"

namespace aegis::rego {
namespace {

using json::Tree;

constexpr size_t kMaxSignaturesBytes = size_t{4} << 20;
constexpr json::TreeLimits kStructuredLimits{.max_bytes = size_t{1} << 30, .max_depth = 256};

tl::unexpected<Error> BadSignature(std::string message) {
  return Fail(Code::kPermissionDenied, "bundle_signature",
              "the bundle's signature is not accepted: " + std::move(message));
}

std::string_view BaseName(std::string_view name) { return name.substr(name.rfind('/') + 1); }

// Go's encoding/json without HTML escaping: beside what JSON demands it escapes U+2028 and U+2029.
void AppendGoString(std::string& out, std::string_view text) {
  const size_t start = out.size();
  json::AppendQuoted(out, text);
  for (size_t at = start; (at = out.find("\xe2\x80", at)) != std::string::npos; ++at) {
    if (at + 2 < out.size() && (out[at + 2] == '\xa8' || out[at + 2] == '\xa9')) {
      out.replace(at, 3, out[at + 2] == '\xa8' ? "\\u2028" : "\\u2029");
    }
  }
}

void AppendGo(std::string& out, const Tree& tree) {
  bool first = true;
  const auto comma = [&] {
    if (!first) out += ',';
    first = false;
  };
  switch (tree.kind()) {
    case Tree::Kind::kString:
      AppendGoString(out, tree.text());
      return;
    case Tree::Kind::kArray:
      out += '[';
      for (const Tree& element : tree.elements()) {
        comma();
        AppendGo(out, element);
      }
      out += ']';
      return;
    case Tree::Kind::kObject:
      out += '{';
      for (const json::Member& member : tree.members()) {
        comma();
        AppendGoString(out, member.name);
        out += ':';
        AppendGo(out, member.value);
      }
      out += '}';
      return;
    default:
      json::AppendTree(out, tree);
  }
}

Result<std::string> HashFile(const BundleFile& file, std::string_view algorithm) {
  if (!IsStructuredFile(file.name)) return crypto::HashByName(algorithm, file.content);
  Result<std::string> canonical = CanonicalStructuredFile(file.content);
  if (!canonical) return Fail(Annotate(std::move(canonical).error(), file.name));
  return crypto::HashByName(algorithm, *canonical);
}

struct SignedFile {
  std::string_view name;
  std::string_view hash;
  std::string_view algorithm;
};

Result<std::vector<SignedFile>> SignedFiles(const Tree& payload) {
  const Tree* list = payload.Find("files");
  if (list == nullptr || !list->is_array()) return BadSignature("its payload lists no files");
  std::vector<SignedFile> files;
  for (const Tree& entry : list->elements()) {
    const auto name = entry.FindString("name"), hash = entry.FindString("hash"),
               algorithm = entry.FindString("algorithm");
    if (!name || !hash || !algorithm) {
      return BadSignature("an entry of its payload lacks name, hash or algorithm");
    }
    files.push_back({*name, *hash, *algorithm});
  }
  const auto by_name = [](const SignedFile& a, const SignedFile& b) { return a.name < b.name; };
  std::sort(files.begin(), files.end(), by_name);
  const auto same = [](const SignedFile& a, const SignedFile& b) { return a.name == b.name; };
  if (std::adjacent_find(files.begin(), files.end(), same) != files.end()) {
    return BadSignature("its payload names a file twice");
  }
  return files;
}

// The one JWT of .signatures.json.
Result<std::string_view> OnlyToken(const Tree& document) {
  const Tree* tokens = document.Find("signatures");
  if (tokens == nullptr || !tokens->is_array() || tokens->elements().size() != 1 ||
      !tokens->elements()[0].is_string()) {
    return BadSignature(".signatures.json does not hold exactly one JWT in \"signatures\"");
  }
  const Tree* plugin = document.Find("plugin");
  if (plugin != nullptr && plugin->text() != "" && plugin->text() != "_default") {
    return BadSignature(".signatures.json asks for a signing plugin");
  }
  return tokens->elements()[0].text();
}

Status CheckFiles(const std::vector<SignedFile>& signed_files, std::span<const BundleFile> files) {
  size_t found = 0;
  for (const BundleFile& file : files) {
    if (file.name == kSignaturesFile) continue;
    const auto entry = std::lower_bound(
        signed_files.begin(), signed_files.end(), std::string_view(file.name),
        [](const SignedFile& candidate, std::string_view name) { return candidate.name < name; });
    if (entry == signed_files.end() || entry->name != file.name) {
      return BadSignature("the file " + file.name + " is not covered by it");
    }
    ++found;
    AEGIS_TRY(const std::string hash, HashFile(file, entry->algorithm));
    if (HexDecode(entry->hash) != hash)
      return BadSignature("the file " + file.name + " was changed");
  }
  if (found != signed_files.size()) return BadSignature("a file that it covers is missing");
  return Ok();
}

}  // namespace

bool IsStructuredFile(std::string_view name) {
  const std::string_view base = BaseName(name);
  return base == "data.json" || base == ".manifest";
}

Result<std::string> CanonicalStructuredFile(std::string_view json) {
  Arena arena(256 * 1024);
  Result<Tree> tree = json::ParseTree(json, arena, kStructuredLimits);
  if (!tree) {
    return Fail(Code::kInvalidArgument, "bundle_malformed",
                "not strict JSON: " + tree.error().message);
  }
  std::string out;
  out.reserve(json.size());
  AppendGo(out, *tree);
  return out;
}

Result<std::string> SignBundleFiles(std::span<const BundleFile> files, const BundleSigner& signer) {
  if (signer.key.algorithm() == crypto::Algorithm::kEd25519) {
    return BadSignature(
        "stock OPA cannot check Ed25519 signatures; use an ES256 key to sign bundles");
  }
  std::vector<const BundleFile*> sorted;
  for (const BundleFile& file : files) {
    if (file.name != kSignaturesFile) sorted.push_back(&file);
  }
  std::sort(sorted.begin(), sorted.end(),
            [](const BundleFile* a, const BundleFile* b) { return a->name < b->name; });
  std::string payload = R"({"files":[)";
  for (const BundleFile* file : sorted) {
    AEGIS_TRY(const std::string hash, HashFile(*file, "SHA-256"));
    if (file != sorted.front()) payload += ',';
    payload += R"({"algorithm":"SHA-256","hash":")" + HexEncode(hash) + R"(","name":)";
    json::AppendQuoted(payload, file->name);
    payload += '}';
  }
  payload += ']';
  if (!signer.scope.empty()) {
    payload += R"(,"scope":)";
    json::AppendQuoted(payload, signer.scope);
  }
  payload += '}';
  Result<std::string> token = crypto::SignJws(signer.key, payload, "JWT");
  if (!token) return BadSignature(token.error().message);
  return R"({"signatures":[")" + *token + "\"]}";
}

Result<std::string> VerifyBundleFiles(std::string_view signatures_json,
                                      std::span<const BundleFile> files,
                                      const BundleVerifier& verifier) {
  Arena arena;
  const json::TreeLimits limits{.max_bytes = kMaxSignaturesBytes, .max_depth = 16};
  const Result<Tree> document = json::ParseTree(signatures_json, arena, limits);
  if (!document) return BadSignature(".signatures.json: " + document.error().message);
  AEGIS_TRY(const std::string_view token, OnlyToken(*document));
  const Result<crypto::Jws> jws = crypto::ParseJws(token, kMaxSignaturesBytes);
  if (!jws) return BadSignature(jws.error().message);
  const Result<Tree> payload = json::ParseTree(jws->payload, arena, limits);
  if (!payload) return BadSignature("its payload: " + payload.error().message);

  // Older signers name the key in the payload (`keyid`) and not in the header; `opa sign` names
  // none.
  const std::string kid(jws->kid.empty() ? payload->FindString("keyid").value_or("") : jws->kid);
  const bool only_key = kid.empty() && verifier.keys.keys().size() == 1;
  const crypto::VerificationKey* key =
      only_key ? &verifier.keys.keys().front() : verifier.keys.Find(kid);
  if (key == nullptr) return BadSignature("it was made with a key that is not configured");
  if (const Status valid = crypto::VerifyJws(*jws, *key); !valid) {
    return BadSignature(valid.error().message);
  }
  const Tree* scope = payload->Find("scope");
  if (scope != nullptr && !scope->is_string()) return BadSignature("its scope is not a string");
  if ((scope == nullptr ? std::string_view() : scope->text()) != verifier.scope) {
    return BadSignature("it is for another scope than " + verifier.scope);
  }
  AEGIS_TRY(const std::vector<SignedFile> signed_files, SignedFiles(*payload));
  AEGIS_RETURN_IF_ERROR(CheckFiles(signed_files, files));
  return key->kid();
}

}  // namespace aegis::rego
