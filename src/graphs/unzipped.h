// For tests: files that gzip has made smaller.
#pragma once

#include <zlib.h>

#include <string>

namespace hearth::graphs {

// What the file holds; "" where it cannot be read.
inline std::string unzipped(const std::string& path) {
  std::string all;
  gzFile file = gzopen(path.c_str(), "rb");
  char piece[65536];
  for (int n; file != nullptr && (n = gzread(file, piece, sizeof piece)) > 0;)
    all.append(piece, static_cast<std::size_t>(n));
  if (file != nullptr) gzclose(file);
  return all;
}

}  // namespace hearth::graphs
