// Any bytes as a safetensors file, and any text as an index of shards.
#include <cstdint>
#include <span>

#include "base/bytes.h"
#include "base/check.h"
#include "formats/safetensors.h"

using namespace hearth;

namespace {

void check_message(const Error& error) {
  for (const char c : error.message()) HEARTH_CHECK(static_cast<unsigned char>(c) >= 0x20);
}

void read_index(std::string_view text) {
  const auto index = read_shard_index(text);
  if (!index) return check_message(index.error());
  for (const ShardIndex::Shard& shard : index->shards) {
    HEARTH_CHECK(shard.file.find('/') == std::string::npos);
    HEARTH_CHECK(!shard.tensors.empty());
  }
}

void read_file(std::span<const std::byte> bytes) {
  const auto tensors = read_safetensors(bytes);
  if (!tensors) return check_message(tensors.error());
  std::vector<SafetensorsTensor> copies;
  for (const TensorEntry& entry : *tensors)
    copies.push_back({entry.name, entry.dtype, entry.shape, entry.data});
  const auto written = safetensors_bytes(copies);
  HEARTH_CHECK(written.ok());
  const auto again = read_safetensors(bytes_of(*written));
  HEARTH_CHECK(again.ok());
  HEARTH_CHECK(again->size() == tensors->size());
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const auto bytes = std::as_bytes(std::span(data, size));
  if (size > 0 && data[0] == '{')
    read_index(text_of(bytes));
  else
    read_file(bytes);
  return 0;
}
