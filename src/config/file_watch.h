// Waiting for files to change.
#pragma once

#include <functional>
#include <stop_token>
#include <string>
#include <vector>

#include "base/duration.h"

namespace hearth {

// Until `leaving`: calls `changed` at the beginning and whenever one of the files, as `paths` names
// them at that moment, came, went or was written, and then nothing happened to any of them for
// `settle`.  A file that
// another one is renamed over is noticed, and so is what a link points to.  File systems that tell
// nothing are looked at every few seconds.
void watch_files(const std::function<std::vector<std::string>()>& paths, Milliseconds settle,
                 const std::stop_token& leaving, const std::function<void()>& changed);

}  // namespace hearth
