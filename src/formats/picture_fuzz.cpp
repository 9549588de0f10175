// Any bytes as a picture: refused with a reason, or as many points as it says.
#include <algorithm>
#include <cstdint>
#include <span>

#include "base/check.h"
#include "formats/picture.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace hearth;
  const auto picture = read_picture(std::as_bytes(std::span(data, size)));
  if (!picture) {
    HEARTH_CHECK(!picture.error().message().empty());
    for (const char c : picture.error().message())
      HEARTH_CHECK(static_cast<unsigned char>(c) >= 0x20);
    return 0;
  }
  HEARTH_CHECK(picture->width > 0 && picture->height > 0);
  HEARTH_CHECK(std::max(picture->width, picture->height) <= max_picture_edge);
  HEARTH_CHECK(picture->rgb.size() == static_cast<std::size_t>(picture->width) *
                                          static_cast<std::size_t>(picture->height) * 3);
  return 0;
}
