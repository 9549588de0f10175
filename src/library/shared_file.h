// A small JSON file that several processes keep together.
#pragma once

#include <cstdint>
#include <functional>
#include <string>

#include "base/json.h"
#include "base/result.h"

namespace hearth {

// Reads the file, has it changed and writes it while no other process does; whenever the process is
// killed, the file holds what it held before or afterwards.  `change` is given null where there is
// no file, or none that can be read.  Errors: io, unavailable (others never let go).
Status update_json_file(const std::string& path, std::uint64_t max_bytes,
                        const std::function<Json(Json before)>& change);

}  // namespace hearth
