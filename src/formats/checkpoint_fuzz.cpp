// Any bytes as a checkpoint: one file (GGML and the like), or a folder of files (MLX, MLC-LLM and
// the quantised checkpoints of Hugging Face), of which every tensor is put together.
//
// The first byte says which; a folder is name, length (u32) and bytes of each file, one after
// another.
#include <stdlib.h>

#include <array>
#include <cstdint>
#include <map>
#include <span>
#include <string>

#include "base/bytes.h"
#include "base/check.h"
#include "base/files.h"
#include "formats/package.h"

using namespace hearth;

namespace {

constexpr std::array names = {
    "config.json",       "model.safetensors",  "weights.npz",        "mlc-chat-config.json",
    "tensor-cache.json", "ndarray-cache.json", "params_shard_0.bin", "params_shard_1.bin",
    "vocabulary.json",   "model.bin",
};

const std::string& folder() {
  static const std::string path = [] {
    std::string name =
        is_folder("/dev/shm") ? "/dev/shm/hearth_fuzz_XXXXXX" : "/tmp/hearth_fuzz_XXXXXX";
    HEARTH_CHECK(::mkdtemp(name.data()) != nullptr);
    return name;
  }();
  return path;
}

// The files of the input that have a name, and no others.
void write_files(ByteReader in) {
  std::map<std::string, std::span<const std::byte>> files;
  while (in.remaining() > 0) {
    const auto which = in.value<std::uint8_t>();
    const auto size = in.value<std::uint32_t>();
    if (!which || !size) break;
    const auto bytes = in.take(std::min<std::uint64_t>(*size, in.remaining()));
    if (!bytes) break;
    files[names[*which % names.size()]] = *bytes;
  }
  for (const char* name : names) {
    const std::string path = join_path(folder(), name);
    const auto found = files.find(name);
    if (found == files.end())
      (void)::remove(path.c_str());
    else
      HEARTH_CHECK(replace_file(path, found->second).ok());
  }
}

void put_together(const Package& package) {
  constexpr std::uint64_t most = 1 << 22;
  unsigned sum = 0;  // so that every byte is touched
  for (const TensorEntry& tensor : package.tensors) {
    if (tensor.bytes() > most) continue;
    if (tensor.make) {
      const auto made = tensor.make();
      if (!made) continue;
      HEARTH_CHECK(made->size() == tensor.bytes());
      for (const std::byte byte : *made) sum += std::to_integer<unsigned>(byte);
    } else {
      HEARTH_CHECK(tensor.data.size() == tensor.bytes());
      for (const std::byte byte : tensor.data) sum += std::to_integer<unsigned>(byte);
    }
  }
  HEARTH_CHECK(sum != ~0u);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size == 0) return 0;
  const auto bytes = std::as_bytes(std::span(data, size)).subspan(1);
  if (data[0] % 2 == 0) write_files(ByteReader(bytes));
  const auto package = data[0] % 2 == 0 ? open_package(folder())
                                        : open_package("m.bin", MappedFile::of_program(bytes));
  if (package)
    put_together(*package);
  else
    for (const char c : package.error().message())
      HEARTH_CHECK(static_cast<unsigned char>(c) >= 0x20);
  return 0;
}
