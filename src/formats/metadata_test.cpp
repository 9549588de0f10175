#include "formats/metadata.h"

#include <doctest/doctest.h>

#include "base/bytes.h"
#include "formats/gguf.h"
#include "formats/gguf_writer.h"
#include "formats/scratch_folder.h"

using namespace hearth;
using namespace hearth::testing;

namespace {

// The metadata of a file with these pairs; `keep` holds the bytes it points into.
Metadata read_back(const GgufContents& contents, std::string& keep) {
  keep = *gguf_bytes(contents);
  auto file = read_gguf(bytes_of(keep));
  REQUIRE(file);
  return std::move(file->metadata);
}

GgufContents every_kind() {
  static constexpr std::int32_t numbers[] = {-1, 0, 7};
  static constexpr float reals[] = {0.5f, -2};
  static constexpr bool flags[] = {true, false};
  static constexpr std::string_view texts[] = {"a", "", "caf\xC3\xA9"};
  return {.metadata = {{"u8", GgufValue::of(std::uint8_t{200})},
                       {"i8", GgufValue::of(std::int8_t{-5})},
                       {"u16", GgufValue::of(std::uint16_t{65535})},
                       {"i16", GgufValue::of(std::int16_t{-32768})},
                       {"u32", GgufValue::of(4294967295u)},
                       {"i32", GgufValue::of(-2147483647)},
                       {"u64", GgufValue::of(std::uint64_t{1} << 63)},
                       {"i64", GgufValue::of(std::int64_t{-1})},
                       {"f32", GgufValue::of(1.5f)},
                       {"f64", GgufValue::of(2.5)},
                       {"bool", GgufValue::of(true)},
                       {"text", GgufValue::text("x\xFF")},
                       {"numbers", GgufValue::array<std::int32_t>(numbers)},
                       {"reals", GgufValue::array<float>(reals)},
                       {"flags", GgufValue::array<bool>(flags)},
                       {"texts", GgufValue::texts(texts)}},
          .tensors = {}};
}

template <typename T>
std::string outcome(const Result<T>& result) {
  return result.ok() ? "ok" : std::string(name_of(result.error().kind()));
}

}  // namespace

TEST_CASE("every kind of value is read as what it is, or refused by name") {
  std::string keep;
  const Metadata metadata = read_back(every_kind(), keep);
  CHECK(*metadata.unsigned_integer("u8") == 200);
  CHECK(*metadata.integer("i8") == -5);
  CHECK(*metadata.unsigned_integer("u16") == 65535);
  CHECK(*metadata.integer("i16") == -32768);
  CHECK(*metadata.integer("u32") == 4294967295);
  CHECK(*metadata.integer("i32") == -2147483647);
  CHECK(*metadata.unsigned_integer("u64") == 1ull << 63);
  CHECK(*metadata.integer("i64") == -1);
  CHECK(*metadata.real("f32") == 1.5);
  CHECK(*metadata.real("f64") == 2.5);
  CHECK(*metadata.boolean("bool"));
  CHECK(*metadata.string("text") == "x\xFF");
  CHECK(*metadata.integers("numbers") == std::vector<std::int64_t>{-1, 0, 7});
  CHECK(*metadata.reals("reals") == std::vector<float>{0.5f, -2});
  CHECK(*metadata.booleans("flags") == std::vector<bool>{true, false});
  CHECK(*metadata.strings("texts") == std::vector<std::string_view>{"a", "", "caf\xC3\xA9"});
  CHECK(*metadata.unsigned_integers("u8") == std::vector<std::uint64_t>{200});  // one is a list
  CHECK(*metadata.strings("text") == std::vector<std::string_view>{"x\xFF"});

  CHECK(outcome(metadata.integer("absent")) == name_of(ErrorKind::not_found));
  CHECK(outcome(metadata.unsigned_integer("i8")) == name_of(ErrorKind::corrupt));
  CHECK(outcome(metadata.integer("u64")) == name_of(ErrorKind::corrupt));
  CHECK(outcome(metadata.integer("f32")) == name_of(ErrorKind::corrupt));
  CHECK(outcome(metadata.real("u8")) == name_of(ErrorKind::corrupt));
  CHECK(outcome(metadata.boolean("u8")) == name_of(ErrorKind::corrupt));
  CHECK(outcome(metadata.string("numbers")) == name_of(ErrorKind::corrupt));
  CHECK(outcome(metadata.integer("numbers")) == name_of(ErrorKind::corrupt));
  CHECK(outcome(metadata.unsigned_integers("numbers")) == name_of(ErrorKind::corrupt));
  CHECK(outcome(metadata.strings("reals")) == name_of(ErrorKind::corrupt));
  CHECK(metadata.real("u8").error().message() == "metadata 'u8': holds a u8, needs a float");
  CHECK(metadata.integer("numbers").error().message() ==
        "metadata 'numbers': holds an array of 3 i32, needs an integer");
  CHECK(metadata.integer("u64").error().message() ==
        "metadata 'u64': 9223372036854775808 is out of range, needs an i64");
}

TEST_CASE("metadata for people") {
  std::string keep;
  const Metadata metadata = read_back(every_kind(), keep);
  const Json json = metadata.to_json(2);
  CHECK(json.size() == 16);
  CHECK(json.find("i8")->as_integer() == -5);
  CHECK(write_json(*json.find("f32")) == "1.5");
  CHECK(json.find("bool")->as_bool());
  CHECK(json.find("text")->as_string() == "x\xEF\xBF\xBD");
  CHECK(json.find("numbers")->as_string() == "3 x i32");
  CHECK(write_json(*json.find("reals")) == "[0.5,-2.0]");
}

TEST_CASE("a writer refuses what no reader would take") {
  const std::string data(64, '\0');
  const auto tensor = [&](std::string name, Dtype dtype, std::vector<std::uint64_t> shape,
                          std::size_t bytes) {
    return GgufTensor{std::move(name), dtype, std::move(shape), [&data, bytes] {
                        return Result<std::span<const std::byte>>(
                            bytes_of(std::string_view(data).substr(0, bytes)));
                      }};
  };
  const struct {
    std::string what, says;
    GgufContents contents;
  } rows[] = {
      {"empty name",
       "name has 1 to 63",
       {.metadata = {}, .tensors = {tensor("", Dtype::f32, {1}, 4)}}},
      {"long name",
       "name has 1 to 63",
       {.metadata = {}, .tensors = {tensor(std::string(64, 'n'), Dtype::f32, {1}, 4)}}},
      {"rank 0", "rank 0", {.metadata = {}, .tensors = {tensor("w", Dtype::f32, {}, 4)}}},
      {"rank 5",
       "rank 5",
       {.metadata = {}, .tensors = {tensor("w", Dtype::f32, {1, 1, 1, 1, 1}, 4)}}},
      {"no elements",
       "rows of 0",
       {.metadata = {}, .tensors = {tensor("w", Dtype::f32, {1, 0}, 0)}}},
      {"part of a block",
       "whole blocks of q8_0",
       {.metadata = {}, .tensors = {tensor("w", Dtype::q8_0, {31}, 34)}}},
      {"a type GGUF lacks",
       "bool is not in GGUF",
       {.metadata = {}, .tensors = {tensor("w", Dtype::boolean, {1}, 1)}}},
      {"too little data",
       "3 bytes of data, needs 4",
       {.metadata = {}, .tensors = {tensor("w", Dtype::f32, {1}, 3)}}},
      {"tensor twice",
       "tensor 'w': twice",
       {.metadata = {},
        .tensors = {tensor("w", Dtype::f32, {1}, 4), tensor("w", Dtype::f32, {1}, 4)}}},
      {"key twice",
       "key 'k': twice",
       {.metadata = {{"k", GgufValue::of(1u)}, {"k", GgufValue::of(1u)}}, .tensors = {}}},
      {"alignment", "alignment 48", {.metadata = {}, .tensors = {}, .alignment = 48}},
  };
  for (const auto& row : rows) {
    CAPTURE(row.what);
    const auto bytes = gguf_bytes(row.contents);
    REQUIRE(!bytes);
    CHECK(bytes.error().kind() == ErrorKind::invalid);
    CHECK(bytes.error().message().find(row.says) != std::string::npos);
    const ScratchFolder folder;
    CHECK(!write_gguf(folder.path("m.gguf"), row.contents));
    CHECK(list_folder(folder.path(""))->empty());
  }
}

TEST_CASE("alignments survive") {
  for (const std::uint32_t alignment : {8u, 32u, 64u, 4096u}) {
    const std::string data(40, '\7');
    GgufContents contents{.metadata = {}, .tensors = {}, .alignment = alignment};
    for (const char* name : {"a", "b"})
      contents.tensors.push_back({name, Dtype::f32, {2, 5}, [&] {
                                    return Result<std::span<const std::byte>>(bytes_of(data));
                                  }});
    const std::string bytes = *gguf_bytes(contents);
    const auto file = read_gguf(bytes_of(bytes));
    REQUIRE(file);
    CHECK(file->alignment == alignment);
    CHECK(file->warnings.empty());
    CHECK(text_of(file->tensors[1].data) == data);
    CHECK((file->tensors[1].data.data() - file->tensors[0].data.data()) % alignment == 0);
  }
}
