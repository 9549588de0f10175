// Any bytes as a GGUF file.  What is accepted is looked at from every side.
#include <cstdint>
#include <span>

#include "base/check.h"
#include "formats/gguf.h"
#include "formats/gguf_writer.h"

using namespace hearth;

namespace {

void look_at(const Metadata& metadata) {
  static_cast<void>(metadata.to_json());
  for (const auto& [key, value] : metadata.entries()) {
    HEARTH_CHECK(metadata.find(key) != nullptr);
    static_cast<void>(metadata.unsigned_integer(key).ok());
    static_cast<void>(metadata.integer(key).ok());
    static_cast<void>(metadata.real(key).ok());
    static_cast<void>(metadata.boolean(key).ok());
    static_cast<void>(metadata.string(key).ok());
    static_cast<void>(metadata.unsigned_integers(key).ok());
    static_cast<void>(metadata.integers(key).ok());
    static_cast<void>(metadata.reals(key).ok());
    static_cast<void>(metadata.booleans(key).ok());
    static_cast<void>(metadata.strings(key).ok());
  }
}

GgufContents contents_of(const GgufFile& file) {
  GgufContents contents;
  contents.alignment = file.alignment;
  for (const auto& [key, value] : file.metadata.entries())
    contents.metadata.push_back({key, GgufValue::copy(value)});
  for (const TensorEntry& tensor : file.tensors)
    contents.tensors.push_back({tensor.name, tensor.dtype, tensor.shape, [&tensor] {
                                  return Result<std::span<const std::byte>>(tensor.data);
                                }});
  return contents;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const auto file = read_gguf(std::as_bytes(std::span(data, size)));
  if (!file) {
    for (const char c : file.error().message()) HEARTH_CHECK(static_cast<unsigned char>(c) >= 0x20);
    return 0;
  }
  look_at(file->metadata);
  unsigned sum = 0;
  for (const TensorEntry& tensor : file->tensors)
    for (const std::byte byte : tensor.data) sum += std::to_integer<unsigned>(byte);
  const auto written = gguf_bytes(contents_of(*file));
  HEARTH_CHECK(written.ok());
  const auto again = read_gguf(std::as_bytes(std::span(*written)));
  HEARTH_CHECK(again.ok());
  HEARTH_CHECK(again->tensors.size() == file->tensors.size());
  return sum == 0xFFFFFFFF;  // keeps the sum
}
