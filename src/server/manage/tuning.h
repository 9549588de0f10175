// From settings to what the library is told.
#pragma once

#include "config/config.h"
#include "hardware/governor.h"
#include "library/library.h"

namespace hearth::server {

LibraryTuning tuning_of(const Config& config);
hardware::GovernorSettings governor_settings(const Config& config);
// What of `wanted` the governor leaves; at least one thread, and batches of some use.  `cores`:
// threads where wanted.threads is 0.
LibraryTuning limited(const LibraryTuning& wanted, const hardware::GovernorLimits& limits,
                      int cores);

}  // namespace hearth::server
