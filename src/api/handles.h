// The handles of the C API and how its functions fail, shared by its sources.
#pragma once

#include <algorithm>
#include <cstring>
#include <string>

#include "hearth/hearth.h"
#include "library/library.h"

struct hearth_runtime {
  std::unique_ptr<hearth::Library> library;
};
struct hearth_model {
  hearth::Lease lease;
};

namespace hearth {

hearth_status report(hearth_error* error, hearth_status status, const std::string& message);
hearth_status report(hearth_error* error, const Error& cause);

// A caller built against an older header passes a shorter struct; what it lacks keeps its default.
template <typename Options>
Options complete(const Options* given, Options defaults) {
  if (given) std::memcpy(&defaults, given, std::min(given->size, sizeof defaults));
  return defaults;
}

}  // namespace hearth
