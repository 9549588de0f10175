// Llama files older than GGUF: bad ones.  Good ones are held to transformers by the models floor.
#include <doctest/doctest.h>

#include <algorithm>

#include "base/bytes.h"
#include "base/files.h"
#include "formats/mutations.h"
#include "formats/package.h"

namespace hearth {
namespace {

using testing::Bytes;

// The smallest llama: one layer, width 32, two heads, three pieces.
Bytes small_file(std::uint32_t version) {
  Bytes file;
  file.raw("tjgg").u32(version);
  for (const std::uint32_t number : {3u, 32u, 32u, 2u, 1u, 16u, 0u}) file.u32(number);
  for (const char* piece : {"", "", "x"}) file.text32(piece).u32(0);
  const auto tensor = [&](std::string_view name, std::vector<std::uint32_t> shape,
                          std::uint32_t type, std::size_t bytes) {
    file.u32(shape.size()).u32(name.size()).u32(type);
    for (const std::uint32_t extent : shape) file.u32(extent);
    file.raw(name).align(32).raw(std::string(bytes, '\1'));
  };
  tensor("tok_embeddings.weight", {32, 3}, 2, 3 * 20);
  tensor("norm.weight", {32}, 0, 128);
  tensor("output.weight", {32, 3}, 1, 3 * 64);
  for (const char* name : {"attention.wq", "attention.wk", "attention.wv", "attention.wo",
                           "feed_forward.w1", "feed_forward.w2", "feed_forward.w3"})
    tensor(std::string("layers.0.") + name + ".weight", {32, 32}, 2, 32 * 20);
  for (const char* name : {"attention_norm", "ffn_norm"})
    tensor(std::string("layers.0.") + name + ".weight", {32}, 0, 128);
  return file;
}

Result<Package> opened(const std::string& bytes) {
  return open_package("m.bin", MappedFile::of_program(bytes_of(bytes)));
}

// Refused with words, or a package whose tensors have the bytes that their shapes say.
void check(const std::string& what, const std::string& bytes) {
  CAPTURE(what);
  const auto package = opened(bytes);
  if (!package) {
    CHECK(!testing::has_control_characters(package.error().message()));
    return;
  }
  for (const TensorEntry& tensor : package->tensors) {
    if (tensor.make) {
      const auto made = tensor.make();
      REQUIRE(made.ok());
      CHECK(made->size() == tensor.bytes());
    } else {
      CHECK(tensor.data.size() == tensor.bytes());
    }
  }
}

TEST_CASE("the smallest old llama opens, as rows of GGUF") {
  for (const std::uint32_t version : {1u, 2u}) {
    const auto package = opened(small_file(version).str());
    REQUIRE_MESSAGE(package.ok(), package.error().message());
    CHECK(package->format == "ggml");
    CHECK(package->tensors.size() == 12);
    CHECK(package->find("blk.0.ffn_gate.weight")->dtype == Dtype::q4_0);
    CHECK(*package->metadata.unsigned_integer("llama.attention.head_count") == 2);
    CHECK(package->metadata.strings("tokenizer.ggml.tokens")->at(0) == "<unk>");
  }
}

TEST_CASE("an old llama that was changed anywhere is refused or has whole tensors") {
  const Bytes file = small_file(1);
  testing::truncate_everywhere(file, check);
  testing::flip_every_bit(file, 600, check);
  testing::change_every_number(file, check);
  testing::append_and_prepend(file, check);
}

TEST_CASE("an old file that is no such llama says what it is") {
  const auto with = [](std::size_t at, std::uint32_t value) {
    std::string bytes = small_file(1).str();
    return bytes.replace(at, 4, std::string(reinterpret_cast<const char*>(&value), 4));
  };
  const auto renamed = [] {
    std::string bytes = small_file(1).str();
    return bytes.replace(bytes.find("tok_embeddings"), 14, "token_pictures");
  };
  const struct {
    std::string what, bytes;
    ErrorKind kind;
    const char* says;
  } rows[] = {
      {"a version to come", with(4, 9), ErrorKind::unsupported, "version 9"},
      {"no heads", with(20, 0), ErrorKind::corrupt, "the sizes are those of no llama"},
      {"heads that do not divide", with(20, 3), ErrorKind::corrupt, "no llama"},
      {"too many layers", with(24, 5000), ErrorKind::corrupt, "no llama"},
      {"a piece past the end", with(36, 0x7fffffff), ErrorKind::corrupt, "a piece of"},
      {"another architecture", renamed(), ErrorKind::unsupported, "we read llamas"},
  };
  for (const auto& row : rows) {
    CAPTURE(row.what);
    const auto package = opened(row.bytes);
    REQUIRE(!package);
    CHECK(package.error().kind() == row.kind);
    CAPTURE(package.error().message());
    CHECK(package.error().message().find(row.says) != std::string::npos);
  }
}

}  // namespace
}  // namespace hearth
