// How fast engines were with the models of this machine, as `hearth bench` measured them.
#pragma once

#include <map>
#include <string>

#include "base/result.h"
#include "library/folders.h"

namespace hearth {

using EngineSpeeds = std::map<std::string, double, std::less<>>;  // engine -> tokens per second

// Of the model at that path; empty: nothing was measured, or its file has changed since.
EngineSpeeds load_engine_speeds(const LibraryFolders& folders, const std::string& path);
Status save_engine_speed(const LibraryFolders& folders, const std::string& path,
                         const std::string& engine, double tokens_per_second);

}  // namespace hearth
