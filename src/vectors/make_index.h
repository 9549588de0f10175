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
  std::size_t ef_construction = 160;  // hnsw: breadth of the search for links
  std::size_t lists = 0;              // ivf: 0: by the number of rows
  int code_bits = 1;                  // ivf: of each number in the codes that are scanned
  bool keep_floats = true;            // ivf: rank by whole vectors at the end
  std::size_t pq_segments = 0;        // ivf: product quantisation in place of those codes
  std::size_t pq_bits = 8;
  int radius = 2;          // learned, hybrid: bits of a part of a code that may differ
  std::string model_path;  // learned, hybrid: a trained model to begin with
};

std::span<const std::string_view> index_kinds();

// Errors: invalid (no such kind, a number outside of its limits).
Result<std::unique_ptr<Index>> make_index(const IndexSpec& spec);

// What Index::save wrote, of whatever kind.  Errors: corrupt, io, not_found.
Result<std::unique_ptr<Index>> open_index(const std::string& path, int threads = 0);
// The same; where spec is of kind "auto" the index may become another kind as before it was saved.
Result<std::unique_ptr<Index>> open_index(const std::string& path, const IndexSpec& spec);

}  // namespace hearth::vectors
