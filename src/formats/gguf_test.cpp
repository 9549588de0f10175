// What a GGUF file may not claim.  Ids (G01 and so on) are those of the catalogue of bad inputs.
#include "formats/gguf.h"

#include <doctest/doctest.h>
#include <fmt/core.h>

#include <chrono>

#include "base/bytes.h"
#include "formats/gguf_writer.h"
#include "formats/mutations.h"

using namespace hearth;
using namespace hearth::testing;
using namespace std::string_literals;

namespace {

constexpr std::uint64_t f32 = 0, q8_0 = 8, q4_k = 12, i8 = 24;

Bytes header(std::uint64_t tensors, std::uint64_t pairs, std::uint32_t version = 3) {
  return Bytes().raw("GGUF").u32(version).u64(tensors).u64(pairs);
}

Bytes& pair(Bytes& file, std::string_view key, MetaType type) {
  return file.text(key).u32(std::to_underlying(type));
}

struct Info {
  std::string name;
  std::vector<std::uint64_t> dims;  // innermost first
  std::uint64_t type, offset;
};

std::string entry(const Info& info) {
  Bytes out;
  out.text(info.name).u32(info.dims.size());
  for (const std::uint64_t dim : info.dims) out.u64(dim);
  return out.u32(info.type).u64(info.offset).str();
}

// Tensors and so many bytes of data.
std::string with_tensors(const std::vector<Info>& infos, std::size_t data_bytes) {
  Bytes file = header(infos.size(), 0);
  for (const Info& info : infos) file.raw(entry(info));
  return file.align(32).str() + std::string(data_bytes, '\x01');
}

std::string with_tensor(std::vector<std::uint64_t> dims, std::uint64_t type, std::uint64_t offset,
                        std::size_t data_bytes = 64) {
  return with_tensors({{"w", std::move(dims), type, offset}}, data_bytes);
}

std::string with_name(std::string name) {
  return with_tensors({{std::move(name), {16}, f32, 0}}, 64);
}

// One pair of this type whose value is `value`.
std::string with_value(MetaType type, std::string_view value) {
  Bytes file = header(0, 1);
  return pair(file, "key", type).str() + std::string(value);
}

std::string with_key(std::string_view key) {
  Bytes file = header(0, 1);
  return pair(file, key, MetaType::u8).u8(1).str();
}

std::string array_of(std::uint64_t type, std::uint64_t count, std::string_view rest) {
  return with_value(MetaType::array, Bytes().u32(type).u64(count).raw(rest).str());
}

std::string with_alignment(MetaType type, std::string_view value, std::size_t padding = 8) {
  Bytes file = header(0, 1);
  return pair(file, "general.alignment", type).str() + std::string(value) +
         std::string(padding, '\0');
}

std::string with_alignment(std::uint32_t bytes) {
  return with_alignment(MetaType::u32, Bytes().u32(bytes).str());
}

std::string vocabulary(std::uint64_t tokens, std::uint64_t scores) {
  Bytes file = header(0, 2);
  pair(file, "tokenizer.ggml.tokens", MetaType::array).u32(8).u64(tokens);
  for (std::uint64_t i = 0; i < tokens; ++i) file.text("t");
  pair(file, "tokenizer.ggml.scores", MetaType::array).u32(6).u64(scores);
  return file.str() + std::string(4 * scores, '\0');
}

// Every kind of value, two tensors.
Bytes sample() {
  Bytes file = header(2, 15);
  pair(file, "general.architecture", MetaType::string).text("llama");
  pair(file, "general.alignment", MetaType::u32).u32(32);
  pair(file, "a.u8", MetaType::u8).u8(200);
  pair(file, "a.i8", MetaType::i8).u8(0xFF);
  pair(file, "a.u16", MetaType::u16).raw("\x01\x02");
  pair(file, "a.i16", MetaType::i16).raw("\xfe\xff");
  pair(file, "a.i32", MetaType::i32).u32(0xFFFFFFFE);
  pair(file, "a.f32", MetaType::f32).u32(0x3FC00000);
  pair(file, "a.bool", MetaType::boolean).u8(1);
  pair(file, "a.u64", MetaType::u64).u64(1ull << 40);
  pair(file, "a.i64", MetaType::i64).u64(~0ull);
  pair(file, "a.f64", MetaType::f64).u64(0x4004000000000000);
  pair(file, "b.texts", MetaType::array).u32(8).u64(2).text("one").text("");
  pair(file, "b.numbers", MetaType::array).u32(4).u64(2).u32(7).u32(8);
  pair(file, "b.empty", MetaType::array).u32(7).u64(0);
  file.text("tok.weight").u32(2).u64(32).u64(2).u32(q8_0).u64(0);
  file.text("norm").u32(1).u64(5).u32(f32).u64(96);
  return file.align(32).raw(std::string(68, '\x11')).align(32).raw(std::string(20, '\x22'));
}

GgufContents contents_of(const GgufFile& file) {
  GgufContents contents;
  contents.alignment = file.alignment;
  for (const auto& [key, value] : file.metadata.entries())
    contents.metadata.push_back({key, GgufValue::copy(value)});
  for (const TensorEntry& tensor : file.tensors)
    contents.tensors.push_back({tensor.name, tensor.dtype, tensor.shape, [&tensor] {
                                  return Result<std::span<const std::byte>>(tensor.data);
                                }});
  return contents;
}

// Reads; what is accepted is written and read again, and must be the same.
bool survives(const std::string& what, const std::string& bytes) {
  const auto file = read_gguf(bytes_of(bytes));
  if (!file) {
    if (has_control_characters(file.error().message())) FAIL_CHECK(what);
    return false;
  }
  const auto written = gguf_bytes(contents_of(*file));
  if (!written) FAIL(what, ": ", written.error().message());
  const auto again = read_gguf(bytes_of(*written));
  if (!again) FAIL(what, ": ", again.error().message());
  if (again->tensors.size() != file->tensors.size()) FAIL(what);
  for (std::size_t i = 0; i < file->tensors.size(); ++i) {
    const TensorEntry &a = file->tensors[i], &b = again->tensors[i];
    if (a.name != b.name || a.shape != b.shape || a.dtype != b.dtype ||
        text_of(a.data) != text_of(b.data))
      FAIL(what);
  }
  for (const auto& [key, value] : file->metadata.entries()) {
    if (key == "general.alignment") continue;
    const MetaValue* twin = again->metadata.find(key);
    if (!twin || twin->type != value.type || twin->count != value.count ||
        text_of(twin->bytes) != text_of(value.bytes))
      FAIL(what);
  }
  return true;
}

}  // namespace

TEST_CASE("a GGUF file that lies is refused, and the message says how") {
  constexpr auto corrupt = ErrorKind::corrupt, unsupported = ErrorKind::unsupported;
  constexpr std::uint64_t huge = ~0ull;
  const struct {
    std::string what, bytes;
    ErrorKind kind;
    std::string says;
  } rows[] = {
      {"G01 empty", "", corrupt, "offset 0"},
      {"G02 another magic", "FUGG" + header(0, 0).str().substr(4), unsupported, "not a GGUF"},
      {"G03 version 0", header(0, 0, 0).str(), unsupported, "version 0"},
      {"G03 version 4", header(0, 0, 4).str(), unsupported, "version 4"},
      {"G03 big-endian", header(0, 0, 0x03000000).str(), unsupported, "big-endian"},
      {"G03 version -1", header(0, 0, 0xFFFFFFFF).str(), unsupported, "version 4294967295"},
      {"G05 2^63 tensors", header(1ull << 63, 0).str(), corrupt, "at most 65536"},
      {"G05 2^64-1 tensors", header(huge, 0).str(), corrupt, "at most 65536"},
      {"G05 limit of tensors", header(65537, 0).str(), corrupt, "at most 65536"},
      {"G06 2^63 pairs", header(0, 1ull << 63).str(), corrupt, "at most 65536"},
      {"G06 limit of pairs", header(0, 65537).str(), corrupt, "at most 65536"},
      {"G07 tensors that cannot be there", header(65536, 0).str(), corrupt, "cannot be in 0 bytes"},
      {"G08 pairs that cannot be there", header(0, 65536).str(), corrupt, "cannot be in 0 bytes"},
      {"G09 empty key", with_key(""), corrupt, "key ''"},
      {"G10 key of 65536 bytes", with_key(std::string(65536, 'k')), corrupt, "at most 65535"},
      {"G10 NUL in a key", with_key("a\0b"s), corrupt, R"(key 'a\x00b')"},
      {"G10 key that is not ASCII", with_key("caf\xC3\xA9"), corrupt, "printable ASCII"},
      {"G10 space in a key", with_key("a b"), corrupt, "printable ASCII"},
      {"G12 type 13", with_value(MetaType{13}, "1234"), corrupt, "value type 13"},
      {"G12 type 255", with_value(MetaType{255}, "1234"), corrupt, "value type 255"},
      {"G12 type 2^31", with_value(MetaType{1u << 31}, "1234"), corrupt, "value type 2147483648"},
      {"G12 type -1", with_value(MetaType{0xFFFFFFFF}, "1234"), corrupt, "value type 4294967295"},
      {"G13 string of 2^63", with_value(MetaType::string, Bytes().u64(1ull << 63).str()), corrupt,
       "metadata 'key': offset 39: text of 9223372036854775808 bytes"},
      {"G13 string of 2^64-1", with_value(MetaType::string, Bytes().u64(huge).str()), corrupt,
       "at most 16777216"},
      {"G13 string one past the end", with_value(MetaType::string, Bytes().u64(3).raw("ab").str()),
       corrupt, "needs 3 bytes, 2 left"},
      {"G13 string of 2^30+1", with_value(MetaType::string, Bytes().u64((1 << 30) + 1).str()),
       corrupt, "at most"},
      {"G14 nothing left for the next field", header(0, 2).text("k").u32(8).u64(2).raw("ab").str(),
       corrupt, "offset"},
      {"G15 array of arrays", array_of(9, 1, "1234567890123456"), unsupported, "array of arrays"},
      {"G16 2^61 elements of 8 bytes", array_of(10, 1ull << 61, ""), corrupt, "at most 16777216"},
      {"G17 one byte too few", array_of(4, 3, "12345678901"), corrupt, "needs 12 bytes, 11 left"},
      {"G18 2^24+1 bools", array_of(7, (1 << 24) + 1, ""), corrupt, "at most 16777216"},
      {"G19 2^30 strings of which one is there", array_of(8, 1 << 24, Bytes().text("a").str()),
       corrupt, "16777216 records"},
      {"G20 string that reaches into the next record",
       array_of(8, 2, Bytes().text("a").u64(9).raw("abc").str()), corrupt, "needs 9 bytes"},
      {"G21 bool 2", with_value(MetaType::boolean, "\x02"), corrupt, "offset 39: bool of 2"},
      {"G21 bool 255", with_value(MetaType::boolean, "\xff"), corrupt, "bool of 255"},
      {"G21 bool 2 in an array", array_of(7, 3, "\0\1\2"s), corrupt, "bool of 2"},
      {"G22 alignment as i32", with_alignment(MetaType::i32, "\x20\0\0\0"s), corrupt, "holds i32"},
      {"G22 alignment as u64", with_alignment(MetaType::u64, "\x20\0\0\0\0\0\0\0"s), corrupt,
       "holds u64"},
      {"G22 alignment as text", with_alignment(MetaType::string, Bytes().text("32").str()), corrupt,
       "holds string"},
      {"G22 alignment as an array",
       with_alignment(MetaType::array, Bytes().u32(4).u64(1).u32(32).str()), corrupt,
       "holds an array"},
      {"G23 alignment 0", with_alignment(0), corrupt, "power of 2"},
      {"G23 alignment 1", with_alignment(1), corrupt, "power of 2"},
      {"G23 alignment 3", with_alignment(3), corrupt, "power of 2"},
      {"G23 alignment 4", with_alignment(4), corrupt, "power of 2"},
      {"G23 alignment 13", with_alignment(13), corrupt, "power of 2"},
      {"G23 alignment 8192", with_alignment(8192), corrupt, "power of 2"},
      {"G23 alignment 2^31", with_alignment(1u << 31), corrupt, "power of 2"},
      {"G24 2^32 * 2^32", with_tensor({1ull << 32, 1ull << 32}, f32, 0), corrupt, "overflows"},
      {"G24 2^62 * 4", with_tensor({1ull << 62, 4}, f32, 0), corrupt, "overflows"},
      {"G24 2^21 * 2^21 * 2^22", with_tensor({1 << 21, 1 << 21, 1 << 22}, i8, 0), corrupt,
       "overflows"},
      {"G24 3 * 2^62 * 2 * 2", with_tensor({3, 1ull << 62, 2, 2}, i8, 0), corrupt, "overflows"},
      {"G25 one byte past the end", with_tensor({16}, f32, 0, 63), corrupt, "64 bytes at 0 of 63"},
      {"G25 past the end by padding", with_tensor({24}, f32, 0), corrupt, "96 bytes at 0 of 64"},
      {"G25 past the end by 2^40", with_tensor({1ull << 40}, i8, 0), corrupt, "of 64"},
      {"G25 no data at all", with_tensor({4}, f32, 0, 0), corrupt, "16 bytes at 0 of 0"},
      {"G26 bytes overflow", with_tensor({1ull << 60}, q8_0, 0), corrupt, "of 64"},
      {"G26 bytes overflow, f32", with_tensor({1ull << 62}, f32, 0), corrupt, "overflows"},
      {"G27 sum of sizes overflows",
       with_tensors(
           {{"a", {(1ull << 63) - 64}, i8, 0}, {"b", {(1ull << 63) - 64}, i8, (1ull << 63) - 64}},
           64),
       corrupt, "of 64"},
      {"G28 offset and size overflow", with_tensor({64}, i8, huge - 31), corrupt, "of 64"},
      {"G29 rank 0", with_tensor({}, f32, 0), corrupt, "tensor 'w': offset 33: rank 0"},
      {"G29 rank 5", with_tensor({1, 1, 1, 1, 1}, f32, 0), corrupt, "rank 5"},
      {"G29 rank 2^31", header(1, 0).text("w").u32(1u << 31).raw(std::string(64, '\1')).str(),
       corrupt, "rank 2147483648"},
      {"G30 negative dim", with_tensor({1ull << 63}, i8, 0), corrupt, "dim -9223372036854775808"},
      {"G31 dim 0", with_tensor({4, 0}, f32, 0), corrupt, "dim 0"},
      {"G32 row of part of a block", with_tensor({33}, q8_0, 0), corrupt, "whole blocks of 32"},
      {"G32 Q4_K needs 256", with_tensor({32, 8}, q4_k, 0, 4096), corrupt, "whole blocks of 256"},
      {"G33 type 4", with_tensor({32}, 4, 0), unsupported, "Q4_2"},
      {"G33 type 5", with_tensor({32}, 5, 0), unsupported, "Q4_3"},
      {"G33 type 9", with_tensor({32}, 9, 0), unsupported, "Q8_1"},
      {"G33 type 31", with_tensor({32}, 31, 0), unsupported, "Q4_0_4_4"},
      {"G33 type 32", with_tensor({32}, 32, 0), unsupported, "Q4_0_4_8"},
      {"G33 type 33", with_tensor({32}, 33, 0), unsupported, "Q4_0_8_8"},
      {"G33 type 36", with_tensor({32}, 36, 0), unsupported, "I2_S"},
      {"G33 type 37", with_tensor({32}, 37, 0), unsupported, "IQ4_NL_4_8"},
      {"G33 type 38", with_tensor({32}, 38, 0), unsupported, "IQ4_NL_8_8"},
      {"G33 type 99", with_tensor({32}, 99, 0), unsupported, "ik_llama.cpp"},
      {"G33 type 144", with_tensor({32}, 144, 0), unsupported, "IQ4_KS"},
      {"G33 type 202", with_tensor({32}, 202, 0), unsupported, "interleaved"},
      {"G33 type 43", with_tensor({32}, 43, 0), unsupported, "type 43: unknown"},
      {"G33 type -1", with_tensor({32}, 0xFFFFFFFF, 0), unsupported, "type 4294967295"},
      {"G40 offset between alignments", with_tensor({4}, f32, 16), corrupt, "multiple of 32"},
      {"G41 gap", with_tensors({{"a", {4}, f32, 0}, {"b", {4}, f32, 64}}, 128), corrupt,
       "48 bytes before"},
      {"G41 gap before the first", with_tensor({4}, f32, 64, 128), corrupt, "64 bytes before"},
      {"G42 overlap of a part", with_tensors({{"a", {12}, f32, 0}, {"b", {8}, f32, 32}}, 64),
       corrupt, "tensor 'b': offset 82: data at 32 overlaps"},
      {"G42 same place", with_tensors({{"a", {8}, f32, 0}, {"b", {8}, f32, 0}}, 64), corrupt,
       "overlaps"},
      {"G42 one inside the other", with_tensors({{"a", {32}, f32, 0}, {"b", {4}, f32, 64}}, 128),
       corrupt, "overlaps"},
      {"G44 name of 64 bytes", with_name(std::string(64, 'n')), corrupt, "at most 63"},
      {"G44 empty name", with_name(""), corrupt, "tensor name ''"},
      {"G44 name twice", with_tensors({{"a", {8}, f32, 0}, {"a", {8}, f32, 32}}, 64), corrupt,
       "tensor 'a': twice"},
      {"G44 path as a name", with_name("a/b"), corrupt, "tensor name 'a/b'"},
      {"G44 name that climbs", with_name(".."), corrupt, "tensor name '..'"},
      {"G44 NUL in a name", with_name("a\0b"s), corrupt, R"(tensor name 'a\x00b')"},
      {"G44 escape in a name", with_name("\x1b[2J"), corrupt, R"(\x1b[2J)"},
      {"G53 fewer scores than tokens", vocabulary(3, 2), corrupt, "2 values for 3 tokens"},
      {"G53 more scores than tokens", vocabulary(3, 4), corrupt, "4 values for 3 tokens"},
  };
  for (const auto& row : rows) {
    CAPTURE(row.what);
    const auto got = read_gguf(bytes_of(row.bytes));
    REQUIRE(!got);
    CAPTURE(got.error().message());
    CHECK(got.error().kind() == row.kind);
    CHECK(got.error().message().find(row.says) != std::string::npos);
    CHECK(!has_control_characters(got.error().message()));
  }
}

TEST_CASE("an unusual GGUF file is read") {
  const struct {
    std::string what, bytes;
    std::size_t warnings;
  } rows[] = {
      {"no tensors, no pairs", header(0, 0).str(), 0},
      {"G04 version 2", header(0, 0, 2).str(), 0},
      {"G10 key of 65535 bytes", with_key(std::string(65535, 'k')), 0},
      {"G10 upper case: template names have it", with_key("tokenizer.chat_template.RAG"), 0},
      {"G14 string to the very end", with_value(MetaType::string, Bytes().text("ab").str()), 0},
      {"G23 alignment 8", with_alignment(8), 0},
      {"G23 alignment 4096", with_alignment(4096), 0},
      {"G25 no padding after the last tensor", with_tensor({15}, f32, 0, 60), 0},
      {"G29 rank 4", with_tensor({2, 2, 2, 2}, f32, 0), 0},
      {"G41 no more than an alignment between two",
       with_tensors({{"a", {8}, f32, 0}, {"b", {8}, f32, 64}}, 96), 0},
      {"G43 descending offsets", with_tensors({{"a", {8}, f32, 32}, {"b", {8}, f32, 0}}, 64), 0},
      {"G44 name of 63 bytes", with_name(std::string(63, 'n')), 0},
      {"G45 bytes after the last tensor", with_tensor({16}, f32, 0, 200), 1},
      {"G50 quantised data of any bytes", with_tensor({32}, q8_0, 0, 34), 0},
      {"G53 a score per token", vocabulary(3, 3), 0},
      {"G54 token that is not UTF-8", array_of(8, 1, Bytes().text("\xff\xfe").str()), 0},
      {"G54 token of 1 MiB", array_of(8, 1, Bytes().text(std::string(1 << 20, 'x')).str()), 0},
      {"every type of value", sample().str(), 0},
  };
  for (const auto& row : rows) {
    CAPTURE(row.what);
    const auto got = read_gguf(bytes_of(row.bytes));
    REQUIRE_MESSAGE(got, (got ? "" : got.error().message()));
    CHECK(got->warnings.size() == row.warnings);
    CHECK(survives(row.what, row.bytes));
  }
}

TEST_CASE("G43: a tensor has its bytes whatever the order") {
  std::string bytes = with_tensors({{"a", {32}, i8, 32}, {"b", {2, 16}, i8, 0}}, 0);
  bytes += std::string(32, 'b') + std::string(32, 'a');
  const auto file = read_gguf(bytes_of(bytes));
  REQUIRE(file);
  CHECK(text_of(file->tensors[0].data) == std::string(32, 'a'));
  CHECK(text_of(file->tensors[1].data) == std::string(32, 'b'));
  CHECK(file->tensors[1].shape == std::vector<std::uint64_t>{16, 2});
}

TEST_CASE("G11, G44: many keys and names are compared in no time, and a double is found") {
  constexpr std::size_t many = 65536;
  const auto file = [&](std::string_view last) {
    Bytes out = header(0, many);
    for (std::size_t i = 0; i < many; ++i)
      pair(out, i + 1 == many ? std::string(last) : fmt::format("key.{}", i), MetaType::u8).u8(1);
    return out.str();
  };
  const auto start = std::chrono::steady_clock::now();
  CHECK(read_gguf(bytes_of(file("key.last"))));
  const auto twice = read_gguf(bytes_of(file("key.0")));
  REQUIRE(!twice);
  CHECK(twice.error().message().find("metadata 'key.0': twice") != std::string::npos);

  std::vector<Info> infos;
  for (std::size_t i = 0; i < many; ++i)
    infos.push_back({fmt::format("t.{}", i), {32}, i8, 32 * i});
  infos.back().name = "t.0";
  CHECK(!read_gguf(bytes_of(with_tensors(infos, 32 * many))));
  CHECK(std::chrono::steady_clock::now() - start <
        std::chrono::seconds(20));  // sanitizers are slow
}

TEST_CASE("G15: nested arrays do not use the stack") {
  Bytes nested;
  for (int i = 0; i < 1'000'000; ++i) nested.raw("\x09\0\0\0\1\0\0\0\0\0\0\0"s);
  CHECK(!read_gguf(bytes_of(with_value(MetaType::array, nested.str()))));
}

TEST_CASE("version 1: lengths and dims are of 32 bits") {
  Bytes file;
  file.raw("GGUF").u32(1).u32(1).u32(2);
  file.text32("general.name").u32(8).text32("tiny");
  file.text32("names").u32(9).u32(8).u32(2).text32("a").text32("bc");
  file.text32("w").u32(2).u32(4).u32(2).u32(f32).u64(0);
  file.align(32).raw(std::string(32, '\0'));
  const auto got = read_gguf(bytes_of(file.str()));
  REQUIRE_MESSAGE(got, (got ? "" : got.error().message()));
  CHECK(*got->metadata.string("general.name") == "tiny");
  CHECK(*got->metadata.strings("names") == std::vector<std::string_view>{"a", "bc"});
  CHECK(got->tensors[0].shape == std::vector<std::uint64_t>{2, 4});
  truncate_everywhere(file, [](const std::string& what, const std::string& bytes) {
    if (survives(what, bytes)) FAIL_CHECK(what);
  });
  change_every_number(file, survives);
}

TEST_CASE("G62: nothing done to a GGUF file is a crash") {
  const Bytes file = sample();
  REQUIRE(survives("the sample", file.str()));
  truncate_everywhere(file, [](const std::string& what, const std::string& bytes) {
    if (survives(what, bytes)) FAIL_CHECK(what);
  });
  flip_every_bit(file, file.str().size(), survives);
  change_every_number(file, survives);
  change_pairs_of_numbers(file, survives);
  change_every_text(file, survives);
  append_and_prepend(file, survives);
}
