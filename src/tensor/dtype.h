// Element types of tensors, quantised blocks included: their names and sizes.
// Source: the GGUF specification's list of tensor types; the safetensors list of dtypes.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string_view>

#include "base/result.h"

namespace hearth {

enum class Dtype : std::uint8_t {
  f32,
  f16,
  bf16,
  f64,
  i8,
  i16,
  i32,
  i64,
  u8,
  u16,
  u32,
  u64,
  boolean,
  f8_e4m3,
  f8_e5m2,
  f8_e8m0,
  q4_0,
  q4_1,
  q5_0,
  q5_1,
  q8_0,
  q2_k,
  q3_k,
  q4_k,
  q5_k,
  q6_k,
  iq1_s,
  iq1_m,
  iq2_xxs,
  iq2_xs,
  iq2_s,
  iq3_xxs,
  iq3_s,
  iq4_nl,
  iq4_xs,
  tq1_0,
  tq2_0,
  mxfp4,
  nvfp4,
  q1_0,
  q2_0,
};

// How a type is stored: rows are whole blocks of `block_elements`, each `block_bytes` long.
struct DtypeInfo {
  Dtype dtype;
  std::string_view name;  // "q4_k"
  std::uint32_t block_elements;
  std::uint32_t block_bytes;
  std::int32_t gguf_id;  // -1: not in GGUF files
};

std::span<const DtypeInfo> dtypes();
const DtypeInfo& info(Dtype dtype);
std::string_view name_of(Dtype dtype);
std::optional<Dtype> dtype_from_gguf(std::uint32_t id);
bool is_quantised(Dtype dtype);  // stored in blocks of more than one element

// Bytes of `elements` elements, which must be whole blocks; checked.
Result<std::uint64_t> byte_size(Dtype dtype, std::uint64_t elements);

}  // namespace hearth
