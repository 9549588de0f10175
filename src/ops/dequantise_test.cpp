#include "ops/dequantise.h"

#include <doctest/doctest.h>

#include <bit>
#include <cmath>
#include <cstdlib>
#include <set>
#include <string>

#include "base/bytes.h"
#include "base/files.h"
#include "base/half.h"

using namespace hearth;

namespace {

std::uint32_t bits_of(float value) { return std::bit_cast<std::uint32_t>(value); }

const DtypeInfo* find_dtype(std::string_view name) {
  for (const DtypeInfo& row : dtypes())
    if (row.name == name) return &row;
  return nullptr;
}

}  // namespace

TEST_CASE("stored blocks become the reference's floats, bit for bit") {
  const auto file = read_file("tests/golden/ops/quants.bin", 16 << 20);
  REQUIRE(file);
  ByteReader in(bytes_of(*file));
  std::set<Dtype> seen;
  while (in.remaining() > 0) {
    const auto name = std::string(text_of(*in.take(*in.value<std::uint8_t>())));
    CAPTURE(name);
    const auto elements = *in.value<std::uint32_t>();
    const auto stored = *in.take(*in.value<std::uint32_t>());
    const DtypeInfo* dtype = find_dtype(name);
    REQUIRE(dtype);
    seen.insert(dtype->dtype);
    const auto got = ops::dequantise(dtype->dtype, stored, elements);
    REQUIRE(got);
    std::size_t wrong = 0, first = 0;
    for (std::size_t i = 0; i < elements; ++i) {
      const float want = *in.value<float>();
      if (bits_of((*got)[i]) == bits_of(want) || (std::isnan(want) && std::isnan((*got)[i])))
        continue;
      if (wrong++ == 0) first = i;
    }
    CAPTURE(first);
    CHECK(wrong == 0);
  }
  for (const DtypeInfo& row : dtypes())
    if (is_quantised(row.dtype)) CHECK_MESSAGE(seen.contains(row.dtype), std::string(row.name));
}

TEST_CASE("G50: any bytes are a block, at any alignment") {
  for (const DtypeInfo& row : dtypes()) {
    if (!ops::dequantiser(row.dtype)) continue;
    CAPTURE(std::string(row.name));
    for (const int byte : {0x00, 0x7F, 0x80, 0xFF}) {
      const std::size_t blocks = 3, offset = 1;
      const std::vector<std::byte> stored(offset + blocks * row.block_bytes,
                                          static_cast<std::byte>(byte));
      const auto values = ops::dequantise(row.dtype, std::span(stored).subspan(offset),
                                          blocks * row.block_elements);
      REQUIRE(values);
      CHECK(values->size() == blocks * row.block_elements);
    }
  }
}

TEST_CASE("plain numbers become floats") {
  const struct {
    Dtype dtype;
    std::string stored;
    float value;
  } rows[] = {
      {Dtype::f32, std::string("\0\0\x80\xbf", 4), -1},
      {Dtype::f64, std::string("\0\0\0\0\0\0\x04\x40", 8), 2.5},
      {Dtype::i8, "\xff", -1},
      {Dtype::i16, std::string("\x00\x80", 2), -32768},
      {Dtype::i32, std::string("\xfe\xff\xff\xff", 4), -2},
      {Dtype::i64, std::string("\0\0\0\0\1\0\0\0", 8), 4294967296.0f},
      {Dtype::u8, "\xff", 255},
      {Dtype::u16, "\xff\xff", 65535},
      {Dtype::u32, std::string("\0\0\0\x80", 4), 2147483648.0f},
      {Dtype::u64, std::string("\0\0\0\0\0\0\0\x80", 8), 9223372036854775808.0f},
      {Dtype::f16, std::string("\x00\xc0", 2), -2},
      {Dtype::bf16, std::string("\x80\x3f", 2), 1},
  };
  for (const auto& row : rows) {
    CAPTURE(std::string(name_of(row.dtype)));
    const auto got = ops::dequantise(row.dtype, bytes_of(row.stored), 1);
    REQUIRE(got);
    CHECK((*got)[0] == row.value);
  }
}

TEST_CASE("a size that does not belong to the elements is refused") {
  const std::vector<std::byte> stored(34);
  CHECK(ops::dequantise(Dtype::q8_0, stored, 32));
  CHECK(!ops::dequantise(Dtype::q8_0, stored, 31));
  CHECK(!ops::dequantise(Dtype::q8_0, stored, 64));
  CHECK(!ops::dequantise(Dtype::q8_0, stored, ~0ull));
  CHECK(!ops::dequantise(Dtype::boolean, stored, 34));
  CHECK(ops::dequantise(Dtype::q8_0, {}, 0));
}

TEST_CASE("every half survives the way to f32 and back") {
  for (std::uint32_t half = 0; half < 0x10000; ++half) {
    const float value = f16_to_f32(static_cast<std::uint16_t>(half));
    const std::uint16_t back = f32_to_f16(value);
    const bool is_nan = (half & 0x7FFF) > 0x7C00;
    if (is_nan ? !std::isnan(value) || (back & 0x7FFF) <= 0x7C00 : back != half) FAIL_CHECK(half);
  }
}

TEST_CASE("f32 rounds to the nearest half, ties to even") {
  for (std::uint32_t half = 0; half < 0x7C00; ++half) {
    const double low = f16_to_f32(static_cast<std::uint16_t>(half));
    const double high = half == 0x7BFF ? 65536.0 : f16_to_f32(static_cast<std::uint16_t>(half + 1));
    const float middle = static_cast<float>((low + high) / 2);  // exact
    const std::uint32_t even = half % 2 ? half + 1 : half;
    for (const std::uint32_t sign : {0u, 0x8000u}) {
      const auto rounds_to = [&](float value) {
        return std::uint32_t{f32_to_f16(sign ? -value : value)} - sign;
      };
      if (rounds_to(middle) != even || rounds_to(std::nextafter(middle, 0.0f)) != half ||
          rounds_to(std::nextafter(middle, 1e9f)) != half + 1)
        FAIL_CHECK(half);
    }
  }
  CHECK(f32_to_f16(INFINITY) == 0x7C00);
  CHECK(f32_to_f16(-1e38f) == 0xFC00);
}

TEST_CASE("f32 rounds to the nearest bf16, ties to even") {
  CHECK(f32_to_bf16(1.0f) == 0x3F80);
  CHECK(f32_to_bf16(std::bit_cast<float>(0x3F808000u)) == 0x3F80);
  CHECK(f32_to_bf16(std::bit_cast<float>(0x3F808001u)) == 0x3F81);
  CHECK(f32_to_bf16(std::bit_cast<float>(0x3F818000u)) == 0x3F82);
  CHECK(f32_to_bf16(std::bit_cast<float>(0x7F7FFFFFu)) == 0x7F80);
  CHECK(f32_to_bf16(std::bit_cast<float>(0x7F800001u)) == 0x7FC0);
  CHECK(f32_to_bf16(std::bit_cast<float>(0xFFFFFFFFu)) == 0xFFFF);
}

TEST_CASE("halves agree with a table made elsewhere") {
  const char* named = std::getenv("HEARTH_DATA");
  const std::string path = std::string(named ? named : "../shared/data") +
                           "/conformance/numeric/diskann-float16/float16_conversion.txt";
  if (!is_file(path)) {
    MESSAGE("no test data: skipped");
    return;
  }
  const std::string text = *read_file(path, 16 << 20);
  std::size_t rows = 0;
  for (std::size_t at = 0; at < text.size(); ++rows) {
    const std::size_t end = std::min(text.find('\n', at), text.size());
    const std::string line = text.substr(at, end - at);
    at = end + 1;
    const auto half = static_cast<std::uint16_t>(std::strtoul(line.c_str(), nullptr, 16));
    const std::string number = line.substr(line.find(' ') + 1);
    const float value = f16_to_f32(half);
    if (number.find("inf") != std::string::npos)
      CHECK(std::isinf(value));
    else if (number.find("nan") != std::string::npos || number.find("NaN") != std::string::npos)
      CHECK(std::isnan(value));
    else if (value != std::strtof(number.c_str(), nullptr))
      FAIL_CHECK(line);
  }
  CHECK(rows > 60000);
}
