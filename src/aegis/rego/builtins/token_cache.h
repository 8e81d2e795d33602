// What io.jwt keeps between calls: parsed keys, and tokens whose signature was checked. One per Vm,
// bounded; only what follows from token and keys alone is kept, so that expiry, issuer and audience
// are judged on each call, and what is found here costs an evaluation the same steps as finding it
// out did.
//
// Internal to the rego library.
#pragma once

#include <array>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "aegis/crypto/jwt_key.h"
#include "aegis/rego/flat_value.h"
#include "aegis/rego/value.h"

namespace aegis::rego {

using JwtKeys = std::vector<crypto::JwtKey>;

class TokenCache {
 public:
  // The keys of a certificate, public key, JWK or JWKS. Errors: as JwtKey::ParsePublic.
  Result<std::shared_ptr<const JwtKeys>> Keys(std::string_view text);

  // Everything that the answer depends on.
  struct Question {
    std::string_view function;  // a literal
    std::string_view alg;       // the constraint of decode_verify
    std::string_view token;
    std::string_view secret;                     // one of these two
    const std::shared_ptr<const JwtKeys>& keys;  // from this cache
  };
  struct Answer {
    bool valid = false;
    uint64_t cost = 0;          // steps
    internal::FlatValue value;  // what decode_verify gives, when valid
  };
  // Valid until the next Remember.
  const Answer* Find(const Question& question) const;
  void Remember(const Question& question, bool valid, uint64_t cost, Value value = {});

 private:
  static constexpr size_t kKeySlots = 16;
  static constexpr size_t kMaxKeyBytes = 32 * 1024;
  // A token has a set of slots that it may be in, so that two are seldom in each other's way.
  static constexpr size_t kSets = 256;
  static constexpr size_t kWays = 8;
  static constexpr size_t kMaxTokenBytes = 8 * 1024;
  static constexpr size_t kMaxValueBytes = 128 * 1024;
  static constexpr size_t kMaxBytes = size_t{4} << 20;  // of all entries; then all are dropped

  struct KeySlot {
    std::string text;
    std::shared_ptr<const JwtKeys> keys;
  };
  struct Entry {
    std::string_view function;
    std::string alg, token, secret;
    std::shared_ptr<const JwtKeys> keys;
    Answer answer;
  };
  static size_t SetOf(const Question& question);
  static size_t Bytes(const Entry& entry);

  std::array<KeySlot, kKeySlots> keys_;
  size_t next_key_ = 0;  // to be given up next
  using Set = std::array<std::unique_ptr<Entry>, kWays>;
  std::vector<Set> tokens_;  // kSets once one is kept
  size_t next_way_ = 0;      // to be given up when a set is full
  size_t bytes_ = 0;
};

}  // namespace aegis::rego
