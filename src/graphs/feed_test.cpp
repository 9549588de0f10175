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

std::string chunk(std::string_view id, const std::string& body) {
  return std::string(id) + little(body.size(), 4) + body + (body.size() % 2 != 0 ? "\1" : "");
}

// The body of "fmt "; a sub-format makes it an extensible one.
std::string wave_form(int format, int channels, int bits, int sub_format = 0) {
  std::string body = little(static_cast<unsigned>(sub_format > 0 ? 0xFFFE : format), 2) +
                     little(static_cast<unsigned>(channels), 2) + little(16000, 4) +
                     little(64000, 4) + little(4, 2) + little(static_cast<unsigned>(bits), 2);
  if (sub_format > 0)
    body += little(22, 2) + little(24, 2) + little(0, 4) +
            little(static_cast<unsigned>(sub_format), 2) + std::string(14, '\0');
  return body;
}

std::string wave(const std::string& form, const std::string& data) {
  return chunk("RIFF", "WAVE" + chunk("LIST", "odd") + chunk("fmt ", form) + chunk("data", data));
}

std::vector<float> floats(const Result<Value>& value) {
  CAPTURE(value.ok() ? "" : value.error().message());
  REQUIRE(value.ok());
  const Tensor& tensor = value->tensor;
  REQUIRE(tensor.type == Element::f32);
  return {tensor.data<float>(), tensor.data<float>() + tensor.count};
}

TEST_CASE("sounds are one channel of -1 to 1, whatever they are stored as") {
  const Folder folder;
  const ValueInfo any = input(Element::f32, {-1});
  const auto read = [&](const std::string& form, const std::string& data) {
    return floats(feed(any, folder.file("a.wav", wave(form, data)), Pixels::raw));
  };
  const std::string half = little(0x3f000000, 4), less = little(0xbe800000, 4);  // 0.5, -0.25
  CHECK(read(wave_form(1, 1, 16), little(0x4000, 2) + little(0xe000, 2)) ==
        std::vector<float>{0.5f, -0.25f});
  CHECK(read(wave_form(1, 2, 16), little(0x4000, 2) + little(0xc000, 2)) ==
        std::vector<float>{0});  // the mean of two channels
  CHECK(read(wave_form(1, 1, 8), "\xc0\x60") == std::vector<float>{0.5f, -0.25f});
  CHECK(read(wave_form(1, 1, 24), little(0x400000, 3) + little(0xe00000, 3)) ==
        std::vector<float>{0.5f, -0.25f});
  CHECK(read(wave_form(1, 1, 32), little(0x40000000, 4)) == std::vector<float>{0.5f});
  CHECK(read(wave_form(3, 1, 32), half + less) == std::vector<float>{0.5f, -0.25f});
  CHECK(read(wave_form(0, 1, 32, 3), half + less) == std::vector<float>{0.5f, -0.25f});
  CHECK(read(wave_form(0, 1, 24, 1), little(0x400000, 3)) == std::vector<float>{0.5f});
}

TEST_CASE("a bad sound is refused with what it is") {
  const Folder folder;
  const ValueInfo any = input(Element::f32, {-1});
  const std::string whole = wave(wave_form(1, 1, 16), "abcd");
  const std::tuple<std::string, const char*> cases[] = {
      {"RIFX" + whole.substr(4), "not a WAVE file"},
      {wave(wave_form(1, 1, 12), "abcd"), "1 channels of 12 bits"},
      {wave(wave_form(1, 0, 16), "abcd"), "0 channels of 16 bits"},
      {wave(wave_form(1, 1, 64), "abcd"), "of 64 bits"},
      {wave(wave_form(3, 1, 16), "abcd"), "format 3 with 1 channels of 16 bits"},
      {wave(wave_form(0x11, 1, 4), "abcd"), "format 17"},
      {chunk("RIFF", "WAVE" + chunk("data", "abcd")), "before its format"},
      {chunk("RIFF", "WAVE" + chunk("fmt ", "ab")), ""},
      {whole.substr(0, 30), ""},
  };
  for (const auto& [bytes, reason] : cases) {
    const auto value = feed(any, folder.file("bad.wav", bytes), Pixels::raw);
    REQUIRE_FALSE(value.ok());
    CAPTURE(value.error().message());
    CHECK(value.error().message().find(reason) != std::string::npos);
    CHECK(value.error().message().find("bad.wav") != std::string::npos);
  }
}

TEST_CASE("arrays take the shape and type of their input") {
  const Folder folder;
  Tensor numbers = make_tensor(Element::f64, {6}).value();
  for (int i = 0; i < 6; ++i) numbers.data<double>()[i] = i;
  const std::string file = folder.file("a.npy", write_npy(numbers));
  const auto value = feed(input(Element::f32, {1, 2, -1}), file, Pixels::raw);
  CHECK(floats(value) == std::vector<float>{0, 1, 2, 3, 4, 5});
  CHECK(value->tensor.dims == Dims{1, 2, 3});
  const auto whole = feed(input(Element::i64, {6}), file, Pixels::raw);
  REQUIRE_FALSE(whole.ok());  // no number loses its fraction unseen
  CHECK(whole.error().message().find("input 'x': float64 [6]; needs int64 [6]") !=
        std::string::npos);
}

TEST_CASE("literals are numbers, arrays and text") {
  const auto of = [](const ValueInfo& info, const std::string& text) {
    return feed(info, text, Pixels::raw);
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
  const auto of = [&](const Dims& dims, Pixels pixels) {
    return floats(feed(input(Element::f32, dims), picture, pixels));
  };
  CHECK(of({1, 3, 1, 2}, Pixels::raw) == std::vector<float>{255, 255, 0, 255, 0, 255});
  CHECK(of({1, 2, 2, 3}, Pixels::unit) == std::vector<float>{1, 0, 0, 1, 1, 1, 1, 0, 0, 1, 1, 1});
  CHECK(of({-1, -1, 3}, Pixels::signed_unit) == std::vector<float>{1, -1, -1, 1, 1, 1});
  CHECK(of({1, 1, 1, 1}, Pixels::raw)[0] == doctest::Approx((0.299 * 255 + 255) / 2).epsilon(0.01));
  const auto bytes = feed(input(Element::i8, {1, 2, 2, 3}), picture, Pixels::unit);
  REQUIRE(bytes.ok());
  CHECK(bytes->tensor.data<std::int8_t>()[0] == 127);
  CHECK(bytes->tensor.data<std::int8_t>()[1] == -128);
  for (const Dims& dims : {Dims{2}, Dims{1, 4, 4, 4}, Dims{1, 3, 0, 2}}) {
    const auto refused = feed(input(Element::f32, dims), picture, Pixels::raw);
    CHECK_FALSE(refused.ok());
  }
}

}  // namespace
}  // namespace hearth::graphs
