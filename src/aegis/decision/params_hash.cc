#include "aegis/decision/params_hash.h"

#include "aegis/crypto/digest.h"

namespace aegis::decision {

std::string_view ParamsHasher::Hash(rego::Value params) {
  static constexpr char kHex[] = "0123456789abcdef";
  // A very large call must not leave its memory behind in every worker.
  if (json_.capacity() > 256 * 1024) json_ = {};
  json_.clear();
  rego::AppendJson(params.is_undefined() ? rego::Value::EmptyObject() : params, json_);
  const crypto::Sha256Digest digest = crypto::Sha256(json_);
  std::string_view("sha256:").copy(text_.data(), 7);
  for (size_t i = 0; i < digest.size(); ++i) {
    text_[7 + 2 * i] = kHex[digest[i] >> 4];
    text_[8 + 2 * i] = kHex[digest[i] & 15];
  }
  return {text_.data(), text_.size()};
}

}  // namespace aegis::decision
