// Media types and multipart bodies (RFC 2045 §5.1, RFC 2046 §5.1, RFC 7578) as Go's mime and
// mime/multipart read them (Go 1.26), since policies written for OPA rely on what those make of a
// form. Stricter in what no browser sends: a name or boundary that is continued or encoded (RFC
// 2231), header names that are no tokens, and quoted-printable parts are malformed here. Other
// parameters of that form are left out.
//
// Threading: one thread at a time. Lifetime: a part's texts are views into the body, or belong to
// the part.
#pragma once

#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace aegis::gateway {

struct MediaType {
  std::string type;                                             // lower case
  std::vector<std::pair<std::string, std::string>> parameters;  // names in lower case
  const std::string* Find(std::string_view name) const;         // nullptr: there is none
};

// `form-data; name="x"` and `multipart/form-data; boundary=b`. False: malformed.
bool ReadMediaType(std::string_view text, MediaType* out);

class MultipartReader {
 public:
  struct Part {
    std::string form_name;     // of a Content-Disposition: form-data; empty: there is none
    std::string content_type;  // as written
    std::string_view content;
  };
  enum class Step { kPart, kEnd, kMalformed };

  MultipartReader(std::string_view body, std::string_view boundary);
  // The next part. After kEnd and kMalformed the reader is of no more use.
  Step Next(Part* out);

 private:
  bool ReadHeaders(Part* out);
  bool ReadContent(Part* out);
  bool IsDelimiter(std::string_view line);
  bool IsFinal(std::string_view line) const;

  std::string_view left_;
  std::string line_end_ = "\r\n";  // "\n" when the first delimiter ends so
  std::string delimiter_;          // "--" and the boundary
  size_t parts_ = 0;
};

}  // namespace aegis::gateway
