// Checksums of files as they come in.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <string>

#include "base/result.h"

namespace hearth {

// SHA-256 of the bytes, and the id that Git gives a file of `git_bytes` bytes.
class Checksum {
 public:
  explicit Checksum(std::uint64_t git_bytes);
  ~Checksum();
  Checksum(const Checksum&) = delete;
  Checksum& operator=(const Checksum&) = delete;

  void restart();
  void add(std::span<const std::byte> bytes);
  std::string sha256();    // lower-case hex; ends it
  std::string git_blob();  // Source: Git, "Git Objects"

 private:
  struct State;
  std::unique_ptr<State> state_;
};

// Adds a whole file.  `read`, where there is one, is told of every piece and may say stop (false).
Status add_file(Checksum& checksum, const std::string& path,
                const std::function<bool(std::uint64_t bytes)>& read = {});

}  // namespace hearth
