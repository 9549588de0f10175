// Any bytes as a WAV file: refused, or as many finite samples as the file can hold.
#include <cmath>
#include <cstdint>
#include <span>

#include "base/check.h"
#include "formats/sound/sink.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace hearth;
  constexpr std::uint32_t rate = 16000;
  const auto bytes = std::as_bytes(std::span(data, size));
  if (!is_wav(bytes)) return 0;
  const auto samples = read_wav(bytes, {.rate = rate, .seconds = 60});
  if (!samples) {
    HEARTH_CHECK(!samples.error().message().empty());
    return 0;
  }
  HEARTH_CHECK(samples->size() <= 60 * rate + 1);
  for (const float value : *samples) HEARTH_CHECK(std::isfinite(value));
  return 0;
}
