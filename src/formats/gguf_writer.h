// Writing GGUF files (version 3, little-endian).
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "formats/metadata.h"
#include "formats/streamed.h"

namespace hearth {

// A metadata value of its own: `of(7u)`, `array<float>(scores)`, `text("llama")`.
struct GgufValue {
  MetaType type;
  bool is_array = false;
  std::uint64_t count = 1;
  std::string bytes;  // as MetaValue::bytes

  // T: u8 to i64, float, double, bool.
  template <typename T>
  static GgufValue of(T value);
  template <typename T>
  static GgufValue array(std::span<const T> values);
  static GgufValue text(std::string_view value);
  static GgufValue texts(std::span<const std::string_view> values);
  static GgufValue copy(const MetaValue& value);
};

using GgufTensor = StreamedTensor;

struct GgufContents {
  struct Pair {
    std::string key;
    GgufValue value;
  };
  std::vector<Pair> metadata;
  std::vector<GgufTensor> tensors;
  std::uint32_t alignment = 32;  // another one is written as general.alignment
};

// Errors: invalid (a name, shape, type or amount of data that a GGUF file cannot hold), io, and
// those of GgufTensor::data.
Status write_gguf(const std::string& path, const GgufContents& contents);  // as DraftFile
Result<std::string> gguf_bytes(const GgufContents& contents);

}  // namespace hearth
