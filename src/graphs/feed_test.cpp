// What people give to inputs: each kind of file and literal, and what is refused.
#include "graphs/feed.h"

#include <doctest/doctest.h>
#include <fmt/core.h>

#include "base/bytes.h"
#include "base/files.h"
#include "formats/scratch_folder.h"
#include "graphs/npy.h"

namespace hearth::graphs {
namespace {

ValueInfo input(Element type, const Dims& dims) {
  ValueInfo info;
  info.name = "x";
  info.type = type;
  info.has_shape = true;
  for (const std::int64_t extent : dims) info.shape.push_back({extent, {}});
  return info;
}

struct Folder : hearth::testing::ScratchFolder {
  std::string file(const std::string& name, std::string_view text) const {
    REQUIRE(replace_file(path(name), bytes_of(text)).ok());
    return path(name);
  }
};

std::string little(std::uint64_t value, int bytes) {
  std::string text;
  for (int i = 0; i < bytes; ++i) text += static_cast<char>(value >> (8 * i));
  return text;
}

// A sound of one channel at 16,000 a second, in 16 bits.
std::string wave(const std::vector<std::int16_t>& samples) {
  std::string data;
  for (const std::int16_t sample : samples) data += little(static_cast<std::uint16_t>(sample), 2);
  return "RIFF" + little(36 + data.size(), 4) + "WAVEfmt " + little(16, 4) + little(1, 2) +
         little(1, 2) + little(16000, 4) + little(32000, 4) + little(2, 2) + little(16, 2) +
         "data" + little(data.size(), 4) + data;
}

std::vector<float> floats(const Result<Value>& value) {
  CAPTURE(value.ok() ? "" : value.error().message());
  REQUIRE(value.ok());
  const Tensor& tensor = value->tensor;
  REQUIRE(tensor.type == Element::f32);
  return {tensor.data<float>(), tensor.data<float>() + tensor.count};
}

TEST_CASE("sounds are numbers of -1 to 1, at the rate that is asked for") {
  const Folder folder;
  const ValueInfo any = input(Element::f32, {-1});
  const std::string file = folder.file("a.WAV", wave({0x4000, -0x2000}));
  CHECK(floats(feed(any, file, {})) == std::vector<float>{0.5f, -0.25f});
  CHECK(floats(feed(any, file, {.pixels = {}, .rate = 32000})).size() == 4);
  CHECK(floats(feed(input(Element::f32, {1, 2}), file, {})) == std::vector<float>{0.5f, -0.25f});
  const auto bad = feed(any, folder.file("bad.wav", wave({1, 2}).substr(0, 30)), {});
  REQUIRE_FALSE(bad.ok());
  CAPTURE(bad.error().message());
  CHECK(bad.error().message().find("bad.wav") != std::string::npos);
}

TEST_CASE("files are told by their first bytes") {
  const Folder folder;
  Tensor number = make_tensor(Element::f32, {1}).value();
  number.data<float>()[0] = 4;
  const ValueInfo info = input(Element::f32, {1});
  CHECK(floats(feed(info, folder.file("array", write_npy(number)), {})) == std::vector<float>{4});
  CHECK(floats(feed_bytes(info, bytes_of(write_npy(number)), {})) == std::vector<float>{4});
  CHECK(floats(feed(info, folder.file("a.JSON", R"({"shape": [1], "data": [3]})"), {})) ==
        std::vector<float>{3});
  const auto text = feed(input(Element::text, {1}), folder.file("a.txt", "two words\r\n"), {});
  REQUIRE(text.ok());
  CHECK(text->tensor.text(0) == "two words");
  CHECK_FALSE(feed(info, folder.file("unknown", "what is this"), {}).ok());
}

TEST_CASE("no number becomes another one unseen") {
  const auto of = [](Element type, const char* number) {
    return feed(input(type, {}), number, {});
  };
  const std::tuple<Element, const char*, bool> rows[] = {
      {Element::i64, "2.5", false},      {Element::u8, "255", true},
      {Element::u8, "256", false},       {Element::u8, "-1", false},
      {Element::i8, "-128", true},       {Element::i8, "128", false},
      {Element::i4, "-8", true},         {Element::i4, "8", false},
      {Element::boolean, "true", true},  {Element::boolean, "2", false},
      {Element::i64, "null", false},     {Element::i64, "9007199254740992", true},
      {Element::i64, "1e17", false},     {Element::c64, "1", false},
      {Element::i32, "2147483647", true}};
  for (const auto& [type, number, is_kept] : rows) {
    CAPTURE(number);
    const auto value = of(type, number);
    CHECK(value.ok() == is_kept);
    if (!value) CHECK(value.error().message().find("input 'x'") != std::string::npos);
  }
}

TEST_CASE("sequences are lists of arrays, maps objects") {
  ValueInfo info;
  info.name = "x";
  info.kind = Value::Kind::sequence;
  const auto list = feed(info, "[[1, 2], [[3]]]", {});
  REQUIRE(list.ok());
  REQUIRE(list->items->size() == 2);
  CHECK((*list->items)[1].tensor.dims == Dims{1, 1});
  CHECK_FALSE(feed(info, "3", {}).ok());
  info.kind = Value::Kind::map;
  CHECK(feed(info, R"({"a": 1})", {}).ok());
  CHECK_FALSE(feed(info, R"({"a": "b"})", {}).ok());
}

TEST_CASE("values are written whole: pairs of complex numbers, the largest of integers") {
  Tensor complex = make_tensor(Element::c64, {1}).value();
  complex.data<float>()[0] = 1.5f;
  complex.data<float>()[1] = -2;
  CHECK(write_json(to_json(complex)) == R"({"dtype":"complex64","shape":[1],"data":[[1.5,-2.0]]})");
  Tensor large = make_tensor(Element::u64, {1}).value();
  large.data<std::uint64_t>()[0] = std::uint64_t{1} << 63;
  CHECK(write_json(element_json(large, 0)) == "9223372036854775808.0");
}

TEST_CASE("arrays take the shape and type of their input") {
  const Folder folder;
  Tensor numbers = make_tensor(Element::f64, {6}).value();
  for (int i = 0; i < 6; ++i) numbers.data<double>()[i] = i;
  const std::string file = folder.file("a.npy", write_npy(numbers));
  const auto value = feed(input(Element::f32, {1, 2, -1}), file, {});
  CHECK(floats(value) == std::vector<float>{0, 1, 2, 3, 4, 5});
  CHECK(value->tensor.dims == Dims{1, 2, 3});
  const auto whole = feed(input(Element::i64, {6}), file, {});
  REQUIRE_FALSE(whole.ok());  // no number loses its fraction unseen
  CHECK(whole.error().message().find("input 'x': float64 [6]; needs int64 [6]") !=
        std::string::npos);
}

TEST_CASE("literals are numbers, arrays and text") {
  const auto of = [](const ValueInfo& info, const std::string& text) {
    return feed(info, text, {});
  };
  CHECK(floats(of(input(Element::f32, {}), "2.5")) == std::vector<float>{2.5f});
  CHECK(floats(of(input(Element::f32, {2, 2}), "[[1, 2], [3, true]]")) ==
        std::vector<float>{1, 2, 3, 1});
  CHECK(of(input(Element::f32, {1, 2, 2}), "[[1, 2], [3, 4]]")->tensor.dims == Dims{1, 2, 2});
  const auto text = of(input(Element::text, {1}), "a word");
  REQUIRE(text.ok());
  CHECK(text->tensor.text(0) == "a word");
  const std::tuple<const char*, const char*> bad[] = {
      {"[1, [2]]", "rows differ in depth"},
      {"[[1], 2]", "rows differ in depth"},
      {"[[1, 2], [3]]", "rows differ in length"},
      {"[[], [1]]", "rows differ in length"},
      {"[\"a\"]", "text; needs float32 [2]"},
      {"[1, \"a\"]", "text; needs float32 [2]"},
      {"[{}]", "other than numbers and text"},
      {"word", "neither a file nor a number nor an array"},
      {"none.npy", "none.npy"},
  };
  for (const auto& [given, reason] : bad) {
    CAPTURE(given);
    const auto value = of(input(Element::f32, {2}), given);
    REQUIRE_FALSE(value.ok());
    CAPTURE(value.error().message());
    CHECK(value.error().message().find(reason) != std::string::npos);
  }
}

TEST_CASE("JSON of requests may say its shape") {
  const ValueInfo info = input(Element::f32, {-1, 2});
  const auto of = [&](const char* text) { return feed_json(info, parse_json(text).value()); };
  const auto value = of(R"({"shape": [2, 2], "data": [1, 2, 3, 4]})");
  CHECK(floats(value) == std::vector<float>{1, 2, 3, 4});
  CHECK(value->tensor.dims == Dims{2, 2});
  for (const char* bad :
       {R"({"shape": [2, 2], "data": [1, 2, 3]})", R"({"shape": [-2, -2], "data": [1, 2, 3, 4]})",
        R"({"shape": [2.5], "data": [1]})", R"({"shape": 4, "data": [1]})", R"({"shape": [1]})",
        R"({"shape": [4611686018427387904, 4], "data": []})"}) {
    CAPTURE(bad);
    CHECK_FALSE(of(bad).ok());
  }
}

TEST_CASE("pictures become the input's size, order of axes and range") {
  const Folder folder;
  // Two points, red and white.
  const std::string picture =
      folder.file("a.ppm", "P6\n2 1\n255\n" + std::string("\xff\0\0\xff\xff\xff", 6));
  const auto of = [&](const Dims& dims, const Pixels& pixels) {
    return floats(feed(input(Element::f32, dims), picture, {.pixels = pixels}));
  };
  CHECK(of({1, 3, 1, 2}, raw_pixels) == std::vector<float>{255, 255, 0, 255, 0, 255});
  CHECK(of({1, 2, 2, 3}, unit_pixels) == std::vector<float>{1, 0, 0, 1, 1, 1, 1, 0, 0, 1, 1, 1});
  CHECK(of({-1, -1, 3}, signed_pixels) == std::vector<float>{1, -1, -1, 1, 1, 1});
  CHECK(of({1, 1, 1, 1}, raw_pixels)[0] == doctest::Approx((0.299 * 255 + 255) / 2).epsilon(0.01));
  const auto bytes = feed(input(Element::i8, {1, 2, 2, 3}), picture, {.pixels = unit_pixels});
  REQUIRE(bytes.ok());
  CHECK(bytes->tensor.data<std::int8_t>()[0] == 127);
  CHECK(bytes->tensor.data<std::int8_t>()[1] == -128);
  for (const Dims& dims : {Dims{2}, Dims{1, 4, 4, 4}, Dims{1, 3, 0, 2}}) {
    const auto refused = feed(input(Element::f32, dims), picture, {});
    CHECK_FALSE(refused.ok());
  }
}

}  // namespace
}  // namespace hearth::graphs
