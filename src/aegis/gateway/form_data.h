// Bodies of multipart/form-data (RFC 7578) in the one shape that every reader takes apart alike:
// what browsers and HTTP clients send. All else is refused, since readers differ in what they make
// of it: a preamble, text behind the end, lines that do not end in CRLF, the delimiter anywhere but
// at the start of a line of its own, folded or unknown fields of a part, names that are escaped,
// encoded (RFC 2231, RFC 5987) or given twice, parts in another encoding than their own bytes.
//
// Threading: values. Lifetime: views into the body.
#pragma once

#include <cstdint>
#include <string_view>

namespace aegis::gateway {

// The boundary that a Content-Type of multipart/form-data gives; empty: it gives none, or readers
// may differ in which it is.
std::string_view FindFormBoundary(std::string_view content_type);

class FormDataReader {
 public:
  struct Part {
    std::string_view name;
    bool is_file = false;
    std::string_view filename;      // of a file; may be empty, then so is the content
    std::string_view content_type;  // as written; empty: none
    std::string_view content;
  };
  enum class Step : uint8_t { kPart, kEnd, kMalformed };

  // `boundary`: as FindFormBoundary gives it, not empty.
  FormDataReader(std::string_view body, std::string_view boundary)
      : left_(body), boundary_(boundary) {}
  // The next part. After kEnd and kMalformed the reader is of no more use.
  Step Next(Part* out);

 private:
  struct Fields;
  // Takes "--boundary" off the front.
  bool TakeDelimiter();
  bool ReadFields(Part* out, Fields* fields);
  bool ReadField(std::string_view line, Part* out, Fields* fields);

  std::string_view left_;
  std::string_view boundary_;
  bool started_ = false;
};

}  // namespace aegis::gateway
