// WebP pictures, through libwebp.
#include <webp/decode.h>
#include <webp/demux.h>

#include <memory>

#include "formats/picture_parts.h"

namespace hearth {

Result<Picture> read_webp(std::span<const std::byte> bytes) {
  const auto* data = reinterpret_cast<const std::uint8_t*>(bytes.data());
  const Error broken(ErrorKind::corrupt, "a WebP picture: it is cut short or damaged");
  WebPBitstreamFeatures features;
  if (WebPGetFeatures(data, bytes.size(), &features) != VP8_STATUS_OK) return broken;
  Picture picture = TRY(sized_picture(features.width, features.height));
  if (!features.has_animation) {
    if (features.has_alpha) {
      std::vector<std::uint8_t> rgba(picture.rgb.size() / 3 * 4);
      if (WebPDecodeRGBAInto(data, bytes.size(), rgba.data(), rgba.size(), features.width * 4) ==
          nullptr)
        return broken;
      put_on_white(rgba, picture.rgb);
    } else if (WebPDecodeRGBInto(data, bytes.size(), picture.rgb.data(), picture.rgb.size(),
                                 features.width * 3) == nullptr) {
      return broken;
    }
    return picture;
  }

  const WebPData whole{data, bytes.size()};
  const std::unique_ptr<WebPAnimDecoder, decltype(&WebPAnimDecoderDelete)> frames(
      WebPAnimDecoderNew(&whole, nullptr), WebPAnimDecoderDelete);
  std::uint8_t* rgba = nullptr;  // of the decoder
  int time_ms = 0;
  if (frames == nullptr || !WebPAnimDecoderGetNext(frames.get(), &rgba, &time_ms)) return broken;
  put_on_white({rgba, picture.rgb.size() / 3 * 4}, picture.rgb);
  return picture;
}

}  // namespace hearth
