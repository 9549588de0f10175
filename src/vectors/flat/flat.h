// Exact search: every row is compared.  The oracle of all other indexes.
#pragma once

#include <memory>
#include <string>

#include "kernels/search.h"
#include "vectors/index.h"

namespace hearth::vectors {

// How a number of a vector is kept.  int8: eight bits and a scale for each row; binary: one bit,
// the sign, and the distance is the number of bits that differ, whatever the metric.
enum class Storage : std::uint8_t { f32, f16, bf16, int8, binary };

struct FlatSpec {
  std::size_t dim = 0;
  Metric metric = Metric::l2;
  Storage storage = Storage::f32;
  int threads = 1;                      // for batches, and queries that are alone
  std::size_t share_bytes = 16u << 20;  // of rows from which threads share a query that is alone
  const kernels::SearchKernels* kernels = nullptr;  // null: the best of this machine
};
constexpr std::size_t most_flat_dim = 65536;

// Error invalid: a dimension of zero or beyond most_flat_dim.
Result<std::unique_ptr<Index>> make_flat(const FlatSpec& spec);
// f32.  dim: 1 to most_flat_dim.
std::unique_ptr<Index> make_flat(std::size_t dim, Metric metric);

// What Index::save wrote.
Result<std::unique_ptr<Index>> open_flat(const std::string& path, int threads = 1,
                                         const kernels::SearchKernels* kernels = nullptr);

}  // namespace hearth::vectors
