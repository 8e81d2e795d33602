// Turns the bundles of one source, as they come, into snapshots: checks the signature and that the
// policy only moves forward, applies deltas, and keeps the last good bundle on disk.
//
// Forward. What was in force is remembered (revision and content, on disk too). A bundle is refused
//   - bundle_older: when its content was in force before and has been replaced since, or when its
//     revision and the one in force are numbers and its number is lower;
//   - bundle_revision_reused: when its revision names other content than it did before.
// A rollback is recorded by whoever publishes: the manifest's metadata then has
//   {"aegis": {"rollback_from": "<the revision in force>"}}
// which permits a lower or a used revision, once: the bundle has content of its own, and that can
// be taken only once. An older bundle that was never in force here cannot be told from a new one
// unless revisions are numbers. The last kMaxHistory are remembered.
//
// Files in the folder: <name>.tar.gz, the last good whole bundle; <name>.history.json
//   {"entries":[{"revision":"7","content_sha256":"...","delta":false}]}, the last being in force.
// Deltas are not kept: after a start the policy is that of the last whole bundle until the source
// has been asked. The revision that a delta led to may come again as that of a whole bundle.
//
// Threading: one thread at a time.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "aegis/base/result.h"
#include "aegis/decision/snapshot.h"
#include "aegis/gateway/bundle_source.h"
#include "aegis/telemetry/log.h"

namespace aegis::gateway {

class PolicyLoader {
 public:
  static constexpr size_t kMaxHistory = 1000;

  struct Options {
    std::string tenant;
    std::string folder;                   // must exist; empty: nothing is kept
    telemetry::Logger* logger = nullptr;  // must outlive the loader
  };
  // Takes what it needs of `source`: verifier, entrypoint, planner, limits, persist, cache_name.
  PolicyLoader(BundleSource source, Options options);

  // The kept bundle, checked as if it had just come, but for its direction. Errors: not_found, and
  // those of Take.
  Result<std::shared_ptr<const decision::Snapshot>> LoadKept();

  // A bundle that came; the snapshot to put in force, which may be the one that is. An error
  // changes nothing. `may_be_delta`: what is in force is what the server was told of.
  // Errors: those of rego::ReadBundle, rego::ApplyDelta and decision::Snapshot::FromBundle;
  // bundle_delta (there is nothing to change), bundle_older, bundle_revision_reused.
  Result<std::shared_ptr<const decision::Snapshot>> Take(std::string bytes, bool may_be_delta);

  // Whether a delta would be accepted; else there is no use in asking for one.
  bool accepts_deltas() const {
    return !source_.verifier || source_.verifier->allow_unsigned_deltas;
  }
  const std::shared_ptr<const decision::Snapshot>& current() const { return current_; }

 private:
  struct Entry {
    std::string revision;
    std::string content_sha256;
    bool delta = false;
  };

  Result<std::shared_ptr<const decision::Snapshot>> Load(const rego::Bundle& bundle) const;
  Result<rego::Bundle> Base() const;
  Status CheckForward(const rego::Bundle& next) const;
  void Adopt(const rego::Bundle& bundle, bool delta,
             std::shared_ptr<const decision::Snapshot> snapshot);
  std::string Path(std::string_view suffix) const;
  void ReadHistory();
  void Keep(std::string_view suffix, std::string_view content) const;

  BundleSource source_;
  Options options_;
  std::shared_ptr<const decision::Snapshot> current_;
  std::string whole_;                 // the last whole bundle, if deltas may follow
  std::optional<rego::Bundle> base_;  // what is in force, once a delta was applied
  std::vector<Entry> history_;        // the last one is in force
};

}  // namespace aegis::gateway
