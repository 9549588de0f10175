// Pictures as the Python Imaging Library gives them, and files that lie.
#include "formats/picture.h"

#include <doctest/doctest.h>

#include "base/bytes.h"
#include "base/files.h"
#include "base/json.h"

namespace hearth {
namespace {

const std::string folder = "tests/golden/vision/odd/";

std::string bytes_of_file(const std::string& path) {
  auto bytes = read_file(path, 1u << 20);
  REQUIRE_MESSAGE(bytes.ok(), bytes.error().message());
  return *std::move(bytes);
}

Result<Picture> read(std::string_view bytes) {
  return read_picture(std::as_bytes(std::span(bytes)));
}

TEST_CASE("files of every kind give the reference's points") {
  const auto expected = parse_json(bytes_of_file(folder + "expected.json"));
  REQUIRE(expected.ok());
  for (const auto& [name, wanted] : expected->as_object()) {
    CAPTURE(name);
    const auto picture = read(bytes_of_file(folder + name));
    REQUIRE_MESSAGE(picture.ok(), picture.error().message());
    CHECK(picture->width == wanted.find("width")->as_integer());
    CHECK(picture->height == wanted.find("height")->as_integer());
    const std::string& hex = wanted.find("rgb")->as_string();
    REQUIRE(hex.size() == 2 * picture->rgb.size());
    int far = 0;
    for (std::size_t i = 0; i < picture->rgb.size(); ++i) {
      const int value = std::stoi(hex.substr(2 * i, 2), nullptr, 16);
      // Pillow brings a JPEG decoder of its own, whose last bit may differ.
      far += std::abs(value - picture->rgb[i]) > (name.ends_with(".jpg") ? 2 : 0);
    }
    CHECK(far == 0);
  }
}

TEST_CASE("every beginning of a picture is refused or read, and never crashes") {
  for (const char* name :
       {"alpha.png", "palette.png", "bits.png", "photo.jpg", "inks.jpg", "turned6.jpg",
        "progressive.jpg", "lossy.webp", "clear.webp", "moving.webp", "plain.bmp", "plain.ppm",
        "raw.tif", "packbits.tif", "predicted.tif", "palette.tif", "alpha.tif"}) {
    CAPTURE(std::string(name));
    const std::string whole = bytes_of_file(folder + name);
    for (std::size_t size = 0; size + 16 < whole.size(); size += size < 700 ? 1 : 37) {
      const auto picture = read(std::string_view(whole).substr(0, size));
      CHECK(!picture.ok());
    }
    for (std::size_t at = 0; at < whole.size(); at += 3) {
      std::string spoiled = whole;
      spoiled[at] = static_cast<char>(spoiled[at] ^ 0x5a);
      (void)read(spoiled).ok();
    }
  }
}

std::string png_of(std::uint32_t width, std::uint32_t height) {
  std::string bytes = bytes_of_file(folder + "grey.png");
  for (int i = 0; i < 4; ++i) {
    bytes[static_cast<std::size_t>(16 + i)] = static_cast<char>(width >> (24 - 8 * i));
    bytes[static_cast<std::size_t>(20 + i)] = static_cast<char>(height >> (24 - 8 * i));
  }
  // The checksum of the header, CRC-32.
  std::uint32_t crc = ~0u;
  for (std::size_t i = 12; i < 29; ++i) {
    crc ^= static_cast<unsigned char>(bytes[i]);
    for (int bit = 0; bit < 8; ++bit) crc = crc >> 1 ^ (crc & 1 ? 0xEDB88320u : 0);
  }
  crc = ~crc;
  for (int i = 0; i < 4; ++i)
    bytes[static_cast<std::size_t>(29 + i)] = static_cast<char>(crc >> (24 - 8 * i));
  return bytes;
}

std::string bmp_of(std::int32_t width, std::int32_t height) {
  std::string bytes = bytes_of_file(folder + "plain.bmp");
  std::memcpy(bytes.data() + 18, &width, 4);
  std::memcpy(bytes.data() + 22, &height, 4);
  return bytes;
}

TEST_CASE("sizes are refused before memory is taken, kinds by their name") {
  const struct {
    std::string what, bytes;
    ErrorKind kind;
    const char* says;
  } rows[] = {
      {"nothing", "", ErrorKind::unsupported, "needs PNG"},
      {"a text", "hello", ErrorKind::unsupported, "needs PNG"},
      {"SVG", "<svg xmlns=", ErrorKind::unsupported, "needs PNG"},
      {"GIF", "GIF89a....", ErrorKind::unsupported, "a GIF picture"},
      {"a WebP of nothing", std::string("RIFF\x10\0\0\0WEBPVP8 ", 16), ErrorKind::corrupt,
       "a WebP picture"},
      {"HEIC",
       std::string("\0\0\0\x18"
                   "ftypheic",
                   12),
       ErrorKind::unsupported, "HEIC"},
      {"a PNG bomb", png_of(30'000, 30'000), ErrorKind::exhausted, "64000000 points"},
      {"a long PNG", png_of(40'000, 1), ErrorKind::corrupt, "a PNG picture"},
      {"a PNG of no width", png_of(0, 7), ErrorKind::corrupt, "a PNG picture"},
      {"a BMP bomb", bmp_of(1 << 30, 1 << 30), ErrorKind::exhausted, "at most"},
      {"a BMP of least height", bmp_of(9, INT32_MIN), ErrorKind::exhausted, "at most"},
      {"a BMP of negative width", bmp_of(-9, 9), ErrorKind::corrupt, "-9 by 9"},
      {"a PNM bomb", "P6 99999 99999 255\n", ErrorKind::exhausted, "at most"},
      {"a PNM of no width", "P6 0 9 255\n", ErrorKind::corrupt, "0 by 9"},
  };
  for (const auto& row : rows) {
    CAPTURE(row.what);
    const auto picture = read(row.bytes);
    REQUIRE(!picture.ok());
    CHECK(picture.error().kind() == row.kind);
    CHECK_MESSAGE(picture.error().message().find(row.says) != std::string::npos,
                  picture.error().message());
  }
}

}  // namespace
}  // namespace hearth
