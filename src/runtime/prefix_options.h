// Where keys and values of prompts lie on the disk.
#pragma once

#include <cstdint>
#include <string>

namespace hearth {

struct PrefixStoreOptions {
  std::string folder;           // shared by all models; empty: none
  std::string model;            // what tells this model's pages from all others'
  std::uint64_t max_bytes = 0;  // of the whole folder; the files used longest ago leave first
};

}  // namespace hearth
