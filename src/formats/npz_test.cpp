// NumPy files, whole and lying.  Ids (A01 and so on) are those of the catalogue of bad inputs.
#include "formats/npz.h"

#include <doctest/doctest.h>
#include <fmt/core.h>

#include "base/bytes.h"
#include "formats/mutations.h"

using namespace hearth;
using namespace hearth::testing;

namespace {

std::string npy(std::string_view header, std::size_t data_bytes, int version = 1) {
  std::string file = "\x93NUMPY";
  file += static_cast<char>(version);
  file += '\0';
  const std::uint32_t size = static_cast<std::uint32_t>(header.size());
  file.append(reinterpret_cast<const char*>(&size), version == 1 ? 2 : 4);
  return file + std::string(header) + std::string(data_bytes, '\1');
}

std::string described(std::string_view descr, std::string_view order, std::string_view shape) {
  return fmt::format("{{'descr': '{}', 'fortran_order': {}, 'shape': {}, }}\n", descr, order,
                     shape);
}

Result<TensorEntry> read(const std::string& file) { return read_npy("w", bytes_of(file)); }

TEST_CASE("arrays of every kind") {
  const struct {
    std::string descr, shape;
    Dtype dtype;
    std::size_t bytes;
  } rows[] = {
      {"<f4", "(2, 3)", Dtype::f32, 24},    {"<f2", "(4,)", Dtype::f16, 8},
      {"|i1", "(3,)", Dtype::i8, 3},        {"<u4", "()", Dtype::u32, 4},
      {"|b1", "(0, 7)", Dtype::boolean, 0},
  };
  for (const auto& row : rows)
    for (const int version : {1, 2, 3}) {
      CAPTURE(row.descr);
      const std::string file = npy(described(row.descr, "False", row.shape), row.bytes, version);
      const auto tensor = read(file);
      REQUIRE_MESSAGE(tensor.ok(), tensor.error().message());
      CHECK(tensor->dtype == row.dtype);
      CHECK(tensor->bytes() == row.bytes);
    }
}

TEST_CASE("columns first are put in order") {
  std::string file = npy(described("|u1", "True", "(2, 3)"), 0);
  file += std::string("\0\1\2\3\4\5", 6);
  const auto tensor = read(file);
  REQUIRE(tensor.ok());
  REQUIRE(static_cast<bool>(tensor->make));
  CHECK(text_of(*tensor->make()) == std::string("\0\2\4\1\3\5", 6));
}

TEST_CASE("what lies is refused, and the message says how") {
  const struct {
    std::string what, file, says;
  } rows[] = {
      {"A01 magic", "\x93NUMPZ\1", "not an npy"},
      {"A01 version", npy(described("<f4", "False", "(1,)"), 4, 4), "version 4"},
      {"A02 header past the end", npy("", 0).substr(0, 8) + "\xff\xff", "offset"},
      {"A03 code", npy("__import__('os')", 0), "needs {"},
      {"A03 a key twice", npy("{'descr': '<f4', 'descr': '<f4'}", 0), "a key"},
      {"A03 a key missing", npy("{'descr': '<f4', 'shape': (1,)}", 4), "fortran_order"},
      {"A03 something behind", npy(described("<f4", "False", "(1,)") + "x", 4), "descr"},
      {"A04 objects", npy(described("|O", "False", "(1,)"), 8), "'|O'"},
      {"A04 texts", npy(described("<U99999999", "False", "(1,)"), 8), "dtype"},
      {"A04 big-endian", npy(described(">f4", "False", "(1,)"), 4), "big-endian"},
      {"A05 product wraps", npy(described("<f4", "False", "(4294967296, 4294967296)"), 4),
       "overflows"},
      {"A05 number wraps", npy(described("<f4", "False", "(99999999999999999999,)"), 4),
       "overflows"},
      {"A05 negative", npy(described("<f4", "False", "(-1,)"), 4), "numbers"},
      {"A05 a float", npy(described("<f4", "False", "(1.0,)"), 4), "needs )"},
      {"A06 order", npy(described("<f4", "maybe", "(1,)"), 4), "True or False"},
      {"A07 short", npy(described("<f4", "False", "(2,)"), 7), "7 bytes of data"},
      {"A07 long", npy(described("<f4", "False", "(2,)"), 9), "9 bytes of data"},
  };
  for (const auto& row : rows) {
    CAPTURE(row.what);
    const auto tensor = read(row.file);
    REQUIRE(!tensor);
    CAPTURE(tensor.error().message());
    CHECK(tensor.error().message().find(row.says) != std::string::npos);
    CHECK(!has_control_characters(tensor.error().message()));
  }
}

TEST_CASE("any bit flipped, cut anywhere: it ends by returning") {
  Bytes bytes;
  bytes.raw(npy(described("<f2", "True", "(3, 2)"), 12));
  truncate_everywhere(bytes, [](const std::string& what, const std::string& cut) {
    if (read(cut).ok()) FAIL_CHECK(what);
  });
  flip_every_bit(bytes, bytes.str().size(), [](const std::string& what, const std::string& file) {
    const auto tensor = read(file);
    if (tensor && tensor->make && tensor->make()->size() != tensor->bytes()) FAIL_CHECK(what);
  });
}

}  // namespace
