// What a settings file holds, whichever of its three forms it has.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/json.h"
#include "base/result.h"

namespace hearth {

constexpr std::uint64_t max_settings_bytes = 1 << 20;  // far above any real settings file

struct FileValue {
  std::string key;  // "server.port"
  Json value;       // null: of a kind that no setting has (a date)
  unsigned line = 0, last_line = 0;
};

// Every value of the text, tables flattened, in order of line.  Errors: invalid, with the line.
// Source: TOML v1.0.0.
Result<std::vector<FileValue>> parse_toml(std::string_view text);
// JSON too, which YAML contains.  Source: YAML 1.2, its core schema for plain words.  No anchors.
Result<std::vector<FileValue>> parse_yaml(std::string_view text);

// By the ending of the file's name: .json, .yaml, .yml; any other is TOML.  Errors: invalid, with
// the path and line.
Result<std::vector<FileValue>> parse_settings(const std::string& path, std::string_view text);
// Errors: those of reading too.
Result<std::vector<FileValue>> read_settings_file(const std::string& path);

}  // namespace hearth
