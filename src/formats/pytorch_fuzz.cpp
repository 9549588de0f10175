// Any bytes as a PyTorch file.
#include <cstdint>
#include <span>

#include "base/bytes.h"
#include "base/check.h"
#include "formats/torch_file.h"

using namespace hearth;

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const auto bytes = std::as_bytes(std::span(data, size));
  const auto file = read_torch(bytes);
  if (!file) {
    for (const char c : file.error().message()) HEARTH_CHECK(static_cast<unsigned char>(c) >= 0x20);
    return 0;
  }
  unsigned sum = 0;  // so that every byte is touched
  for (const TensorEntry& tensor : file->tensors) {
    if (tensor.make) {
      const auto made = tensor.make();
      HEARTH_CHECK(made.ok());
      HEARTH_CHECK(made->size() == tensor.bytes());
      HEARTH_CHECK(made->size() <= size);
    } else {
      HEARTH_CHECK(tensor.data.size() == tensor.bytes());
      for (const std::byte byte : tensor.data) sum += std::to_integer<unsigned>(byte);
    }
  }
  HEARTH_CHECK(sum != ~0u);
  return 0;
}
