// Every kind of index by name.
#pragma once

#include <memory>
#include <span>
#include <string>
#include <string_view>

#include "vectors/index.h"

namespace hearth::vectors {

// What an index is made from.  Fields that a kind does not name are not looked at.
struct IndexSpec {
  std::string kind = "auto";  // one of index_kinds()
  std::size_t dim = 0;
  Metric metric = Metric::l2;
  int threads = 0;  // that build together; 0: one for each processor

  std::string storage = "f32";        // flat: f32, f16, bf16, int8, binary
  std::size_t m = 16;                 // hnsw: links on upper levels; twice as many on level 0
  std::size_t ef_construction = 128;  // hnsw: breadth of the search for links
};

std::span<const std::string_view> index_kinds();

// Errors: invalid (no such kind, a number outside of its limits).
Result<std::unique_ptr<Index>> make_index(const IndexSpec& spec);

// What Index::save wrote, of whatever kind.  Errors: corrupt, io, not_found.
Result<std::unique_ptr<Index>> open_index(const std::string& path, int threads = 0);

}  // namespace hearth::vectors
