#include "formats/picture.h"

#include <fmt/core.h>
#include <jpeglib.h>
#include <png.h>
// libjpeg's numbers of messages; after its own header.
#include <jerror.h>

#include <algorithm>
#include <cmath>
#include <csetjmp>
#include <cstring>

#include "base/bytes.h"
#include "formats/picture_parts.h"

namespace hearth {
namespace {

Error corrupt(const char* what) { return Error(ErrorKind::corrupt, what); }

Status check_size(std::int64_t width, std::int64_t height) {
  if (width < 1 || height < 1)
    return Error(ErrorKind::corrupt, fmt::format("a picture of {} by {}", width, height));
  if (width > max_picture_edge || height > max_picture_edge || height > max_picture_points / width)
    return Error(ErrorKind::exhausted,
                 fmt::format("a picture of {} by {}: at most {} points and {} along an edge are "
                             "read",
                             width, height, max_picture_points, max_picture_edge));
  return Done{};
}

// ---- PNG ----

// What libpng is given and gives back.
struct PngRead {
  std::span<const std::byte> rest;
  const char* message = "";
  char held[96] = {};
  std::uint32_t width = 0, height = 0;
  int passes = 1;
};

void take_bytes(png_structp png, png_bytep out, std::size_t count) {
  auto& read = *static_cast<PngRead*>(png_get_io_ptr(png));
  if (count > read.rest.size()) png_error(png, "it is cut short");
  std::memcpy(out, read.rest.data(), count);
  read.rest = read.rest.subspan(count);
}

[[noreturn]] void leave(png_structp png, png_const_charp message) {
  auto& read = *static_cast<PngRead*>(png_get_error_ptr(png));
  std::strncpy(read.held, message, sizeof read.held - 1);
  read.message = read.held;
  png_longjmp(png, 1);
}

// libpng reports errors by a jump: between setjmp and here nothing may need a destructor.
bool begin_png(png_structp png, png_infop info, PngRead& read) {
  if (setjmp(png_jmpbuf(png)) != 0) return false;
  png_set_user_limits(png, max_picture_edge, max_picture_edge);
  png_set_chunk_cache_max(png, 64);
  png_set_chunk_malloc_max(png, 4u << 20);
  png_set_read_fn(png, &read, take_bytes);
  png_read_info(png, info);
  png_set_expand(png);
  png_set_strip_16(png);
  png_set_gray_to_rgb(png);
  png_set_add_alpha(png, 255, PNG_FILLER_AFTER);
  read.passes = png_set_interlace_handling(png);
  png_read_update_info(png, info);
  read.width = png_get_image_width(png, info);
  read.height = png_get_image_height(png, info);
  return true;
}

bool read_png_rows(png_structp png, std::uint8_t* rgba, const PngRead& read) {
  if (setjmp(png_jmpbuf(png)) != 0) return false;
  for (int pass = 0; pass < read.passes; ++pass)
    for (std::uint32_t y = 0; y < read.height; ++y)
      png_read_row(png, rgba + std::size_t{y} * read.width * 4, nullptr);
  return true;
}

Result<Picture> read_png(std::span<const std::byte> bytes) {
  PngRead read{.rest = bytes};
  png_structp png =
      png_create_read_struct(PNG_LIBPNG_VER_STRING, &read, leave, [](png_structp, auto) {});
  png_infop info = png == nullptr ? nullptr : png_create_info_struct(png);
  struct Ending {
    png_structp* png;
    png_infop* info;
    ~Ending() { png_destroy_read_struct(png, info, nullptr); }
  } const ending{&png, &info};
  if (info == nullptr) return Error(ErrorKind::exhausted, "no memory for a PNG picture");
  const auto broken = [&] {
    return Error(ErrorKind::corrupt, fmt::format("a PNG picture: {}", read.message));
  };
  if (!begin_png(png, info, read)) return broken();
  Picture picture = TRY(sized_picture(read.width, read.height));
  std::vector<std::uint8_t> rgba(picture.rgb.size() / 3 * 4);
  if (!read_png_rows(png, rgba.data(), read)) return broken();
  put_on_white(rgba, picture.rgb);
  return picture;
}

// ---- JPEG ----

struct JpegRead {
  jpeg_error_mgr errors;
  jpeg_progress_mgr progress;
  std::jmp_buf back;
  bool is_cut = false, is_long = false;
};

void look_at_pass(j_common_ptr info) {
  auto& read = *static_cast<JpegRead*>(info->client_data);
  if (reinterpret_cast<j_decompress_ptr>(info)->input_scan_number <= max_picture_passes) return;
  read.is_long = true;
  std::longjmp(read.back, 1);
}

void note_message(j_common_ptr info, int level) {
  if (level < 0 && info->err->msg_code == JWRN_JPEG_EOF)
    static_cast<JpegRead*>(info->client_data)->is_cut = true;
}

// libjpeg reports errors by a jump: between setjmp and here nothing may need a destructor.
bool begin_jpeg(std::span<const std::byte> bytes, jpeg_decompress_struct& jpeg, JpegRead& read) {
  jpeg.err = jpeg_std_error(&read.errors);
  read.errors.error_exit = [](j_common_ptr info) {
    std::longjmp(static_cast<JpegRead*>(info->client_data)->back, 1);
  };
  read.errors.emit_message = note_message;
  jpeg.client_data = &read;
  if (setjmp(read.back) != 0) return false;
  jpeg_create_decompress(&jpeg);
  jpeg.client_data = &read;
  read.progress.progress_monitor = look_at_pass;
  jpeg.progress = &read.progress;
  jpeg_mem_src(&jpeg, reinterpret_cast<const unsigned char*>(bytes.data()), bytes.size());
  jpeg_save_markers(&jpeg, JPEG_APP0 + 1, 0xFFFF);
  jpeg_read_header(&jpeg, TRUE);
  const bool inks = jpeg.jpeg_color_space == JCS_CMYK || jpeg.jpeg_color_space == JCS_YCCK;
  jpeg.out_color_space = inks ? JCS_CMYK : JCS_RGB;
  return true;
}

bool read_jpeg_rows(jpeg_decompress_struct& jpeg, JpegRead& read, std::uint8_t* rows) {
  if (setjmp(read.back) != 0) return false;
  jpeg_start_decompress(&jpeg);
  const std::size_t stride =
      std::size_t{jpeg.output_width} * static_cast<std::size_t>(jpeg.output_components);
  while (jpeg.output_scanline < jpeg.output_height) {
    JSAMPROW row = rows + jpeg.output_scanline * stride;
    jpeg_read_scanlines(&jpeg, &row, 1);
  }
  jpeg_finish_decompress(&jpeg);
  return true;
}

// Inks on white; programs of Adobe store what is left free.
void mix_inks(std::span<const std::uint8_t> cmyk, bool is_inverted, std::span<std::uint8_t> rgb) {
  for (std::size_t i = 0; i < cmyk.size() / 4; ++i) {
    const auto ink = [&](std::size_t c) {
      return static_cast<int>(is_inverted ? 255 - cmyk[4 * i + c] : cmyk[4 * i + c]);
    };
    const int free = 255 - ink(3);
    for (std::size_t c = 0; c < 3; ++c) {
      const int product = ink(c) * free + 128;
      rgb[3 * i + c] =
          static_cast<std::uint8_t>(std::clamp(free - ((product >> 8) + product) / 256, 0, 255));
    }
  }
}

// How the camera was held; 1: upright.  Source: Exif 2.32, tag 0x0112.
int orientation_of(const jpeg_decompress_struct& jpeg) {
  for (const jpeg_marker_struct* marker = jpeg.marker_list; marker != nullptr;
       marker = marker->next) {
    const std::span<const std::uint8_t> data(marker->data, marker->data_length);
    if (marker->marker != JPEG_APP0 + 1 || data.size() < 14 ||
        std::memcmp(data.data(), "Exif\0", 6) != 0)
      continue;
    const auto tiff = data.subspan(6);
    const bool is_little = tiff[0] == 'I';
    const auto number = [&](std::size_t at, std::size_t count) {
      std::uint32_t value = 0;
      for (std::size_t i = 0; i < count; ++i)
        value = value << 8 | tiff[at + (is_little ? count - 1 - i : i)];
      return value;
    };
    const std::size_t folder = number(4, 4);
    if (folder > tiff.size() || tiff.size() - folder < 2) return 1;
    const std::size_t entries = number(folder, 2);
    for (std::size_t e = 0; e < entries && folder + 2 + 12 * (e + 1) <= tiff.size(); ++e) {
      const std::size_t at = folder + 2 + 12 * e;
      if (number(at, 2) != 0x0112) continue;
      const auto value = static_cast<int>(number(at + 8, 2));
      return value >= 1 && value <= 8 ? value : 1;
    }
  }
  return 1;
}

// Turned and mirrored so that what was up is up.
Picture upright(Picture picture, int orientation) {
  if (orientation == 1) return picture;
  const bool is_turned = orientation >= 5;
  const std::int64_t width = is_turned ? picture.height : picture.width;
  const std::int64_t height = is_turned ? picture.width : picture.height;
  Picture out{width, height, std::vector<std::uint8_t>(picture.rgb.size())};
  for (std::int64_t y = 0; y < height; ++y)
    for (std::int64_t x = 0; x < width; ++x) {
      std::int64_t from_x = is_turned ? y : x, from_y = is_turned ? x : y;
      if (orientation == 2 || orientation == 3 || orientation == 7 || orientation == 8)
        from_x = picture.width - 1 - from_x;
      if (orientation == 3 || orientation == 4 || orientation == 6 || orientation == 7)
        from_y = picture.height - 1 - from_y;
      std::memcpy(out.rgb.data() + (y * width + x) * 3,
                  picture.rgb.data() + (from_y * picture.width + from_x) * 3, 3);
    }
  return out;
}

Result<Picture> read_jpeg(std::span<const std::byte> bytes) {
  jpeg_decompress_struct jpeg{};
  JpegRead read{};
  struct Ending {
    jpeg_decompress_struct* jpeg;
    ~Ending() { jpeg_destroy_decompress(jpeg); }
  } const ending{&jpeg};
  if (!begin_jpeg(bytes, jpeg, read)) return corrupt("a JPEG picture that cannot be decoded");
  Picture picture = TRY(sized_picture(jpeg.image_width, jpeg.image_height));
  const int orientation = orientation_of(jpeg);  // what it lies in goes with the last row
  const bool inks = jpeg.out_color_space == JCS_CMYK;
  std::vector<std::uint8_t> cmyk(inks ? picture.rgb.size() / 3 * 4 : 0);
  const bool done = read_jpeg_rows(jpeg, read, inks ? cmyk.data() : picture.rgb.data());
  if (read.is_long)
    return Error(ErrorKind::exhausted,
                 fmt::format("a JPEG picture of over {} passes", max_picture_passes));
  if (read.is_cut) return corrupt("a JPEG picture cut short");
  if (!done) return corrupt("a JPEG picture that cannot be decoded");
  if (inks) mix_inks(cmyk, jpeg.saw_Adobe_marker != 0, picture.rgb);
  return upright(std::move(picture), orientation);
}

// ---- The plain ones ----

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
  Picture picture = TRY(sized_picture(width, rows));
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
    for (; at < text.size() && text[at] >= '0' && text[at] <= '9' && number < max_picture_points;
         ++at)
      number = number * 10 + (text[at] - '0');
  }
  ++at;
  const int channels = text[1] == '6' ? 3 : 1;
  if (numbers[2] < 1 || numbers[2] > 255)
    return Error(ErrorKind::unsupported, "a PNM file of over 8 bits");
  Picture picture = TRY(sized_picture(numbers[0], numbers[1]));
  const std::int64_t points = numbers[0] * numbers[1];
  if (at > text.size() || static_cast<std::int64_t>(text.size() - at) < points * channels)
    return corrupt("a PNM file cut short");
  for (std::int64_t i = 0; i < points * 3; ++i)
    picture.rgb[static_cast<std::size_t>(i)] =
        static_cast<std::uint8_t>(text[at + static_cast<std::size_t>(channels == 3 ? i : i / 3)]);
  return picture;
}

bool is_tiff(std::string_view text) {
  constexpr std::string_view little("II*\0", 4), big("MM\0*", 4);
  return text.size() > 8 && (text.starts_with(little) || text.starts_with(big));
}

Error unread(std::string_view what, std::string_view needed) {
  return Error(ErrorKind::unsupported, fmt::format("{} picture: {}", what, needed));
}

}  // namespace

Result<Picture> sized_picture(std::int64_t width, std::int64_t height) {
  TRY(check_size(width, height));
  Picture picture{width, height, {}};
  picture.rgb.resize(static_cast<std::size_t>(width * height * 3));
  return picture;
}

void put_on_white(std::span<const std::uint8_t> rgba, std::span<std::uint8_t> rgb) {
  constexpr std::uint32_t bits = 7;
  for (std::size_t i = 0; i < rgba.size() / 4; ++i) {
    const std::uint32_t alpha = rgba[4 * i + 3];
    for (std::size_t c = 0; c < 3; ++c) {
      const std::uint32_t mixed = (rgba[4 * i + c] * alpha + 255 * (255 - alpha)) << bits;
      const std::uint32_t rounded = mixed + (0x80u << bits);
      rgb[3 * i + c] = alpha == 255
                           ? rgba[4 * i + c]
                           : static_cast<std::uint8_t>(((rounded >> 8) + rounded) >> 8 >> bits);
    }
  }
}

Result<Picture> read_picture(std::span<const std::byte> bytes) {
  const std::string_view text = text_of(bytes);
  if (bytes.size() > max_picture_bytes)
    return Error(ErrorKind::exhausted, fmt::format("a picture of {} bytes: at most {} are read",
                                                   bytes.size(), max_picture_bytes));
  if (text.starts_with("\x89PNG")) return read_png(bytes);
  if (text.starts_with("\xFF\xD8")) return read_jpeg(bytes);
  if (text.starts_with("BM")) return read_bmp(bytes);
  if (text.starts_with("P5") || text.starts_with("P6")) return read_pnm(bytes);
  if (text.starts_with("RIFF") && text.substr(0, 12).ends_with("WEBP")) return read_webp(bytes);
  if (is_tiff(text)) return read_tiff(bytes);
  constexpr std::string_view needed = "needs PNG, JPEG, WebP, TIFF, BMP or PNM";
  if (text.starts_with("GIF8")) return unread("a GIF", needed);
  if (text.substr(0, 12).contains("ftyp")) return unread("a HEIC or AVIF", needed);
  if (text.substr(0, 12).contains("jP  ")) return unread("a JPEG 2000", needed);
  return unread("not a", needed);
}

std::string_view picture_type(std::span<const std::byte> bytes) {
  const std::string_view text = text_of(bytes.first(std::min<std::size_t>(bytes.size(), 12)));
  if (text.starts_with("\x89PNG")) return "image/png";
  if (text.starts_with("\xFF\xD8")) return "image/jpeg";
  if (text.starts_with("RIFF") && text.ends_with("WEBP")) return "image/webp";
  if (is_tiff(text)) return "image/tiff";
  if (text.starts_with("BM")) return "image/bmp";
  if (text.starts_with("P5") || text.starts_with("P6")) return "image/x-portable-anymap";
  return {};
}

}  // namespace hearth
