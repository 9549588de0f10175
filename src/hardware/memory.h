// Memory: how much there is, and how much is free for us.
#pragma once

#include <cstdint>
#include <string>

namespace hearth::hardware {

struct Memory {
  std::uint64_t total_bytes = 0;          // of the machine
  std::uint64_t available_bytes = 0;      // without swapping, by the kernel's estimate
  std::uint64_t limit_bytes = 0;          // of our control group; 0: none
  std::uint64_t used_in_limit_bytes = 0;  // without cached files that may go

  // What a new allocation may count on: available, within the limit.
  std::uint64_t free_bytes() const;
};

// `root`: as in cpu.h.  Control groups of version 1 and 2.
Memory read_memory(const std::string& root = "/");

}  // namespace hearth::hardware
