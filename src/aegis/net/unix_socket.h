// Unix-domain sockets that are listened on.
//
// Threading: pure functions.
#pragma once

#include <string>

#include "aegis/base/file.h"
#include "aegis/base/result.h"

namespace aegis::net {

// A listening socket that does not block, at `path`, with these permission bits. A socket that a
// process left behind is replaced; one that somebody listens on, or a file of another kind, is not.
// Errors: bad_address (too long a path), address_in_use, io_error and the like.
Result<FileDescriptor> ListenUnix(const std::string& path, unsigned mode = 0660);

// Another descriptor of the same socket, for another loop. Errors: io_error.
Result<FileDescriptor> Duplicate(const FileDescriptor& fd);

}  // namespace aegis::net
