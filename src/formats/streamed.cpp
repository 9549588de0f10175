#include "formats/streamed.h"

#include <fmt/core.h>

#include "base/bytes.h"
#include "base/utf8.h"

namespace hearth {

Result<std::uint64_t> bytes_of_streamed(const StreamedTensor& tensor) {
  std::uint64_t elements = 1;
  for (const std::uint64_t extent : tensor.shape) elements = TRY(checked_mul(elements, extent));
  const auto bytes = byte_size(tensor.dtype, elements);
  if (!bytes)
    return Error(ErrorKind::invalid,
                 fmt::format("tensor '{}': {}", printable(tensor.name), bytes.error().message()));
  return *bytes;
}

Result<std::span<const std::byte>> take_streamed(const StreamedTensor& tensor) {
  const std::uint64_t wanted = TRY(bytes_of_streamed(tensor));
  const auto data = TRY(tensor.data());
  if (data.size() != wanted)
    return Error(ErrorKind::invalid,
                 fmt::format("tensor '{}': {} bytes of data, data of the wrong size: needs {}",
                             printable(tensor.name), data.size(), wanted));
  return data;
}

}  // namespace hearth
