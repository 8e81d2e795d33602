// Counts what a thread takes from operator new, for tests that want none taken. A program that has
// allocation_testing.cc among its sources has its operator new replaced.
#pragma once

#include <cstddef>

namespace aegis {

// Of this thread, since it began.
size_t CountedAllocations();

}  // namespace aegis
