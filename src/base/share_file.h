// One more name for the bytes of a file.
#pragma once

#include <string>

#include "base/result.h"

namespace hearth {

// `to` gets the bytes of `from`, without taking room where the file system can share them: as a
// clone, then, if `may_link`, as another name of the same file, and as a copy where neither can be
// had.  What is at `to` goes.  Errors: io, exhausted.
Status share_file(const std::string& from, const std::string& to, bool may_link);

}  // namespace hearth
