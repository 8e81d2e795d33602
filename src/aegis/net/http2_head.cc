#include "aegis/net/http2_head.h"

namespace aegis::net {
namespace {

constexpr std::array<std::string_view, 4> kPseudo = {":method", ":scheme", ":authority", ":path"};
constexpr size_t kFieldOverhead = 32;
constexpr size_t kKeptText = 4 * 1024;
constexpr size_t kKeptEntries = 64;

}  // namespace

std::string_view Http2Head::Find(std::string_view name) const {
  for (const Entry& entry : entries_) {
    if (NameOf(entry) == name) return ValueOf(entry);
  }
  return {};
}

void Http2Head::Add(std::string_view name, std::string_view value) {
  counted_bytes_ += name.size() + value.size() + kFieldOverhead;
  const Entry entry{static_cast<uint32_t>(text_.size()), static_cast<uint32_t>(name.size()),
                    static_cast<uint32_t>(value.size())};
  text_.append(name).append(value);
  if (name.starts_with(':')) {
    for (size_t i = 0; i < kPseudo.size(); ++i) {
      if (name == kPseudo[i]) pseudo_[i] = entry;
    }
    return;
  }
  entries_.push_back(entry);
}

void Http2Head::Clear() {
  // Few heads are large; one that was must not cost its memory for good.
  if (text_.capacity() > kKeptText) std::string().swap(text_);
  if (entries_.capacity() > kKeptEntries) std::vector<Entry>().swap(entries_);
  text_.clear();
  entries_.clear();
  pseudo_ = {};
  counted_bytes_ = 0;
}

}  // namespace aegis::net
