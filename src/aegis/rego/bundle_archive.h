// The container of a bundle: tar (POSIX.1-1988 ustar, with pax `path` and GNU long names when
// reading) inside gzip (RFC 1952). Strict, since it is read before any signature can be checked.
//
// Threading: free functions on values.
#pragma once

#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "aegis/base/result.h"
#include "aegis/rego/bundle.h"

namespace aegis::rego {

// Regular files in the order of the archive, names made relative. Errors: bundle_malformed,
// bundle_too_large, bundle_name, bundle_entry_type.
Result<std::vector<BundleFile>> ReadArchive(std::string_view bytes, const BundleLimits& limits);

// Files in the order given, mode 0644, owner and time zero: equal input, equal bytes. Names must
// have passed CheckBundleName. Errors: bundle_too_large (a file of 8 GiB or more),
// bundle_malformed.
Result<std::string> WriteArchive(std::span<const BundleFile> files);

// Relative, UTF-8, '/' between components, none of them empty, "." or "..", no backslash and no
// control character. Errors: bundle_name.
Status CheckBundleName(std::string_view name, size_t max_bytes);

}  // namespace aegis::rego
