// PyTorch files: what torch saved is read exactly, and what would do harm is refused by name.
// Ids (PK01 and so on) are those of the catalogue of bad inputs; the files come from
// scripts/golden_torch.py.
#include <doctest/doctest.h>
#include <fmt/core.h>

#include <cstring>

#include "base/bytes.h"
#include "base/half.h"
#include "formats/format.h"
#include "formats/mutations.h"
#include "formats/torch_file.h"

using namespace hearth;
using namespace hearth::testing;
using namespace std::string_view_literals;

namespace {

const std::string folder = "tests/golden/formats/pytorch/";

Json json_of(const std::string& name) {
  const auto text = read_file(folder + name, 64 << 20);
  REQUIRE(text.ok());
  const auto json = parse_json(*text);
  REQUIRE_MESSAGE(json.ok(), json.error().message());
  return *json;
}

std::string unhex(const std::string& hex) {
  const auto digit = [](char c) { return c <= '9' ? c - '0' : c - 'a' + 10; };
  std::string bytes;
  for (std::size_t i = 0; i + 1 < hex.size(); i += 2)
    bytes += static_cast<char>(digit(hex[i]) * 16 + digit(hex[i + 1]));
  return bytes;
}

template <typename T>
double number(const std::byte* from) {
  T value;
  std::memcpy(&value, from, sizeof value);
  return static_cast<double>(value);
}

double element(Dtype dtype, std::span<const std::byte> data, std::size_t i) {
  const std::byte* at = data.data() + i * info(dtype).block_bytes;
  const auto bits8 = std::to_integer<std::uint8_t>(*at);
  switch (dtype) {
    case Dtype::f32:
      return number<float>(at);
    case Dtype::f64:
      return number<double>(at);
    case Dtype::f16:
      return f16_to_f32(static_cast<std::uint16_t>(number<std::uint16_t>(at)));
    case Dtype::bf16:
      return bf16_to_f32(static_cast<std::uint16_t>(number<std::uint16_t>(at)));
    case Dtype::i8:
      return number<std::int8_t>(at);
    case Dtype::i16:
      return number<std::int16_t>(at);
    case Dtype::i32:
      return number<std::int32_t>(at);
    case Dtype::i64:
      return number<std::int64_t>(at);
    case Dtype::u16:
      return number<std::uint16_t>(at);
    case Dtype::f8_e4m3:
      return f8_e4m3_to_f32(bits8);
    case Dtype::f8_e5m2:
      return f8_e5m2_to_f32(bits8);
    default:
      return bits8;
  }
}

void check_tensor(const TensorEntry& tensor, const Json& wanted) {
  std::vector<std::byte> made;
  if (tensor.make) made = *tensor.make();
  const std::span<const std::byte> data =
      tensor.make ? std::span<const std::byte>(made) : tensor.data;
  Json shape = Json::array();
  for (const std::uint64_t extent : tensor.shape) shape.push_back(extent);
  CHECK(shape == *wanted.find("shape"));
  const auto& values = wanted.find("values")->as_array();
  REQUIRE(data.size() == values.size() * info(tensor.dtype).block_bytes);
  for (std::size_t i = 0; i < values.size(); ++i)
    CHECK(element(tensor.dtype, data, i) == values[i].as_number());
}

TEST_CASE("every tensor that torch saved is there, exactly") {
  const Json expected = json_of("expected.json");
  for (const auto& [name, tensors] : expected.as_object()) {
    CAPTURE(name);
    const auto file = read_file(folder + name, 1 << 20);
    REQUIRE(file.ok());
    const auto torch = read_torch(bytes_of(*file));
    REQUIRE_MESSAGE(torch.ok(), torch.error().message());
    CHECK(torch->tensors.size() == tensors.size());
    for (const TensorEntry& tensor : torch->tensors) {
      CAPTURE(tensor.name);
      const Json* wanted = tensors.find(tensor.name);
      REQUIRE(wanted != nullptr);
      check_tensor(tensor, *wanted);
    }
  }
}

TEST_CASE("what lies in one piece is not copied") {
  const auto file = read_file(folder + "views.pt", 1 << 20);
  REQUIRE(file.ok());
  const auto torch = read_torch(bytes_of(*file));
  REQUIRE(torch.ok());
  for (const TensorEntry& tensor : torch->tensors) {
    CAPTURE(tensor.name);
    const bool strided =
        tensor.name == "turned" || tensor.name == "columns" || tensor.name == "permuted";
    CHECK(static_cast<bool>(tensor.make) == strided);
    if (!strided && tensor.elements() > 0) {
      const auto* at = reinterpret_cast<const char*>(tensor.data.data());
      CHECK((at >= file->data() && at < file->data() + file->size()));
    }
  }
}

TEST_CASE("numbers beside the weights are kept") {
  const auto file = read_file(folder + "checkpoint.pt", 1 << 20);
  const auto torch = read_torch(bytes_of(*file));
  REQUIRE(torch.ok());
  CHECK(torch->arguments == Json::object({{"n_heads", 2}, {"name", "net"}}));
}

TEST_CASE("a file that would do harm is refused, and the message says what it is") {
  const Json rows = json_of("bad.json");
  for (const Json& row : rows.as_array()) {
    const std::string what = row.find("what")->as_string(), says = row.find("says")->as_string();
    CAPTURE(what);
    const std::string bytes = unhex(row.find("file")->as_string());
    const auto torch = read_torch(bytes_of(bytes));
    REQUIRE(!torch);
    CAPTURE(torch.error().message());
    CHECK(name_of(torch.error().kind()) == row.find("kind")->as_string());
    CHECK(torch.error().message().find(says) != std::string::npos);
    CHECK(!has_control_characters(torch.error().message()));
  }
}

// Either way it ends by returning; what is accepted lies inside the file.
void survives(const std::string& what, const std::string& bytes) {
  const auto torch = read_torch(bytes_of(bytes));
  if (!torch) {
    if (has_control_characters(torch.error().message())) FAIL_CHECK(what);
    return;
  }
  for (const TensorEntry& tensor : torch->tensors)
    if (tensor.make ? tensor.make()->size() != tensor.bytes()
                    : tensor.data.size() != tensor.bytes())
      FAIL_CHECK(what);
}

TEST_CASE("PK46: cut anywhere, any bit flipped, bytes before and behind") {
  for (const char* name : {"list.pt", "views-legacy.pt"}) {
    CAPTURE(std::string(name));
    const auto file = read_file(folder + name, 1 << 20);
    REQUIRE(file.ok());
    Bytes bytes;
    bytes.raw(*file);
    truncate_everywhere(bytes, [&](const std::string& what, const std::string& cut) {
      if (read_torch(bytes_of(cut)).ok()) FAIL_CHECK(what);
    });
    flip_every_bit(bytes, file->size(), survives);
    append_and_prepend(bytes, [&](const std::string& what, const std::string& changed) {
      if (read_torch(bytes_of(changed)).ok()) FAIL_CHECK(what);
    });
  }
}

TEST_CASE("PK20, PK21: much is shared at little cost") {
  std::string pickle = "\x80\x02]q";
  pickle += '\0';
  for (int i = 0; i < 200'000; ++i) pickle += std::string_view("](h\0h\0h\0eq\0", 11);
  pickle += '.';
  // Bytes of a ZIP around it do not matter here: the older form ends with it all the same.
  constexpr std::string_view magic =
      "\x80\x02\x8a\x0a\x6c\xfc\x9c\x46\xf9\x20\x6a\xa8\x50\x19.\x80\x02M\xe9\x03."
      "\x80\x02}(X\x0d\0\0\0little_endian\x88u."sv;
  const auto torch = read_torch(bytes_of(std::string(magic) + pickle));
  CHECK(!torch);
}

}  // namespace
