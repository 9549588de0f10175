// What the old GGML containers, llama's and whisper.cpp's, say before the bytes of each tensor.
#pragma once

#include <fmt/core.h>

#include <algorithm>
#include <cstdint>

#include "base/bytes.h"
#include "base/utf8.h"
#include "formats/package.h"

namespace hearth {

struct GgmlTensorHead {
  // Name and shape are set; the dtype and the data are the caller's to find.
  TensorEntry entry{.name = {}, .dtype = Dtype::f32, .shape = {}, .data = {}};
  std::uint32_t type = 0;
  std::uint64_t elements = 0;

  Error unsupported() const {
    return Error(ErrorKind::unsupported, fmt::format("tensor '{}': type {} of {} elements",
                                                     printable(entry.name), type, elements));
  }

  // Rows must be whole blocks of the entry's dtype.
  Status check_rows() const {
    if (entry.shape.back() % info(entry.dtype).block_elements == 0) return Done{};
    return Error(ErrorKind::corrupt, fmt::format("tensor '{}': rows of {} are not whole blocks",
                                                 printable(entry.name), entry.shape.back()));
  }
};

// Leaves the reader behind the name.  Errors: corrupt, with the offset.
inline Result<GgmlTensorHead> read_ggml_tensor_head(ByteReader& in, std::uint32_t most_rank) {
  GgmlTensorHead head;
  const auto rank = TRY(in.value<std::uint32_t>()), name_bytes = TRY(in.value<std::uint32_t>());
  head.type = TRY(in.value<std::uint32_t>());
  if (rank == 0 || rank > most_rank || name_bytes == 0 || name_bytes > 255)
    return Error(ErrorKind::corrupt, fmt::format("offset {}: rank {}, a name of {} bytes",
                                                 in.position(), rank, name_bytes));
  head.elements = 1;
  for (std::uint32_t i = 0; i < rank; ++i) {
    head.entry.shape.push_back(TRY(in.value<std::uint32_t>()));
    head.elements = TRY(checked_mul(head.elements, head.entry.shape.back()));
  }
  std::ranges::reverse(head.entry.shape);
  head.entry.name = std::string(text_of(TRY(in.take(name_bytes))));
  return head;
}

}  // namespace hearth
