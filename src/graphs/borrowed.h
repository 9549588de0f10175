// A tensor over bytes that somebody else keeps.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <utility>

#include "graphs/tensor.h"

namespace hearth::graphs {

// True: they lie where numbers of so many bytes may.
inline bool is_aligned(std::span<const std::byte> bytes, std::size_t alignment) {
  return reinterpret_cast<std::uintptr_t>(bytes.data()) % alignment == 0;
}

// `owner` keeps the bytes, which are aligned and are never written to.
inline Tensor borrowed(Element type, Dims dims, std::int64_t count,
                       std::span<const std::byte> bytes, std::shared_ptr<const void> owner) {
  Tensor tensor;
  tensor.type = type;
  tensor.dims = std::move(dims);
  tensor.count = count;
  tensor.bytes = const_cast<std::byte*>(bytes.data());
  tensor.owner = std::move(owner);
  return tensor;
}

}  // namespace hearth::graphs
