// Bundles: no input may crash the reader or pass its limits; what is read can be written and read
// again with the same content; a delta changes all or nothing; protobuf becomes JSON. Some inputs
// are taken as tar bytes, since a fuzzer makes no gzip checksums.
#include <zlib.h>

#include <algorithm>
#include <cstdint>
#include <cstdlib>
#include <string>
#include <vector>

#include "aegis/base/arena.h"
#include "aegis/json/tree.h"
#include "aegis/rego/bundle.h"
#include "aegis/rego/bundle_archive.h"
#include "aegis/rego/bundle_proto.h"
#include "aegis/rego/signature.h"

namespace {

using aegis::Result;
using aegis::rego::Bundle;
using aegis::rego::BundleFile;
using aegis::rego::BundleLimits;
using aegis::rego::BundleVerifier;

constexpr BundleLimits kLimits{.max_archive_bytes = 1 << 20,
                               .max_file_bytes = 1 << 18,
                               .max_total_bytes = 1 << 20,
                               .max_files = 64,
                               .max_name_bytes = 256};

std::string Gzip(std::string tar) {
  z_stream stream{};
  if (deflateInit2(&stream, 1, Z_DEFLATED, 15 + 16, 8, Z_DEFAULT_STRATEGY) != Z_OK) std::abort();
  std::string out(deflateBound(&stream, tar.size()), '\0');
  stream.next_in = reinterpret_cast<Bytef*>(tar.data());
  stream.avail_in = static_cast<uInt>(tar.size());
  stream.next_out = reinterpret_cast<Bytef*>(out.data());
  stream.avail_out = static_cast<uInt>(out.size());
  if (deflate(&stream, Z_FINISH) != Z_STREAM_END) std::abort();
  out.resize(stream.total_out);
  deflateEnd(&stream);
  return out;
}

// Gives every header block the checksum it should have, so that the reader gets beyond it.
void MendChecksums(std::string& tar) {
  for (size_t at = 0; at + 512 <= tar.size(); at += 512) {
    if (tar.compare(at + 257, 5, "ustar") != 0) continue;
    tar.replace(at + 148, 8, 8, ' ');
    unsigned sum = 0;
    for (size_t i = 0; i < 512; ++i) sum += static_cast<unsigned char>(tar[at + i]);
    for (size_t i = 0; i < 6; ++i, sum >>= 3)
      tar[at + 153 - i] = static_cast<char>('0' + (sum & 7));
    tar[at + 154] = '\0';
  }
}

const BundleVerifier& Verifier() {
  static const BundleVerifier* const verifier = [] {
    auto* made = new BundleVerifier;
    auto key = aegis::crypto::VerificationKey::FromSecret(std::string(32, 's'), "k");
    if (!key || !made->keys.Add(*std::move(key))) std::abort();
    return made;
  }();
  return *verifier;
}

// The text before the first line feed is data, the rest a patch of it.
int CheckDelta(const std::string& text) {
  const size_t end = std::min(text.find('\n'), text.size());
  Bundle base, delta;
  base.data_json = text.substr(0, end);
  delta.patch_json = text.substr(std::min(end + 1, text.size()));
  const std::string before = base.data_json;
  if (!aegis::rego::ApplyDelta(delta, base, 1 << 20)) {
    if (base.data_json != before) std::abort();
    return 0;
  }
  aegis::Arena arena;
  if (!aegis::json::ParseTree(base.data_json, arena, {.max_bytes = 1 << 20, .max_depth = 1024})) {
    std::abort();
  }
  return 0;
}

// What is taken for a plan or a manifest becomes JSON within the limit.
int CheckProto(const std::string& bytes) {
  constexpr size_t kMaxJson = 1 << 16;
  for (const auto& json : {aegis::rego::PlanJsonFromProto(bytes, kMaxJson),
                           aegis::rego::ManifestJsonFromProto(bytes, kMaxJson)}) {
    aegis::Arena arena;
    if (json && !aegis::json::ParseTree(*json, arena, {.max_bytes = 1 << 24, .max_depth = 4096})) {
      std::abort();
    }
  }
  return 0;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  if (size == 0) return 0;
  const uint8_t kind = data[0] % 6;
  std::string bytes(reinterpret_cast<const char*>(data) + 1, size - 1);
  if (kind == 3) {
    // The signature document alone.
    const std::vector<BundleFile> files = {{"data.json", "{}"}, {"p.rego", ""}};
    if (aegis::rego::VerifyBundleFiles(bytes, files, Verifier())) std::abort();
    (void)aegis::rego::CanonicalStructuredFile(bytes);
    return 0;
  }
  if (kind == 4) return CheckDelta(bytes);
  if (kind == 5) return CheckProto(bytes);
  if (kind != 0) {
    MendChecksums(bytes);
    bytes = Gzip(std::move(bytes));
  }
  if (aegis::rego::ReadBundle(bytes, &Verifier(), kLimits)) std::abort();  // nobody signed it
  const Result<Bundle> bundle = aegis::rego::ReadBundle(bytes, nullptr, kLimits);
  const Result<std::vector<BundleFile>> files = aegis::rego::ReadArchive(bytes, kLimits);
  if (bundle && !files) std::abort();
  if (!files) return 0;
  size_t total = 0;
  for (const BundleFile& file : *files) {
    total += file.content.size();
    if (file.name.empty() || file.name.front() == '/' ||
        file.content.size() > kLimits.max_file_bytes)
      std::abort();
  }
  if (total > kLimits.max_total_bytes || files->size() > kLimits.max_files) std::abort();
  const Result<std::string> again = aegis::rego::WriteArchive(*files);
  if (!again) std::abort();
  const Result<std::vector<BundleFile>> reread = aegis::rego::ReadArchive(*again, kLimits);
  if (!reread || !std::equal(files->begin(), files->end(), reread->begin(), reread->end(),
                             [](const BundleFile& a, const BundleFile& b) {
                               return a.name == b.name && a.content == b.content;
                             })) {
    std::abort();
  }
  return 0;
}
