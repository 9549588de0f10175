// MLC-LLM folders: bad ones.  Good ones are held to transformers by the models floor.
#include <doctest/doctest.h>

#include "base/bytes.h"
#include "formats/package.h"
#include "formats/scratch_folder.h"

namespace hearth {
namespace {

const std::string golden = "tests/golden/formats/quantised/mlc-q4f16_1";

// The golden folder, with one text in one file replaced.
struct Change {
  std::string file, from, to;
};

Result<Package> opened_with(const Change& change) {
  const testing::ScratchFolder folder;
  const auto names = list_folder(golden);
  REQUIRE(names.ok());
  for (const std::string& name : *names) {
    std::string bytes = *read_file(join_path(golden, name), 1 << 20);
    if (name == change.file) {
      const auto at = bytes.find(change.from);
      REQUIRE(at != std::string::npos);
      bytes.replace(at, change.from.size(), change.to);
    }
    REQUIRE(replace_file(folder.path(name), bytes_of(bytes)).ok());
  }
  return open_package(folder.path(""));
}

TEST_CASE("an MLC folder that lies is refused, and the message says how") {
  const std::string cache = "ndarray-cache.json", chat = "mlc-chat-config.json";
  const struct {
    std::string what;
    Change change;
    ErrorKind kind;
    const char* says;
  } rows[] = {
      {"no list",
       {cache, "\"records\": [{\"dataPath\"", "\"x\": [{\"dataPath\""},
       ErrorKind::corrupt,
       "needs records"},
      {"a shard elsewhere",
       {cache, "params_shard_0.bin", "../params_shard_0.bin"},
       ErrorKind::corrupt,
       "plain name"},
      {"a shard in parts",
       {cache, "params_shard_0.bin", "params_shard_0.bin?partitions=2"},
       ErrorKind::corrupt,
       "plain name"},
      {"a shard that is not there",
       {cache, "params_shard_1.bin", "params_shard_7.bin"},
       ErrorKind::not_found,
       "params_shard_7.bin"},
      {"another encoding", {cache, "raw-shard", "packed"}, ErrorKind::unsupported, "'packed'"},
      {"a type from the future",
       {cache, "\"dtype\": \"uint32\"", "\"dtype\": \"uint5\""},
       ErrorKind::unsupported,
       "dtype 'uint5'"},
      {"bytes past the end",
       {cache, "\"byteOffset\": 0", "\"byteOffset\": 99999999"},
       ErrorKind::corrupt,
       "bytes at 99999999"},
      {"an offset below zero",
       {cache, "\"byteOffset\": 0", "\"byteOffset\": -1"},
       ErrorKind::corrupt,
       "'byteOffset'"},
      {"bytes that do not fit",
       {cache, "\"nbytes\": 2048", "\"nbytes\": 2047"},
       ErrorKind::corrupt,
       "do not fit its shape"},
      {"a shape that wraps",
       {cache, "\"shape\": [64, 8]", "\"shape\": [4294967296, 4294967296]"},
       ErrorKind::corrupt,
       ""},
      {"a scale of another shape",
       {cache, "\"shape\": [64, 2]", "\"shape\": [128, 1]"},
       ErrorKind::corrupt,
       "do not fit 64 inputs"},
      {"codes without scales",
       {cache, "qkv_proj.q_scale", "qkv_proj.q_scales"},
       ErrorKind::corrupt,
       "qkv_proj.q_scale is missing"},
      {"no list at all", {cache, "{", "["}, ErrorKind::corrupt, cache.c_str()},
      {"heads that do not fit",
       {chat, "\"num_key_value_heads\": 2", "\"num_key_value_heads\": 3"},
       ErrorKind::corrupt,
       "rows"},
      {"heads without end",
       {chat, "\"head_dim\": 16", "\"head_dim\": 999999999999"},
       ErrorKind::corrupt,
       "out of range"},
      {"no heads",
       {chat, "\"num_attention_heads\": 4", "\"num_attention_heads\": 0"},
       ErrorKind::corrupt,
       "out of range"},
      {"another architecture", {chat, "\"llama\"", "\"rwkv6\""}, ErrorKind::unsupported, "'rwkv6'"},
      {"another scheme", {chat, "q4f16_1", "q4f16_ft"}, ErrorKind::unsupported, "'q4f16_ft'"},
      {"another number of bits", {chat, "q4f16_1", "q3f16_1"}, ErrorKind::corrupt, "do not fit"},
  };
  for (const auto& row : rows) {
    CAPTURE(row.what);
    const auto package = opened_with(row.change);
    REQUIRE(!package);
    CAPTURE(package.error().message());
    CHECK(package.error().kind() == row.kind);
    CHECK(package.error().message().find(row.says) != std::string::npos);
  }
}

}  // namespace
}  // namespace hearth
