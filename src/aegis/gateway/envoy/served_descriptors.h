// The descriptors of the gRPC services that the Envoy door serves, and of all that they import, for
// server reflection.
#pragma once

#include "aegis/grpc/descriptor_pool.h"

namespace aegis::gateway {

// Read when first asked for; any thread may ask.
const grpc::DescriptorPool& ServedDescriptors();

}  // namespace aegis::gateway
