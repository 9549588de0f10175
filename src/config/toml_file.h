// The settings file.  Source: TOML v1.0.0.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "base/json.h"
#include "base/result.h"

namespace hearth {

struct FileValue {
  std::string key;  // "server.port"
  Json value;       // null: of a kind that no setting has (a date)
  unsigned line = 0;
};

// Every value of the text, tables flattened, in order of line.  Errors: invalid, with the line.
Result<std::vector<FileValue>> parse_toml(std::string_view text);

}  // namespace hearth
