// Format: one row of the list of readers in formats.cpp.
#pragma once

#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/bytes.h"
#include "base/files.h"
#include "formats/package.h"

namespace hearth {

// What the user named: a folder, or a file already mapped.
struct Source {
  std::string path;
  std::shared_ptr<const MappedFile> file;  // null for a folder

  bool is_folder() const { return !file; }
  std::string_view text() const { return file ? text_of(file->bytes()) : std::string_view(); }
};

struct Format {
  std::string_view name;
  bool (*recognises)(const Source&);
  Result<Package> (*read)(const Source&);
};

// In the order they are tried.
std::span<const Format* const> formats();

}  // namespace hearth
