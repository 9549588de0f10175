// A tensor as a view of a storage with strides.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "formats/package.h"

namespace hearth {

// In elements, outermost first.
struct Strides {
  Dtype dtype;
  std::uint64_t offset = 0;
  std::vector<std::uint64_t> shape, strides;
};

// In place where the elements lie one after the other, otherwise made on demand.  `storage` must
// outlive it.  Errors: corrupt (elements outside the storage, or more of them than it holds).
Result<TensorEntry> strided_tensor(std::string name, std::span<const std::byte> storage,
                                   Strides view);

}  // namespace hearth
