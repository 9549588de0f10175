// Any bytes as a bundle for LiteRT: what lies in it, and what it says of its model.
#include <cstdint>
#include <span>

#include "base/check.h"
#include "formats/litert.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace hearth;
  const auto bytes = std::as_bytes(std::span(data, size));
  const auto within = [&](std::span<const std::byte> part) {
    return part.empty() || (part.data() >= bytes.data() &&
                            part.data() + part.size() <= bytes.data() + bytes.size());
  };
  if (const auto bundle = read_litert(bytes)) {
    HEARTH_CHECK(within(bundle->graph));
    HEARTH_CHECK(within(bundle->tokenizer));
    HEARTH_CHECK(within(bundle->metadata));
  }
  (void)open_package("fuzz.task", MappedFile::of_program(bytes)).ok();
  return 0;
}
