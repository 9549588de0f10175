#include <sys/resource.h>

#include "base/displaced.h"

namespace hearth {

// Source: getrusage(2), ru_nivcsw.
std::uint64_t times_displaced() {
  rusage usage{};
  if (::getrusage(RUSAGE_SELF, &usage) != 0) return 0;
  return static_cast<std::uint64_t>(usage.ru_nivcsw);
}

}  // namespace hearth
