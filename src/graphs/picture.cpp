#include "graphs/picture.h"

#include <fmt/core.h>
#include <jpeglib.h>
#include <png.h>

#include <algorithm>
#include <cmath>
#include <csetjmp>
#include <cstring>

#include "base/bytes.h"

namespace hearth::graphs {
namespace {

constexpr std::int64_t most_points = std::int64_t{1} << 28;

Error corrupt(const char* what) { return Error(ErrorKind::corrupt, what); }

Result<Picture> sized(std::int64_t width, std::int64_t height) {
  if (width < 1 || height < 1 || width > most_points || height > most_points / width)
    return Error(ErrorKind::exhausted, fmt::format("a picture of {} by {}", width, height));
  Picture picture{width, height, {}};
  picture.rgb.resize(static_cast<std::size_t>(width * height * 3));
  return picture;
}

Result<Picture> read_png(std::span<const std::byte> bytes) {
  png_image image{};
  image.version = PNG_IMAGE_VERSION;
  if (png_image_begin_read_from_memory(&image, bytes.data(), bytes.size()) == 0)
    return corrupt(image.message);
  image.format = PNG_FORMAT_RGB;
  auto picture = sized(image.width, image.height);
  if (picture && png_image_finish_read(&image, nullptr, picture->rgb.data(), 0, nullptr) == 0) {
    const Error error = corrupt(image.message);
    png_image_free(&image);
    return error;
  }
  png_image_free(&image);
  return picture;
}

struct JpegErrors {
  jpeg_error_mgr base;
  std::jmp_buf back;
};

// libjpeg reports errors by a jump: between setjmp and here nothing may need a destructor.
bool decode_jpeg(std::span<const std::byte> bytes, jpeg_decompress_struct& jpeg, JpegErrors& errors,
                 std::vector<std::uint8_t>& rgb) {
  jpeg.err = jpeg_std_error(&errors.base);
  errors.base.error_exit = [](j_common_ptr info) {
    std::longjmp(reinterpret_cast<JpegErrors*>(info->err)->back, 1);
  };
  errors.base.emit_message = [](j_common_ptr, int) {};
  if (setjmp(errors.back) != 0) return false;
  jpeg_create_decompress(&jpeg);
  jpeg_mem_src(&jpeg, reinterpret_cast<const unsigned char*>(bytes.data()), bytes.size());
  jpeg_read_header(&jpeg, TRUE);
  jpeg.out_color_space = JCS_RGB;
  if (static_cast<std::int64_t>(jpeg.image_width) * jpeg.image_height > most_points) return false;
  jpeg_start_decompress(&jpeg);
  rgb.resize(std::size_t{jpeg.output_width} * jpeg.output_height * 3);
  while (jpeg.output_scanline < jpeg.output_height) {
    JSAMPROW row = rgb.data() + std::size_t{jpeg.output_scanline} * jpeg.output_width * 3;
    jpeg_read_scanlines(&jpeg, &row, 1);
  }
  jpeg_finish_decompress(&jpeg);
  return true;
}

Result<Picture> read_jpeg(std::span<const std::byte> bytes) {
  jpeg_decompress_struct jpeg{};
  JpegErrors errors{};
  Picture picture;
  const bool done = decode_jpeg(bytes, jpeg, errors, picture.rgb);
  picture.width = jpeg.output_width;
  picture.height = jpeg.output_height;
  jpeg_destroy_decompress(&jpeg);
  if (!done) return corrupt("a JPEG file that cannot be decoded");
  return picture;
}

// Uncompressed, of 8 (with a palette), 24 or 32 bits.  Source: BITMAPINFOHEADER.
Result<Picture> read_bmp(std::span<const std::byte> bytes) {
  ByteReader in(bytes);
  TRY(in.skip(10));
  const auto pixels_at = TRY(in.value<std::uint32_t>());
  const auto header = TRY(in.value<std::uint32_t>());
  const std::int64_t width = TRY(in.value<std::int32_t>()), height = TRY(in.value<std::int32_t>());
  TRY(in.skip(2));
  const auto bits = TRY(in.value<std::uint16_t>());
  const auto compression = TRY(in.value<std::uint32_t>());
  if (header < 40 || (bits != 8 && bits != 24 && bits != 32) ||
      (compression != 0 && compression != 3))
    return Error(ErrorKind::unsupported,
                 fmt::format("a BMP file of {} bits, compression {}", bits, compression));
  const std::int64_t rows = std::abs(height), stride = (width * bits + 31) / 32 * 4;
  Picture picture = TRY(sized(width, rows));
  if (pixels_at > bytes.size() ||
      stride * rows > static_cast<std::int64_t>(bytes.size() - pixels_at))
    return corrupt("a BMP file cut short");
  const auto* data = reinterpret_cast<const std::uint8_t*>(bytes.data());
  const std::size_t palette = 14 + std::size_t{header};
  for (std::int64_t y = 0; y < rows; ++y)
    for (std::int64_t x = 0; x < width; ++x) {
      const std::uint8_t* at =
          data + pixels_at + (height < 0 ? y : rows - 1 - y) * stride + x * bits / 8;
      if (bits == 8) {
        if (palette + std::size_t{*at} * 4 + 4 > bytes.size())
          return corrupt("a BMP file's palette");
        at = data + palette + std::size_t{*at} * 4;
      }
      for (int c = 0; c < 3; ++c)
        picture.rgb[static_cast<std::size_t>((y * width + x) * 3 + c)] = at[2 - c];
    }
  return picture;
}

// P5 and P6 of 8 bits.  Source: Netpbm, pgm and ppm formats.
Result<Picture> read_pnm(std::span<const std::byte> bytes) {
  const auto text = text_of(bytes);
  std::size_t at = 2;
  std::int64_t numbers[3];
  for (std::int64_t& number : numbers) {
    for (;; ++at) {
      if (at >= text.size()) return corrupt("a PNM file cut short");
      if (text[at] == '#')
        at = std::min(text.find('\n', at), text.size() - 1);
      else if (text[at] >= '0' && text[at] <= '9')
        break;
    }
    number = 0;
    for (; at < text.size() && text[at] >= '0' && text[at] <= '9' && number < most_points; ++at)
      number = number * 10 + (text[at] - '0');
  }
  ++at;
  const int channels = text[1] == '6' ? 3 : 1;
  if (numbers[2] < 1 || numbers[2] > 255)
    return Error(ErrorKind::unsupported, "a PNM file of over 8 bits");
  Picture picture = TRY(sized(numbers[0], numbers[1]));
  const std::int64_t points = numbers[0] * numbers[1];
  if (at > text.size() || static_cast<std::int64_t>(text.size() - at) < points * channels)
    return corrupt("a PNM file cut short");
  for (std::int64_t i = 0; i < points * 3; ++i)
    picture.rgb[static_cast<std::size_t>(i)] =
        static_cast<std::uint8_t>(text[at + static_cast<std::size_t>(channels == 3 ? i : i / 3)]);
  return picture;
}

}  // namespace

Result<Picture> read_picture(std::span<const std::byte> bytes) {
  const std::string_view text = text_of(bytes);
  if (text.starts_with("\x89PNG")) return read_png(bytes);
  if (text.starts_with("\xFF\xD8")) return read_jpeg(bytes);
  if (text.starts_with("BM")) return read_bmp(bytes);
  if (text.starts_with("P5") || text.starts_with("P6")) return read_pnm(bytes);
  return Error(ErrorKind::unsupported, "not a PNG, JPEG, BMP or PNM picture");
}

namespace {

struct Span1 {
  std::int64_t first;
  std::vector<float> weights;
};

// Triangles around each centre, as wide as the reduction.
std::vector<Span1> spans(std::int64_t in, std::int64_t out) {
  const double scale = static_cast<double>(in) / static_cast<double>(out),
               reach = std::max(scale, 1.0);
  std::vector<Span1> result;
  for (std::int64_t i = 0; i < out; ++i) {
    const double centre = (static_cast<double>(i) + 0.5) * scale;
    const auto first = std::max<std::int64_t>(0, static_cast<std::int64_t>(centre - reach + 0.5));
    const auto last = std::min(in, static_cast<std::int64_t>(centre + reach + 0.5));
    Span1 span{first, {}};
    float sum = 0;
    for (std::int64_t k = first; k < last; ++k) {
      const auto weight = static_cast<float>(
          std::max(0.0, 1 - std::fabs(static_cast<double>(k) + 0.5 - centre) / reach));
      span.weights.push_back(weight);
      sum += weight;
    }
    for (float& weight : span.weights) weight /= sum;
    result.push_back(std::move(span));
  }
  return result;
}

}  // namespace

Result<Picture> resized(const Picture& picture, std::int64_t width, std::int64_t height) {
  if (width == picture.width && height == picture.height) return picture;
  Picture result = TRY(sized(width, height));
  const auto across = spans(picture.width, width), down = spans(picture.height, height);
  std::vector<float> lines(static_cast<std::size_t>(picture.height * width * 3));
  for (std::int64_t y = 0; y < picture.height; ++y)
    for (std::int64_t x = 0; x < width; ++x)
      for (int c = 0; c < 3; ++c) {
        const Span1& span = across[static_cast<std::size_t>(x)];
        float sum = 0;
        for (std::size_t k = 0; k < span.weights.size(); ++k)
          sum +=
              span.weights[k] *
              picture
                  .rgb[static_cast<std::size_t>((y * picture.width + span.first) * 3 + c) + k * 3];
        lines[static_cast<std::size_t>((y * width + x) * 3 + c)] = sum;
      }
  for (std::int64_t y = 0; y < height; ++y)
    for (std::int64_t i = 0; i < width * 3; ++i) {
      const Span1& span = down[static_cast<std::size_t>(y)];
      float sum = 0;
      for (std::size_t k = 0; k < span.weights.size(); ++k)
        sum +=
            span.weights[k] *
            lines[(static_cast<std::size_t>(span.first) + k) * static_cast<std::size_t>(width * 3) +
                  static_cast<std::size_t>(i)];
      result.rgb[static_cast<std::size_t>(y * width * 3 + i)] =
          static_cast<std::uint8_t>(std::clamp(sum + 0.5f, 0.0f, 255.0f));
    }
  return result;
}

}  // namespace hearth::graphs
