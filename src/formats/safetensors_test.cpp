// What a safetensors file may not claim.  Ids (ST01 and so on) are those of the catalogue of bad
// inputs.
#include "formats/safetensors.h"

#include <doctest/doctest.h>
#include <fmt/core.h>

#include <chrono>

#include "base/bytes.h"
#include "formats/mutations.h"

using namespace hearth;
using namespace hearth::testing;
using namespace std::string_literals;

namespace {

std::string length(std::uint64_t size) { return Bytes().u64(size).str(); }

std::string file(std::string_view header, std::size_t data_bytes = 0) {
  return length(header.size()) + std::string(header) + std::string(data_bytes, '\1');
}

// {"w":{"dtype":...,"shape":...,"data_offsets":...}} and so many bytes of data.
std::string tensor(std::string_view dtype, std::string_view shape, std::string_view offsets,
                   std::size_t data_bytes) {
  return file(
      fmt::format(R"({{"w":{{"dtype":{},"shape":{},"data_offsets":{}}}}})", dtype, shape, offsets),
      data_bytes);
}

std::string shaped(std::string_view shape) { return tensor("\"F32\"", shape, "[0,16]", 16); }
std::string placed(std::string_view offsets) { return tensor("\"U8\"", "[16]", offsets, 16); }

std::string named(std::string_view name) {
  return file(fmt::format(R"({{"{}":{{"dtype":"U8","shape":[4],"data_offsets":[0,4]}}}})", name),
              4);
}

// U8 tensors, each with its begin and end.
std::string many(std::size_t count, std::uint64_t (*begin)(std::size_t),
                 std::uint64_t (*end)(std::size_t), std::size_t data_bytes) {
  std::string header = "{";
  for (std::size_t i = 0; i < count; ++i)
    header += fmt::format(R"({}"t{}":{{"dtype":"U8","shape":[{}],"data_offsets":[{},{}]}})",
                          i ? "," : "", i, end(i) - begin(i), begin(i), end(i));
  return file(header + "}", data_bytes);
}

// Reads; what is accepted is written and read again, and must be the same.
bool survives(const std::string& what, const std::string& bytes) {
  const auto tensors = read_safetensors(bytes_of(bytes));
  if (!tensors) {
    if (has_control_characters(tensors.error().message())) FAIL_CHECK(what);
    return false;
  }
  std::vector<SafetensorsTensor> copies;
  for (const TensorEntry& entry : *tensors)
    copies.push_back({entry.name, entry.dtype, entry.shape, entry.data});
  const auto written = safetensors_bytes(copies);
  if (!written) FAIL(what, ": ", written.error().message());
  const auto again = read_safetensors(bytes_of(*written));
  if (!again || again->size() != tensors->size()) FAIL(what);
  for (std::size_t i = 0; i < tensors->size(); ++i) {
    const TensorEntry &a = (*tensors)[i], &b = (*again)[i];
    if (a.name != b.name || a.shape != b.shape || text_of(a.data) != text_of(b.data)) FAIL(what);
  }
  return true;
}

constexpr std::string_view two_tensors =
    R"({"__metadata__":{"format":"pt"},"a":{"dtype":"F16","shape":[2,3],"data_offsets":[0,12]},)"
    R"("b":{"dtype":"I64","shape":[],"data_offsets":[12,20]}})";

}  // namespace

TEST_CASE("a safetensors file that lies is refused, and the message says how") {
  constexpr auto corrupt = ErrorKind::corrupt, unsupported = ErrorKind::unsupported;
  const struct {
    std::string what, bytes;
    ErrorKind kind;
    std::string says;
  } rows[] = {
      {"ST01 empty", "", corrupt, "offset 0"},
      {"ST01 7 bytes", "1234567", corrupt, "needs 8 bytes, 7 left"},
      {"ST02 header of 0", length(0), corrupt, "needs '{'"},
      {"ST02 header of 1", length(1) + "{}", corrupt, "ends"},
      {"ST02 header one past the end", length(3) + "{}", corrupt, "needs 3 bytes, 2 left"},
      {"ST02 header of 100,000,001", length(100'000'001), corrupt, "at most 100000000"},
      {"ST02 header of 2^63", length(1ull << 63), corrupt, "at most 100000000"},
      {"ST03 header of 2^64-1", length(~0ull), corrupt, "at most 100000000"},
      {"ST04 not UTF-8", named("\xff"), corrupt, "not UTF-8"},
      {"ST04 byte order mark", file("\xEF\xBB\xBF{}"), corrupt, R"('\xef', needs '{')"},
      {"ST04 NUL", file("{\0}"s), corrupt, R"('\x00')"},
      {"ST05 not an object", file("[]"), corrupt, "needs '{'"},
      {"ST06 something after the object", file("{}x"), corrupt, "offset 10: something follows"},
      {"ST06 comment", file("{/**/}"), corrupt, "needs '\"'"},
      {"ST06 NaN", shaped("[NaN]"), corrupt, "whole number"},
      {"ST06 single quotes", file("{'a':1}"), corrupt, "needs '\"'"},
      {"ST06 trailing comma", file(R"({"__metadata__":{},})"), corrupt, "needs '\"'"},
      {"ST07 nested metadata", file(R"({"__metadata__":{"a":)" + std::string(10000, '[')), corrupt,
       "__metadata__: offset"},
      {"ST08 metadata that is a number", file(R"({"__metadata__":{"a":1}})"), corrupt,
       "needs '\"'"},
      {"ST08 metadata that is no object", file(R"({"__metadata__":"a"})"), corrupt, "needs '{'"},
      {"ST08 metadata key twice", file(R"({"__metadata__":{"a":"","a":""}})"), corrupt, "twice"},
      {"ST09 metadata of 17 MiB",
       file(R"({"__metadata__":{"a":")" + std::string(17 << 20, 'x') + "\"}}"), corrupt,
       "text over 16777216"},
      {"ST10 tensor twice",
       file(R"({"a":{"dtype":"U8","shape":[1],"data_offsets":[0,1]},)"
            R"("a":{"dtype":"U8","shape":[1],"data_offsets":[1,2]}})",
            2),
       corrupt, "'a': twice"},
      {"ST10 the same key by an escape",
       file(R"({"a":{"dtype":"U8","shape":[1],"data_offsets":[0,1]},)"
            R"("\u0061":{"dtype":"U8","shape":[1],"data_offsets":[1,2]}})",
            2),
       corrupt, "'a': twice"},
      {"ST10 data_offsets twice",
       file(R"({"a":{"dtype":"U8","shape":[1],"data_offsets":[0,1],"data_offsets":[0,1]}})", 1),
       corrupt, "data_offsets twice"},
      {"ST11 another field",
       file(R"({"a":{"dtype":"U8","shape":[1],"data_offsets":[0,1],"x":1}})", 1), unsupported,
       "field 'x'"},
      {"ST12 no dtype", file(R"({"a":{"shape":[1],"data_offsets":[0,1]}})", 1), corrupt,
       "needs dtype"},
      {"ST12 no shape", file(R"({"a":{"dtype":"U8","data_offsets":[0,1]}})", 1), corrupt,
       "needs dtype"},
      {"ST12 no offsets", file(R"({"a":{"dtype":"U8","shape":[1]}})", 1), corrupt, "needs dtype"},
      {"ST12 nothing", file(R"({"a":{}})"), corrupt, "tensor 'a': needs dtype"},
      {"ST13 dtype F5", tensor("\"F5\"", "[16]", "[0,16]", 16), unsupported, "dtype 'F5'"},
      {"ST13 dtype f32", tensor("\"f32\"", "[4]", "[0,16]", 16), unsupported, "dtype 'f32'"},
      {"ST13 dtype F4", tensor("\"F4\"", "[3]", "[0,2]", 2), unsupported, "dtype 'F4'"},
      {"ST13 dtype C64", tensor("\"C64\"", "[2]", "[0,16]", 16), unsupported, "dtype 'C64'"},
      {"ST13 a number as dtype", tensor("5", "[16]", "[0,16]", 16), corrupt, "needs '\"'"},
      {"ST14 2 * (2^64-2)", shaped("[2,18446744073709551614]"), corrupt, "overflows"},
      {"ST14 2 * (2^63-1)", shaped("[2,9223372036854775807]"), corrupt, "overflows"},
      {"ST14 2^32 * 2^32", shaped("[4294967296,4294967296]"), corrupt, "overflows"},
      {"ST14 rank 9", shaped("[1,1,1,1,1,1,1,1,1]"), corrupt, "over 8 numbers"},
      {"ST14 negative", shaped("[-4]"), corrupt, "whole number"},
      {"ST14 4.0", shaped("[4.0]"), corrupt, "fraction"},
      {"ST14 \"4\"", shaped("[\"4\"]"), corrupt, "whole number"},
      {"ST14 4e0", shaped("[4e0]"), corrupt, "exponent"},
      {"ST14 -0", shaped("[-0]"), corrupt, "whole number"},
      {"ST14 2^64", shaped("[18446744073709551616]"), corrupt, "above 2^64"},
      {"ST15 end before begin", placed("[16,0]"), corrupt, "needs 16 bytes"},
      {"ST15 one byte too few", placed("[0,15]"), corrupt, "needs 16 bytes"},
      {"ST15 does not begin at 0", placed("[1,17]"), corrupt, "the data before it ends at 0"},
      {"ST15 gap of 1",
       many(
           2, [](std::size_t i) -> std::uint64_t { return 5 * i; },
           [](std::size_t i) -> std::uint64_t { return 5 * i + 4; }, 9),
       corrupt, "tensor 't1': data_offsets [5, 9]: the data before it ends at 4"},
      {"ST15 overlap of 1",
       many(
           2, [](std::size_t i) -> std::uint64_t { return 3 * i; },
           [](std::size_t i) -> std::uint64_t { return 3 * i + 4; }, 7),
       corrupt, "the data before it ends at 4"},
      {"ST15 10^5 tensors in one place",
       many(
           100'000, [](std::size_t) -> std::uint64_t { return 0; },
           [](std::size_t) -> std::uint64_t { return 4; }, 4),
       corrupt, "the data before it ends at 4"},
      {"ST16 bytes after the last", tensor("\"U8\"", "[16]", "[0,16]", 17), corrupt,
       "1 bytes after the last"},
      {"ST16 past the end", tensor("\"U8\"", "[16]", "[0,16]", 15), corrupt, "all data at 15"},
      {"ST16 a tail without tensors", file("{}", 3), corrupt, "3 bytes after"},
      {"ST17 offsets 0.0", placed("[0.0,16]"), corrupt, "fraction"},
      {"ST17 offsets as text", placed("[\"0\",16]"), corrupt, "whole number"},
      {"ST17 negative offset", placed("[-1,15]"), corrupt, "whole number"},
      {"ST17 offset 2^64", placed("[0,18446744073709551616]"), corrupt, "above 2^64"},
      {"ST17 three offsets", placed("[0,8,16]"), corrupt, "over 2 numbers"},
      {"ST17 one offset", placed("[0]"), corrupt, "two data_offsets"},
      {"ST20 empty name", named(""), corrupt, "tensor name ''"},
      {"ST20 name of 1 MiB", named(std::string(1 << 20, 'n')), corrupt, "text over 4096"},
      {"ST20 path as a name", named("a/b"), corrupt, "tensor name 'a/b'"},
      {"ST20 name that climbs", named(".."), corrupt, "tensor name '..'"},
      {"ST20 NUL in a name", named(R"(a\u0000b)"), corrupt, R"(tensor name 'a\x00b')"},
      {"ST20 escape in a name", named(R"(\u001b[2J)"), corrupt, R"(\x1b[2J)"},
      {"ST20 metadata as a tensor", named("__metadata__"), corrupt, "__metadata__: offset"},
      {"ST20 262,145 tensors",
       many(
           262'145, [](std::size_t) -> std::uint64_t { return 0; },
           [](std::size_t) -> std::uint64_t { return 0; }, 0),
       corrupt, "over 262144 tensors"},
      {"ST26 lone surrogate", named(R"(\ud800)"), corrupt, "lone surrogate"},
      {"ST26 surrogates in the wrong order", named(R"(\udc00\ud800)"), corrupt, "lone surrogate"},
      {"ST26 half an escape", named(R"(\u00)"), corrupt, "hex"},
      {"ST26 unknown escape", named(R"(\x41)"), corrupt, "unknown escape"},
      {"ST27 leading 0", shaped("[004]"), corrupt, "leading 0"},
      {"ST28 1e400", shaped("[1e400]"), corrupt, "exponent"},
      {"ST29 white space before the header", file(" {}"), corrupt, "needs '{'"},
      {"ST30 big-endian length", "\0\0\0\0\0\0\0\2{}"s, corrupt, "at most 100000000"},
  };
  for (const auto& row : rows) {
    CAPTURE(row.what);
    const auto got = read_safetensors(bytes_of(row.bytes));
    REQUIRE(!got);
    CAPTURE(got.error().message());
    CHECK(got.error().kind() == row.kind);
    CHECK(got.error().message().find(row.says) != std::string::npos);
    CHECK(!has_control_characters(got.error().message()));
  }
}

TEST_CASE("an unusual safetensors file is read") {
  const struct {
    std::string what, bytes;
    std::size_t tensors;
  } rows[] = {
      {"ST18 no tensors", file("{}"), 0},
      {"ST18 metadata only", file(R"({"__metadata__":{}})"), 0},
      {"ST18 empty tensor", tensor("\"F32\"", "[2,0]", "[0,0]", 0), 1},
      {"ST18 scalar", tensor("\"F32\"", "[]", "[0,4]", 4), 1},
      {"ST19 data at an odd address", file(std::string(two_tensors) + " ", 20), 2},
      {"ST20 name of 4096 bytes", named(std::string(4096, 'n')), 1},
      {"ST20 name that is not ASCII", named("caf\xC3\xA9"), 1},
      {"ST22 F8_E4M3", tensor("\"F8_E4M3\"", "[4]", "[0,4]", 4), 1},
      {"ST22 F8_E5M2", tensor("\"F8_E5M2\"", "[4]", "[0,4]", 4), 1},
      {"ST22 F8_E8M0", tensor("\"F8_E8M0\"", "[4]", "[0,4]", 4), 1},
      {"ST22 BF16", tensor("\"BF16\"", "[2]", "[0,4]", 4), 1},
      {"BOOL", tensor("\"BOOL\"", "[4]", "[0,4]", 4), 1},
      {"U64", tensor("\"U64\"", "[1]", "[0,8]", 8), 1},
      {"ST31 padded with tabs and returns", file("{}\t\r\n "), 0},
      {"ST32 spaces in the header", file("{ } "), 0},
      {"ST33 10 MB of white space", file("{" + std::string(10'000'000, ' ') + "}"), 0},
      {"ST34 offsets in another order than keys",
       file(R"({"a":{"dtype":"U8","shape":[1],"data_offsets":[1,2]},)"
            R"("b":{"data_offsets":[0,1],"shape":[1],"dtype":"U8"}})",
            2),
       2},
      {"ST35 escaped name", named(R"(a\u0062\ud83d\ude00)"), 1},
  };
  for (const auto& row : rows) {
    CAPTURE(row.what);
    const auto got = read_safetensors(bytes_of(row.bytes));
    REQUIRE_MESSAGE(got, (got ? "" : got.error().message()));
    CHECK(got->size() == row.tensors);
    CHECK(survives(row.what, row.bytes));
  }
}

TEST_CASE("tensors have their names, shapes and bytes") {
  const std::string bytes =
      length(two_tensors.size()) + std::string(two_tensors) + "abcdefghijkl" + "mnopqrst";
  const auto tensors = read_safetensors(bytes_of(bytes));
  REQUIRE(tensors);
  REQUIRE(tensors->size() == 2);
  const TensorEntry &a = (*tensors)[0], &b = (*tensors)[1];
  CHECK(a.name == "a");
  CHECK(a.dtype == Dtype::f16);
  CHECK(a.shape == std::vector<std::uint64_t>{2, 3});
  CHECK(a.elements() == 6);
  CHECK(text_of(a.data) == "abcdefghijkl");
  CHECK(b.elements() == 1);
  CHECK(text_of(b.data) == "mnopqrst");
}

TEST_CASE("ST36: nothing done to a safetensors file is a crash") {
  Bytes sample;
  sample.u64(two_tensors.size()).raw(two_tensors).raw(std::string(20, '\1'));
  REQUIRE(survives("the sample", sample.str()));
  truncate_everywhere(sample, [](const std::string& what, const std::string& bytes) {
    if (survives(what, bytes)) FAIL_CHECK(what);
  });
  flip_every_bit(sample, sample.str().size(), survives);
  change_every_number(sample, survives);
  append_and_prepend(sample, survives);
  // GEN-3 inside the header: every number.
  const std::string_view header = two_tensors;
  for (std::size_t at = 0; at < header.size(); ++at) {
    if (header[at] < '0' || header[at] > '9') continue;
    for (const char* number : {"0", "1", "255", "65536", "4294967295", "9007199254740993",
                               "9223372036854775808", "18446744073709551615"}) {
      std::string changed(header);
      changed.replace(at, 1, number);
      survives("a number in the header", file(changed, 20));
    }
  }
}

TEST_CASE("the index of shards: a lie is refused") {
  const auto map = [](std::string_view members) {
    return fmt::format(R"({{"weight_map":{{{}}}}})", members);
  };
  const struct {
    std::string what, json, says;
  } rows[] = {
      {"not JSON", "{", "JSON"},
      {"no map", "{}", "weight_map"},
      {"map that is no object", R"({"weight_map":[]})", "weight_map"},
      {"empty map", map(""), "0 files"},
      {"ST23 path that climbs", map(R"("a":"../x.safetensors")"), "plain name"},
      {"ST23 absolute path", map(R"("a":"/x.safetensors")"), "plain name"},
      {"ST23 path of another system", map(R"("a":"..\\x.safetensors")"), "plain name"},
      {"ST23 URL", map(R"("a":"https://x/y.safetensors")"), "plain name"},
      {"ST23 hidden file", map(R"("a":".x.safetensors")"), "plain name"},
      {"ST23 the index itself", map(R"("a":"model.safetensors.index.json")"), "plain name"},
      {"ST23 escape in a name", map(R"("a":"\u001b.safetensors")"), "plain name"},
      {"ST23 number as a file", map(R"("a":1)"), "plain name"},
      {"ST23 tensor twice", map(R"("a":"x.safetensors","a":"y.safetensors")"), "twice"},
      {"ST20 path as a tensor", map(R"("a/b":"x.safetensors")"), "tensor name"},
      {"ST23 negative total",
       R"({"metadata":{"total_size":-1},"weight_map":{"a":"x.safetensors"}})", "total_size"},
      {"ST23 total as text",
       R"({"metadata":{"total_size":"1"},"weight_map":{"a":"x.safetensors"}})", "total_size"},
      {"deep", std::string(100, '['), "deeper"},
  };
  for (const auto& row : rows) {
    CAPTURE(row.what);
    const auto index = read_shard_index(row.json);
    REQUIRE(!index);
    CAPTURE(index.error().message());
    CHECK(index.error().kind() == ErrorKind::corrupt);
    CHECK(index.error().message().find(row.says) != std::string::npos);
    CHECK(!has_control_characters(index.error().message()));
  }
  const auto index = read_shard_index(
      R"({"metadata":{"total_size":24.0},"weight_map":{"b":"y.safetensors","a":"x.safetensors"}})");
  REQUIRE(index);
  CHECK(index->total_bytes == 24);
  REQUIRE(index->shards.size() == 2);
  CHECK(index->shards[0].file == "x.safetensors");
}
