// The head of an HTTP/2 request (RFC 9113 section 8.3): pseudo-header fields and fields, kept in
// one block of text that is used again for the next request.
//
// Threading: belongs to one thread.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace aegis::net {

struct Http2Field {
  std::string_view name;  // lower case
  std::string_view value;
};

class Http2Head {
 public:
  // Empty where the request has none. Views stay valid until the next Add or Clear.
  std::string_view method() const { return ValueOf(pseudo_[0]); }
  std::string_view scheme() const { return ValueOf(pseudo_[1]); }
  std::string_view authority() const { return ValueOf(pseudo_[2]); }
  std::string_view path() const { return ValueOf(pseudo_[3]); }

  // Fields in the order received, without the pseudo-header fields.
  size_t size() const { return entries_.size(); }
  Http2Field operator[](size_t i) const { return {NameOf(entries_[i]), ValueOf(entries_[i])}; }
  // The first field of this name; nullptr data: none.
  std::string_view Find(std::string_view name) const;
  // As RFC 9113 section 6.5.2 counts: names and values and 32 bytes each.
  size_t counted_bytes() const { return counted_bytes_; }

  void Add(std::string_view name, std::string_view value);
  // Keeps memory for a head of usual size.
  void Clear();
  // Bytes of memory that are held, of text.
  size_t capacity() const { return text_.capacity(); }

 private:
  struct Entry {
    uint32_t name_at = 0;
    uint32_t name_size = 0;
    uint32_t value_size = 0;  // the value stands behind the name
  };
  std::string_view NameOf(const Entry& entry) const {
    return {text_.data() + entry.name_at, entry.name_size};
  }
  std::string_view ValueOf(const Entry& entry) const {
    return {text_.data() + entry.name_at + entry.name_size, entry.value_size};
  }

  std::string text_;
  std::vector<Entry> entries_;
  std::array<Entry, 4> pseudo_{};
  size_t counted_bytes_ = 0;
};

}  // namespace aegis::net
