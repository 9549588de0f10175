// whisper.cpp's files: bad ones.  Good ones are held to transformers by the speech floor.
#include <doctest/doctest.h>

#include "base/bytes.h"
#include "formats/mutations.h"
#include "formats/package.h"

namespace hearth {
namespace {

using testing::Bytes;

// A header, no filters, two words, two tensors.
Bytes small_file() {
  Bytes file;
  file.raw("lmgg");
  for (const std::uint32_t number : {1708u, 1500u, 32u, 2u, 1u, 8u, 32u, 2u, 1u, 80u, 1u})
    file.u32(number);
  file.u32(1).u32(2).raw(std::string(8, '\0'));
  file.u32(2).text32("a").text32("\xC3");
  const auto tensor = [&](std::string_view name, std::vector<std::uint32_t> shape,
                          std::uint32_t type, std::size_t bytes) {
    file.u32(shape.size()).u32(name.size()).u32(type);
    for (const std::uint32_t extent : shape) file.u32(extent);
    file.raw(name).raw(std::string(bytes, '\1'));
  };
  tensor("encoder.conv1.bias", {1, 32}, 0, 128);
  tensor("encoder.blocks.0.attn.query.weight", {32, 2}, 8, 2 * 34);
  return file;
}

Result<Package> opened(const std::string& bytes) {
  return open_package("m.bin", MappedFile::of_program(bytes_of(bytes)));
}

void check(const std::string& what, const std::string& bytes) {
  CAPTURE(what);
  const auto package = opened(bytes);
  if (!package) {
    CHECK(!testing::has_control_characters(package.error().message()));
    return;
  }
  for (const TensorEntry& tensor : package->tensors)
    if (!tensor.make) CHECK(tensor.data.size() == tensor.bytes());
}

TEST_CASE("the smallest file of whisper.cpp opens as a folder would") {
  const auto package = opened(small_file().str());
  REQUIRE_MESSAGE(package.ok(), package.error().message());
  CHECK(package->format == "ggml");
  CHECK(package->naming == Naming::huggingface);
  CHECK(package->config.find("d_model")->as_integer() == 32);
  // 1,708 tokens: 100 of text, the end, the start, 99 languages, six more, 1,501 times.
  CHECK(package->generation_config.find("eos_token_id")->as_integer() == 100);
  CHECK(package->generation_config.find("no_timestamps_token_id")->as_integer() == 206);
  CHECK(package->generation_config.find("lang_to_id")->find("<|de|>")->as_integer() == 104);
  CHECK(text_of(package->files.find("whisper.tiktoken")->second) == "YQ== 0\nww== 1\n");
  CHECK(package->find("encoder.blocks.0.attn.query.weight")->dtype == Dtype::q8_0);
}

TEST_CASE("a file of whisper.cpp that was changed anywhere is refused or has whole tensors") {
  const Bytes file = small_file();
  testing::truncate_everywhere(file, check);
  testing::flip_every_bit(file, 400, check);
  testing::change_every_number(file, check);
  testing::append_and_prepend(file, check);
}

TEST_CASE("a file of whisper.cpp that lies is refused, and the message says how") {
  const auto with = [](std::size_t at, std::uint32_t value) {
    std::string bytes = small_file().str();
    return bytes.replace(at, 4, std::string(reinterpret_cast<const char*>(&value), 4));
  };
  const struct {
    std::string what, bytes;
    ErrorKind kind;
    const char* says;
  } rows[] = {
      {"few tokens", with(4, 100), ErrorKind::corrupt, "no Whisper"},
      {"two widths", with(28, 64), ErrorKind::corrupt, "no Whisper"},
      {"large filters", with(48, 1 << 20), ErrorKind::corrupt, "filters"},
      {"many words", with(64, 1 << 30), ErrorKind::corrupt, ""},
      {"a long word", with(68, 1 << 20), ErrorKind::corrupt, "a word of"},
  };
  for (const auto& row : rows) {
    CAPTURE(row.what);
    const auto package = opened(row.bytes);
    REQUIRE_FALSE(package.ok());
    CHECK(package.error().kind() == row.kind);
    CHECK_MESSAGE(package.error().message().find(row.says) != std::string::npos,
                  package.error().message());
  }
}

}  // namespace
}  // namespace hearth
