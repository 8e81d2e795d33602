#include "aegis/gateway/policy_loader.h"

#include <algorithm>

#include "aegis/base/arena.h"
#include "aegis/base/file.h"
#include "aegis/crypto/digest.h"
#include "aegis/json/tree.h"

namespace aegis::gateway {
namespace {

constexpr std::string_view kBundleSuffix = ".tar.gz";
constexpr std::string_view kHistorySuffix = ".history.json";
constexpr size_t kMaxHistoryBytes = size_t{8} << 20;

// Revisions that are numbers only move forward.
std::optional<uint64_t> AsNumber(std::string_view text) {
  if (text.empty() || text.size() > 18) return std::nullopt;
  uint64_t value = 0;
  for (const char c : text) {
    if (c < '0' || c > '9') return std::nullopt;
    value = value * 10 + static_cast<uint64_t>(c - '0');
  }
  return value;
}

// metadata.aegis.rollback_from of a manifest; nothing when it has none.
std::optional<std::string> RollbackFrom(const rego::Manifest& manifest) {
  Arena arena;
  const auto metadata = json::ParseTree(manifest.metadata_json, arena, {.max_bytes = 16 << 20});
  const json::Tree* aegis = metadata ? metadata->Find("aegis") : nullptr;
  const auto from = aegis ? aegis->FindString("rollback_from") : std::nullopt;
  return from ? std::optional<std::string>(*from) : std::nullopt;
}

}  // namespace

PolicyLoader::PolicyLoader(BundleSource source, Options options)
    : source_(std::move(source)), options_(std::move(options)) {
  if (!options_.logger) options_.logger = &telemetry::NullLogger();
  if (!source_.persist) options_.folder.clear();
  ReadHistory();
}

std::string PolicyLoader::Path(std::string_view suffix) const {
  return options_.folder + "/" + source_.cache_name + std::string(suffix);
}

void PolicyLoader::ReadHistory() {
  if (options_.folder.empty()) return;
  const auto text = ReadFile(Path(kHistorySuffix), kMaxHistoryBytes);
  if (!text) {
    if (text.error().code != Code::kNotFound) {
      options_.logger->Error("the record of earlier policies cannot be read", text.error());
    }
    return;
  }
  Arena arena;
  const auto root = json::ParseTree(*text, arena, {.max_bytes = kMaxHistoryBytes});
  const json::Tree* entries = root ? root->Find("entries") : nullptr;
  if (entries == nullptr) {
    options_.logger->Error("the record of earlier policies is damaged; it begins anew",
                           {{"file", Path(kHistorySuffix)}});
    return;
  }
  for (const json::Tree& entry : entries->elements()) {
    history_.push_back({std::string(entry.FindString("revision").value_or("")),
                        std::string(entry.FindString("content_sha256").value_or("")),
                        entry.Find("delta") != nullptr && entry.Find("delta")->bool_value()});
  }
}

void PolicyLoader::Keep(std::string_view suffix, std::string_view content) const {
  if (options_.folder.empty()) return;
  if (const Status kept = WriteFileAtomic(Path(suffix), content, 0600); !kept) {
    options_.logger->Error("the last good policy cannot be kept", kept.error());
  }
}

Result<std::shared_ptr<const decision::Snapshot>> PolicyLoader::Load(
    const rego::Bundle& bundle) const {
  decision::Snapshot::Options options;
  options.tenant = options_.tenant;
  options.entrypoint = source_.entrypoint;
  options.planner = source_.planner;
  return decision::Snapshot::FromBundle(bundle, options);
}

Result<rego::Bundle> PolicyLoader::Base() const {
  if (base_) return *base_;
  return rego::ReadBundle(whole_, source_.verifier ? &*source_.verifier : nullptr, source_.limits);
}

Status PolicyLoader::CheckForward(const rego::Bundle& next) const {
  if (history_.empty()) return Ok();
  const Entry& running = history_.back();
  const std::string& revision = next.manifest.revision;
  if (next.content_sha256 == running.content_sha256) return Ok();
  const auto seen = [&](auto&& same) {
    return std::any_of(history_.begin(), history_.end(), same);
  };
  const std::string advice =
      "; publish it under a new revision, or with metadata.aegis.rollback_from in its manifest";
  if (seen([&](const Entry& entry) { return entry.content_sha256 == next.content_sha256; })) {
    return Fail(
        Code::kFailedPrecondition, "bundle_older",
        "the bundle (revision '" + revision + "') was in force before and was replaced" + advice);
  }
  if (RollbackFrom(next.manifest) == running.revision) {
    options_.logger->Warn("a recorded rollback of the policy",
                          {{"from", running.revision}, {"to", revision}});
    return Ok();
  }
  const auto before = AsNumber(running.revision), now = AsNumber(revision);
  if (before && now && *now < *before) {
    return Fail(Code::kFailedPrecondition, "bundle_older",
                "the bundle's revision " + revision + " is older than the running " +
                    running.revision + advice);
  }
  if (!revision.empty() &&
      seen([&](const Entry& entry) { return entry.revision == revision && !entry.delta; })) {
    return Fail(
        Code::kFailedPrecondition, "bundle_revision_reused",
        "the bundle's revision '" + revision + "' was in force with other content" + advice);
  }
  return Ok();
}

void PolicyLoader::Adopt(const rego::Bundle& bundle, bool delta,
                         std::shared_ptr<const decision::Snapshot> snapshot) {
  current_ = std::move(snapshot);
  if (!history_.empty() && history_.back().content_sha256 == bundle.content_sha256) return;
  history_.push_back({bundle.manifest.revision, bundle.content_sha256, delta});
  if (history_.size() > kMaxHistory) history_.erase(history_.begin());
  std::string out = "{\"entries\":[";
  for (const Entry& entry : history_) {
    out += &entry == &history_.front() ? "\n{\"revision\":" : ",\n{\"revision\":";
    json::AppendQuoted(out, entry.revision);
    out += ",\"content_sha256\":\"" + entry.content_sha256 + "\",\"delta\":";
    out += entry.delta ? "true}" : "false}";
  }
  Keep(kHistorySuffix, out + "]}\n");
}

Result<std::shared_ptr<const decision::Snapshot>> PolicyLoader::LoadKept() {
  if (options_.folder.empty()) {
    return Fail(Code::kNotFound, "not_found", "no bundle is kept on disk");
  }
  AEGIS_TRY(std::string bytes, ReadFile(Path(kBundleSuffix), source_.limits.max_archive_bytes));
  AEGIS_TRY(
      const rego::Bundle bundle,
      rego::ReadBundle(bytes, source_.verifier ? &*source_.verifier : nullptr, source_.limits));
  AEGIS_TRY(auto snapshot, Load(bundle));
  Adopt(bundle, false, snapshot);
  if (accepts_deltas()) whole_ = std::move(bytes);
  return snapshot;
}

Result<std::shared_ptr<const decision::Snapshot>> PolicyLoader::Take(std::string bytes,
                                                                     bool may_be_delta) {
  if (current_ && !base_ && crypto::Sha256Hex(bytes) == current_->bundle_sha256()) return current_;
  AEGIS_TRY(
      rego::Bundle bundle,
      rego::ReadBundle(bytes, source_.verifier ? &*source_.verifier : nullptr, source_.limits));
  const bool is_delta = !bundle.patch_json.empty();
  if (is_delta) {
    if (!may_be_delta || whole_.empty()) {
      return Fail(Code::kFailedPrecondition, "bundle_delta",
                  "a delta bundle came, but there is no bundle in force that it could change");
    }
    AEGIS_TRY(rego::Bundle base, Base());
    AEGIS_RETURN_IF_ERROR(rego::ApplyDelta(bundle, base, source_.limits.max_total_bytes));
    bundle = std::move(base);
  }
  AEGIS_RETURN_IF_ERROR(CheckForward(bundle));
  AEGIS_TRY(auto snapshot, Load(bundle));
  if (!is_delta) Keep(kBundleSuffix, bytes);
  Adopt(bundle, is_delta, snapshot);
  if (is_delta) {
    base_ = std::move(bundle);
  } else {
    base_.reset();
    if (accepts_deltas()) whole_ = std::move(bytes);
  }
  return snapshot;
}

}  // namespace aegis::gateway
