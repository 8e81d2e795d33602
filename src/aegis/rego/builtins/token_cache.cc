#include "aegis/rego/builtins/token_cache.h"

#include <algorithm>

#include "aegis/rego/hash.h"

namespace aegis::rego {

Result<std::shared_ptr<const JwtKeys>> TokenCache::Keys(std::string_view text) {
  for (const KeySlot& slot : keys_) {
    if (slot.keys != nullptr && slot.text == text) return slot.keys;
  }
  AEGIS_TRY(JwtKeys parsed, crypto::JwtKey::ParsePublic(text));
  auto keys = std::make_shared<const JwtKeys>(std::move(parsed));
  if (text.size() <= kMaxKeyBytes) keys_[next_key_++ % kKeySlots] = {std::string(text), keys};
  return keys;
}

size_t TokenCache::SetOf(const Question& question) {
  // What differs most is the end of the signature. Tokens that only have that in common are a
  // forger's.
  constexpr size_t kEnd = 32;
  const std::string_view token = question.token;
  const std::string_view end = token.substr(token.size() - std::min(token.size(), kEnd));
  return (internal::HashString(end) ^ internal::HashString(question.function)) % kSets;
}

size_t TokenCache::Bytes(const Entry& entry) {
  return sizeof(Entry) + entry.alg.size() + entry.token.size() + entry.secret.size() +
         entry.answer.value.bytes();
}

const TokenCache::Answer* TokenCache::Find(const Question& question) const {
  if (tokens_.empty()) return nullptr;
  for (const std::unique_ptr<Entry>& entry : tokens_[SetOf(question)]) {
    if (entry != nullptr && entry->token == question.token && entry->keys == question.keys &&
        entry->function == question.function && entry->alg == question.alg &&
        entry->secret == question.secret) {
      return &entry->answer;
    }
  }
  return nullptr;
}

void TokenCache::Remember(const Question& question, bool valid, uint64_t cost, Value value) {
  if (question.token.size() + question.secret.size() + question.alg.size() > kMaxTokenBytes) return;
  std::optional<internal::FlatValue> kept = internal::FlatValue::Of(value, kMaxValueBytes);
  if (!kept) return;
  auto entry = std::make_unique<Entry>();
  entry->function = question.function;
  entry->alg = question.alg;
  entry->token = question.token;
  entry->secret = question.secret;
  entry->keys = question.keys;
  entry->answer = {valid, cost, *std::move(kept)};
  if (bytes_ + Bytes(*entry) > kMaxBytes) {
    tokens_.clear();
    bytes_ = 0;
  }
  if (tokens_.empty()) tokens_.resize(kSets);
  Set& set = tokens_[SetOf(question)];
  auto slot = std::find(set.begin(), set.end(), nullptr);
  if (slot == set.end()) {
    slot = set.begin() + static_cast<ptrdiff_t>(next_way_++ % kWays);
    bytes_ -= Bytes(**slot);
  }
  bytes_ += Bytes(*entry);
  *slot = std::move(entry);
}

}  // namespace aegis::rego
