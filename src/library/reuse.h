// Files that are to be fetched and lie on this machine already, under whatever name.
#pragma once

#include <string>

#include "library/hub.h"
#include "library/pull.h"

namespace hearth {

// Puts files of the plan into `partial`, as if they had been downloaded, where another program's
// shelf, or our own store, has the same bytes: no further room is taken where the file system can
// share them.  Only what has a SHA-256 in the plan, and only after that of the file was found to be
// the same.  Errors: cancelled; whatever else fails leaves the file to be fetched.
Status reuse_files(const DownloadPlan& plan, const std::string& partial,
                   const LibraryFolders& folders, const PullHooks& hooks);

}  // namespace hearth
