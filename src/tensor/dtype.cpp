#include "tensor/dtype.h"

#include <fmt/core.h>

#include <array>
#include <utility>

#include "base/bytes.h"

namespace hearth {
namespace {

using enum Dtype;

// In the order of the enum.
constexpr std::array table = std::to_array<DtypeInfo>({
    {f32, "f32", 1, 4, 0},
    {f16, "f16", 1, 2, 1},
    {bf16, "bf16", 1, 2, 30},
    {f64, "f64", 1, 8, 28},
    {i8, "i8", 1, 1, 24},
    {i16, "i16", 1, 2, 25},
    {i32, "i32", 1, 4, 26},
    {i64, "i64", 1, 8, 27},
    {u8, "u8", 1, 1, -1},
    {u16, "u16", 1, 2, -1},
    {u32, "u32", 1, 4, -1},
    {u64, "u64", 1, 8, -1},
    {boolean, "bool", 1, 1, -1},
    {f8_e4m3, "f8_e4m3", 1, 1, -1},
    {f8_e5m2, "f8_e5m2", 1, 1, -1},
    {f8_e8m0, "f8_e8m0", 1, 1, -1},
    {q4_0, "q4_0", 32, 18, 2},
    {q4_1, "q4_1", 32, 20, 3},
    {q5_0, "q5_0", 32, 22, 6},
    {q5_1, "q5_1", 32, 24, 7},
    {q8_0, "q8_0", 32, 34, 8},
    {q2_k, "q2_k", 256, 84, 10},
    {q3_k, "q3_k", 256, 110, 11},
    {q4_k, "q4_k", 256, 144, 12},
    {q5_k, "q5_k", 256, 176, 13},
    {q6_k, "q6_k", 256, 210, 14},
    {iq1_s, "iq1_s", 256, 50, 19},
    {iq1_m, "iq1_m", 256, 56, 29},
    {iq2_xxs, "iq2_xxs", 256, 66, 16},
    {iq2_xs, "iq2_xs", 256, 74, 17},
    {iq2_s, "iq2_s", 256, 82, 22},
    {iq3_xxs, "iq3_xxs", 256, 98, 18},
    {iq3_s, "iq3_s", 256, 110, 21},
    {iq4_nl, "iq4_nl", 32, 18, 20},
    {iq4_xs, "iq4_xs", 256, 136, 23},
    {tq1_0, "tq1_0", 256, 54, 34},
    {tq2_0, "tq2_0", 256, 66, 35},
    {mxfp4, "mxfp4", 32, 17, 39},
    {nvfp4, "nvfp4", 64, 36, 40},
    {q1_0, "q1_0", 128, 18, 41},
    {q2_0, "q2_0", 64, 18, 42},
});

consteval bool in_order() {
  for (std::size_t i = 0; i < table.size(); ++i)
    if (static_cast<std::size_t>(table[i].dtype) != i) return false;
  return true;
}
static_assert(in_order());

}  // namespace

std::span<const DtypeInfo> dtypes() { return table; }

const DtypeInfo& info(Dtype dtype) { return table[std::to_underlying(dtype)]; }

std::string_view name_of(Dtype dtype) { return info(dtype).name; }

std::optional<Dtype> dtype_from_gguf(std::uint32_t id) {
  for (const DtypeInfo& row : table)
    if (row.gguf_id >= 0 && static_cast<std::uint32_t>(row.gguf_id) == id) return row.dtype;
  return std::nullopt;
}

bool is_quantised(Dtype dtype) { return info(dtype).block_elements > 1; }

Result<std::uint64_t> byte_size(Dtype dtype, std::uint64_t elements) {
  const DtypeInfo& row = info(dtype);
  if (elements % row.block_elements != 0)
    return Error(ErrorKind::corrupt, fmt::format("{} elements are not whole blocks of {} ({})",
                                                 elements, row.block_elements, row.name));
  return checked_mul(elements / row.block_elements, row.block_bytes);
}

}  // namespace hearth
