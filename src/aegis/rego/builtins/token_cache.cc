#include "aegis/rego/builtins/token_cache.h"

#include <algorithm>

#include "aegis/rego/edit.h"
#include "aegis/rego/hash.h"

namespace aegis::rego {

Result<std::shared_ptr<const JwtKeys>> TokenCache::Keys(std::string_view text) {
  const uint64_t hash = internal::HashString(text);
  for (const KeySlot& slot : keys_) {
    if (slot.hash == hash && slot.keys != nullptr && slot.text == text) return slot.keys;
  }
  AEGIS_TRY(JwtKeys parsed, crypto::JwtKey::ParsePublic(text));
  auto keys = std::make_shared<const JwtKeys>(std::move(parsed));
  if (text.size() <= kMaxKeyBytes) keys_[next_key_++ % kKeySlots] = {hash, std::string(text), keys};
  return keys;
}

size_t TokenCache::SetOf(const Question& question) {
  return (internal::HashString(question.token) ^ internal::HashString(question.function)) % kSets;
}

size_t TokenCache::Bytes(const Entry& entry) {
  return sizeof(Entry) + entry.alg.size() + entry.token.size() + entry.secret.size() +
         entry.arena.reserved_bytes();
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

void TokenCache::Remember(const Question& question, const Answer& answer) {
  if (question.token.size() + question.secret.size() + question.alg.size() > kMaxTokenBytes) return;
  auto entry = std::make_unique<Entry>();
  entry->function = question.function;
  entry->alg = question.alg;
  entry->token = question.token;
  entry->secret = question.secret;
  entry->keys = question.keys;
  entry->answer.valid = answer.valid;
  entry->answer.cost = answer.cost;
  if (!answer.header.is_undefined()) {
    entry->answer.header = internal::CopyOf(entry->arena, answer.header);
    entry->answer.payload = internal::CopyOf(entry->arena, answer.payload);
    if (entry->answer.header.is_undefined() || entry->answer.payload.is_undefined()) return;
  }
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
