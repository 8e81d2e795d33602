// Words to the service manager that started this process (sd_notify(3), the protocol of
// $NOTIFY_SOCKET: a datagram of lines NAME=VALUE). Without one, nothing is done.
#pragma once

#include <string_view>

namespace aegis::app {

// `state`: e.g. "READY=1\nSTATUS=…" or "STOPPING=1". A service manager that does not listen is no
// reason to stop: errors are not told.
void NotifyServiceManager(std::string_view state);

}  // namespace aegis::app
