// Pictures from their files.
// Source: ONNX operator specification, ImageDecoder.
#include "graphs/operators/families.h"
#include "graphs/operators/move.h"
#include "graphs/picture.h"

namespace hearth::graphs {
namespace {

Status image_decoder(Call& call) {
  const Tensor* x = TRY(call.typed(0, Element::u8));
  const Picture picture = TRY(read_picture(x->span()));
  const std::string_view format = call.text("pixel_format", "RGB");
  const bool grey = format == "Grayscale", swapped = format == "BGR";
  if (!grey && !swapped && format != "RGB")
    return unsupported(fmt::format("pixel_format '{}'", format));
  Tensor* y = TRY(call.make(0, Element::u8, {picture.height, picture.width, grey ? 1 : 3}));
  for (std::int64_t i = 0; i < picture.height * picture.width; ++i) {
    const std::uint8_t* rgb = picture.rgb.data() + i * 3;
    std::uint8_t* to = y->data<std::uint8_t>() + i * (grey ? 1 : 3);
    if (grey) {  // Source: ITU-R BT.601, luma
      *to = static_cast<std::uint8_t>((19595 * rgb[0] + 38470 * rgb[1] + 7471 * rgb[2] + 0x8000) >>
                                      16);
      continue;
    }
    for (int c = 0; c < 3; ++c) to[c] = rgb[swapped ? 2 - c : c];
  }
  return Done{};
}

constexpr Operator rows[] = {
    {"ImageDecoder", image_decoder, nullptr, 1, 1},
};

}  // namespace

std::span<const Operator> image_operators() { return rows; }

}  // namespace hearth::graphs
