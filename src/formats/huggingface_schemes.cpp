// Quantised checkpoints of Hugging Face folders: GPTQ, AWQ, FP8, compressed-tensors, bitsandbytes.
// Source: the "quantization_config" of each scheme in the documentation of transformers; the tensor
// names and packings of AutoGPTQ, AutoAWQ, compressed-tensors and bitsandbytes.
#include <fmt/core.h>

#include <array>
#include <cmath>
#include <cstring>

#include "base/bytes.h"
#include "base/half.h"
#include "base/utf8.h"
#include "formats/requantise.h"

namespace hearth {
namespace {

Error corrupt(std::string what) { return Error(ErrorKind::corrupt, std::move(what)); }
Error unsupported(std::string what) { return Error(ErrorKind::unsupported, std::move(what)); }

std::string text_in(const Json& object, std::string_view key) {
  const Json* held = object.find(key);
  return held != nullptr && held->is_string() ? held->as_string() : "";
}
std::int64_t number_in(const Json& object, std::string_view key, std::int64_t fallback) {
  const Json* held = object.find(key);
  return held != nullptr && held->is_integer() ? held->as_integer() : fallback;
}
// Modules that have a tensor of this suffix, by name.
std::vector<std::string> modules_with(const Package& package, std::string_view suffix) {
  std::vector<std::string> modules;
  for (const TensorEntry& entry : package.tensors)
    if (entry.name.ends_with(suffix))
      modules.push_back(entry.name.substr(0, entry.name.size() - suffix.size()));
  return modules;
}

std::uint32_t word(std::span<const std::byte> data, std::uint64_t index) {
  std::uint32_t value;
  std::memcpy(&value, data.data() + 4 * index, sizeof value);
  return value;
}

Status check(const TensorEntry& entry, Dtype dtype, std::span<const std::uint64_t> shape) {
  const bool same_type = entry.dtype == dtype || (dtype == Dtype::i32 && entry.dtype == Dtype::u32);
  if (same_type && !entry.make && std::ranges::equal(entry.shape, shape)) return Done{};
  return corrupt(fmt::format("{}: needs {} of another type or shape", entry.name, name_of(dtype)));
}

// ---- GPTQ and AWQ: words of eight codes
// ----------------------------------------------------------

// qweight: [K / codes in a word, N] (GPTQ) or [K, N / codes] (AWQ); qzeros: [groups, N / codes];
// scales: [groups, N].
struct Packed {
  TensorEntry codes, zeros, scales;
  std::uint64_t rows, columns, groups;
  int bits;
};

Result<Packed> take_packed(Package& package, const std::string& module, int bits, bool awq) {
  TensorEntry qweight = TRY(take_tensor(package, module + ".qweight"));
  TensorEntry qzeros = TRY(take_tensor(package, module + ".qzeros"));
  TensorEntry qscales = TRY(take_tensor(package, module + ".scales"));
  Packed packed{std::move(qweight), std::move(qzeros), std::move(qscales), 0, 0, 0, bits};
  const auto per_word = static_cast<std::uint64_t>(32 / bits);
  if (packed.codes.shape.size() != 2 || packed.scales.shape.size() != 2 ||
      !Floats::can_read(packed.scales))
    return corrupt(fmt::format("{}: needs qweight and scales as matrices", module));
  packed.groups = packed.scales.shape[0];
  packed.rows = packed.scales.shape[1];
  packed.columns = packed.codes.shape[0] * (awq ? 1 : per_word);
  if (packed.groups == 0 || packed.columns % packed.groups != 0 || packed.rows % per_word != 0)
    return corrupt(
        fmt::format("{}: {} weights in {} groups", module, packed.columns, packed.groups));
  const std::array<std::uint64_t, 2> zeros{packed.groups, packed.rows / per_word};
  TRY(check(packed.zeros, Dtype::i32, zeros));
  const std::array<std::uint64_t, 2> codes =
      awq ? std::array{packed.columns, packed.rows / per_word}
          : std::array{packed.columns / per_word, packed.rows};
  TRY(check(packed.codes, Dtype::i32, codes));
  return packed;
}

// Whether every zero is the middle, so that the blocks need none.
bool all_words_are(std::span<const std::byte> data, std::uint32_t value) {
  for (std::uint64_t i = 0; i < data.size() / 4; ++i)
    if (word(data, i) != value) return false;
  return true;
}

// The group of every column: in their order, or permuted by activations.
Result<std::vector<std::uint32_t>> groups_of(Package& package, const std::string& module,
                                             const Packed& packed) {
  std::vector<std::uint32_t> groups(packed.columns);
  const std::uint64_t each = packed.columns / packed.groups;
  for (std::uint64_t k = 0; k < packed.columns; ++k)
    groups[k] = static_cast<std::uint32_t>(k / each);
  if (package.find(module + ".g_idx") == nullptr) return groups;
  const TensorEntry index = TRY(take_tensor(package, module + ".g_idx"));
  TRY(check(index, Dtype::i32, std::array{packed.columns}));
  for (std::uint64_t k = 0; k < packed.columns; ++k) {
    groups[k] = word(index.data, k);
    if (groups[k] >= packed.groups)
      return corrupt(fmt::format("{}.g_idx: group {} of {}", module, groups[k], packed.groups));
  }
  return groups;
}

Result<TensorEntry> join_gptq(Package& package, const std::string& module, int bits, bool second) {
  const Packed packed = TRY(take_packed(package, module, bits, false));
  const auto groups = TRY(groups_of(package, module, packed));
  const std::uint64_t each = packed.columns / packed.groups;
  bool in_order = true;
  for (std::uint64_t k = 0; k < packed.columns; ++k) in_order = in_order && groups[k] == k / each;
  const auto per_word = static_cast<std::uint64_t>(32 / bits);
  const std::uint32_t mask = (1u << bits) - 1;
  // The first version stores zeros less one.
  const float offset = second ? 0.0f : 1.0f;
  const auto code = [data = packed.codes.data, rows = packed.rows, per_word, mask, bits](
                        std::uint64_t row, std::uint64_t k) {
    return word(data, k / per_word * rows + row) >>
               (static_cast<std::uint64_t>(bits) * (k % per_word)) &
           mask;
  };
  const auto zero = [data = packed.zeros.data, rows = packed.rows, per_word, mask, bits, offset](
                        std::uint64_t row, std::uint64_t g) {
    const std::uint32_t held = word(data, g * (rows / per_word) + row / per_word);
    return static_cast<float>(held >> (static_cast<std::uint64_t>(bits) * (row % per_word)) &
                              mask) +
           offset;
  };
  const std::string name = module + ".weight";
  const Floats scales(packed.scales);
  if (!in_order)
    return computed_tensor(
        name, packed.rows, packed.columns,
        [=, rows = packed.rows, columns = packed.columns](std::uint64_t row, float* out) {
          for (std::uint64_t k = 0; k < columns; ++k)
            out[k] = scales[groups[k] * rows + row] *
                     (static_cast<float>(code(row, k)) - zero(row, groups[k]));
        });
  std::uint32_t middle = 0;
  const std::uint32_t stored = (1u << (bits - 1)) - (second ? 0 : 1);
  for (std::uint64_t i = 0; i < per_word; ++i)
    middle |= stored << (static_cast<std::uint64_t>(bits) * i);
  CodedMatrix matrix{.rows = packed.rows,
                     .columns = packed.columns,
                     .group = each,
                     .bits = bits,
                     .symmetric = all_words_are(packed.zeros.data, middle),
                     .read = {}};
  matrix.read = [=, rows = packed.rows, columns = packed.columns, count = packed.groups](
                    std::uint64_t row, CodeRow& out) {
    for (std::uint64_t k = 0; k < columns; ++k)
      out.codes[k] = static_cast<std::uint8_t>(code(row, k));
    for (std::uint64_t g = 0; g < count; ++g) {
      out.scales[g] = scales[g * rows + row];
      out.zeros[g] = zero(row, g);
      out.shifts[g] = 0;
    }
  };
  return coded_tensor(name, std::move(matrix));
}

// Row j of eight lies in the nibble order_of_awq[j].
constexpr std::array<std::uint32_t, 8> order_of_awq = {0, 4, 1, 5, 2, 6, 3, 7};

Result<TensorEntry> join_awq(Package& package, const std::string& module) {
  const Packed packed = TRY(take_packed(package, module, 4, true));
  const auto nibble_of = [rows = packed.rows](std::span<const std::byte> data, std::uint64_t line,
                                              std::uint64_t row) {
    return word(data, line * (rows / 8) + row / 8) >> (4 * order_of_awq[row % 8]) & 15;
  };
  CodedMatrix matrix{.rows = packed.rows,
                     .columns = packed.columns,
                     .group = packed.columns / packed.groups,
                     .bits = 4,
                     .symmetric = all_words_are(packed.zeros.data, 0x88888888u),
                     .read = {}};
  matrix.read = [nibble_of, codes = packed.codes.data, zeros = packed.zeros.data,
                 scales = Floats(packed.scales), rows = packed.rows, columns = packed.columns,
                 count = packed.groups](std::uint64_t row, CodeRow& out) {
    for (std::uint64_t k = 0; k < columns; ++k)
      out.codes[k] = static_cast<std::uint8_t>(nibble_of(codes, k, row));
    for (std::uint64_t g = 0; g < count; ++g) {
      out.scales[g] = scales[g * rows + row];
      out.zeros[g] = static_cast<float>(nibble_of(zeros, g, row));
      out.shifts[g] = 0;
    }
  };
  return coded_tensor(module + ".weight", std::move(matrix));
}

// ---- FP8: codes with a scale of the whole, of each row, or of each tile
// --------------------------

Result<TensorEntry> join_fp8(Package& package, const std::string& module, std::string_view suffix) {
  const TensorEntry codes = TRY(take_tensor(package, module + ".weight"));
  const TensorEntry scales = TRY(take_tensor(package, module + std::string(suffix)));
  if (codes.dtype != Dtype::f8_e4m3 || codes.shape.size() != 2 || !Floats::can_read(scales) ||
      codes.make)
    return corrupt(fmt::format("{}.weight: needs a matrix of f8_e4m3 beside its scales", module));
  const std::uint64_t rows = codes.shape[0], columns = codes.shape[1];
  std::uint64_t down = 1, across = 1;  // scales
  if (scales.shape.size() == 2) {
    down = scales.shape[0];
    across = scales.shape[1];
  } else if (scales.shape.size() == 1) {
    down = scales.shape[0];
  }
  if (down == 0 || across == 0 || down > rows || across > columns)
    return corrupt(fmt::format("{}{}: does not fit the weight", module, suffix));
  // Tiles are powers of two; the last ones may be cut.
  const auto tile = [](std::uint64_t size, std::uint64_t count) {
    std::uint64_t each = 1;
    while (each * count < size) each *= 2;
    return count == 1 ? size : each;
  };
  const std::uint64_t tile_rows = tile(rows, down), tile_columns = tile(columns, across);
  return computed_tensor(
      module + ".weight", rows, columns,
      [codes = codes.data, scales = Floats(scales), columns, across, tile_rows, tile_columns](
          std::uint64_t row, float* out) {
        for (std::uint64_t k = 0; k < columns; ++k)
          out[k] = f8_e4m3_to_f32(std::to_integer<std::uint8_t>(codes[row * columns + k])) *
                   scales[row / tile_rows * across + k / tile_columns];
      });
}

// ---- compressed-tensors
// --------------------------------------------------------------------------

// Integers of `bits`, in words along the row, the low ones first, moved up by half their range.
Result<TensorEntry> join_packed_integers(Package& package, const std::string& module, int bits) {
  const TensorEntry codes = TRY(take_tensor(package, module + ".weight_packed"));
  const TensorEntry scales = TRY(take_tensor(package, module + ".weight_scale"));
  const TensorEntry shape = TRY(take_tensor(package, module + ".weight_shape"));
  std::optional<TensorEntry> zeros;
  if (package.find(module + ".weight_zero_point") != nullptr)
    zeros = TRY(take_tensor(package, module + ".weight_zero_point"));
  if (package.find(module + ".weight_g_idx") != nullptr)
    return unsupported(fmt::format("{}: columns in the order of activations", module));
  if (shape.elements() != 2 || (shape.dtype != Dtype::i64 && shape.dtype != Dtype::i32) ||
      shape.make)
    return corrupt(fmt::format("{}.weight_shape: needs two numbers", module));
  const std::size_t wide = shape.dtype == Dtype::i64 ? 2 : 1;
  const std::uint64_t rows = word(shape.data, 0), columns = word(shape.data, wide);
  const auto per_word = static_cast<std::uint64_t>(32 / bits);
  TRY(check(codes, Dtype::i32, std::array{rows, (columns + per_word - 1) / per_word}));
  if (scales.shape.size() != 2 || scales.shape[0] != rows || scales.shape[1] == 0 || columns == 0 ||
      columns % scales.shape[1] != 0 || !Floats::can_read(scales))
    return corrupt(fmt::format("{}.weight_scale: does not fit [{}, {}]", module, rows, columns));
  const std::uint64_t groups = scales.shape[1];
  if (zeros) TRY(check(*zeros, Dtype::i32, std::array{(rows + per_word - 1) / per_word, groups}));
  CodedMatrix matrix{.rows = rows,
                     .columns = columns,
                     .group = columns / groups,
                     .bits = bits,
                     .symmetric = !zeros,
                     .read = {}};
  const float middle = static_cast<float>(1 << (bits - 1));
  matrix.read = [codes = codes.data, scales = Floats(scales),
                 zeros = zeros ? zeros->data : std::span<const std::byte>(), groups, columns,
                 per_word, bits, middle](std::uint64_t row, CodeRow& out) {
    const std::uint64_t words = (columns + per_word - 1) / per_word;
    const std::uint32_t mask = (1u << bits) - 1;
    for (std::uint64_t k = 0; k < columns; ++k)
      out.codes[k] =
          static_cast<std::uint8_t>(word(codes, row * words + k / per_word) >>
                                        (static_cast<std::uint64_t>(bits) * (k % per_word)) &
                                    mask);
    for (std::uint64_t g = 0; g < groups; ++g) {
      out.scales[g] = scales[row * groups + g];
      out.zeros[g] = middle;
      out.shifts[g] = 0;
      if (!zeros.empty())  // packed along the rows of the weight
        out.zeros[g] =
            static_cast<float>(word(zeros, row / per_word * groups + g) >>
                                   (static_cast<std::uint64_t>(bits) * (row % per_word)) &
                               mask);
    }
  };
  return coded_tensor(module + ".weight", std::move(matrix));
}

// Integers of a byte with a scale of each row or of the whole.
Result<TensorEntry> join_bytes(Package& package, const std::string& module, std::string_view suffix,
                               float divisor) {
  const TensorEntry codes = TRY(take_tensor(package, module + ".weight"));
  const TensorEntry scales = TRY(take_tensor(package, module + std::string(suffix)));
  if (codes.dtype != Dtype::i8 || codes.shape.size() != 2 || codes.make ||
      !Floats::can_read(scales) || (scales.elements() != 1 && scales.elements() != codes.shape[0]))
    return corrupt(
        fmt::format("{}.weight: needs a matrix of i8 beside a scale of each row", module));
  CodedMatrix matrix{.rows = codes.shape[0],
                     .columns = codes.shape[1],
                     .group = codes.shape[1],
                     .bits = 8,
                     .symmetric = true,
                     .read = {}};
  const std::uint64_t step = scales.elements() == 1 ? 0 : 1;
  matrix.read = [codes = codes.data, scales = Floats(scales), columns = codes.shape[1], step,
                 divisor](std::uint64_t row, CodeRow& out) {
    for (std::uint64_t k = 0; k < columns; ++k)
      out.codes[k] = std::to_integer<std::uint8_t>(codes[row * columns + k]) ^ 0x80;
    out.scales[0] = scales[row * step] / divisor;
    out.zeros[0] = 128;
    out.shifts[0] = 0;
  };
  return coded_tensor(module + ".weight", std::move(matrix));
}

constexpr float e2m1[16] = {0, 0.5f, 1, 1.5f, 2, 3, 4, 6, -0.0f, -0.5f, -1, -1.5f, -2, -3, -4, -6};

// e2m1 codes, e4m3 scales of 16 weights, one f32 for all: it divides or multiplies.
Result<TensorEntry> join_nvfp4(Package& package, const std::string& module,
                               std::string_view codes_suffix, std::string_view global_suffix,
                               bool divides) {
  const TensorEntry codes = TRY(take_tensor(package, module + std::string(codes_suffix)));
  const TensorEntry scales = TRY(take_tensor(package, module + ".weight_scale"));
  const TensorEntry global = TRY(take_tensor(package, module + std::string(global_suffix)));
  if (codes.shape.size() != 2 || codes.make || !Floats::can_read(global) || global.elements() != 1)
    return corrupt(fmt::format("{}: needs a matrix of codes and one global scale", module));
  const std::uint64_t rows = codes.shape[0], columns = codes.shape[1] * 2;
  TRY(check(codes, Dtype::u8, codes.shape));
  TRY(check(scales, Dtype::f8_e4m3, std::array{rows, columns / 16}));
  const float held = Floats(global)[0], factor = divides ? 1 / held : held;
  return computed_tensor(
      module + ".weight", rows, columns,
      [codes = codes.data, scales = scales.data, columns, factor](std::uint64_t row, float* out) {
        for (std::uint64_t k = 0; k < columns; ++k) {
          const std::uint64_t at = row * columns + k;
          const auto byte = std::to_integer<std::uint8_t>(codes[at / 2]);
          out[k] = e2m1[k % 2 == 0 ? byte & 15 : byte >> 4] * factor *
                   f8_e4m3_to_f32(std::to_integer<std::uint8_t>(scales[at / 16]));
        }
      });
}

Status join_compressed(Package& package, const Json& scheme, std::vector<TensorEntry>& joined) {
  const Json* all = scheme.find("config_groups");
  if (all == nullptr || !all->is_object() || all->size() == 0)
    return corrupt("config.json: quantization_config.config_groups is missing");
  const Json* weights = all->as_object().front().second.find("weights");
  if (all->size() > 1 || weights == nullptr || !weights->is_object())
    return unsupported("compressed-tensors: needs one group with weights");
  const auto bits = static_cast<int>(number_in(*weights, "num_bits", 4));
  std::string format = text_in(scheme, "format");
  if (format.empty()) format = text_in(all->as_object().front().second, "format");
  if (format == "pack-quantized" && (bits == 2 || bits == 4 || bits == 8)) {
    for (const std::string& module : modules_with(package, ".weight_packed"))
      joined.push_back(TRY(join_packed_integers(package, module, bits)));
  } else if (format == "int-quantized" && bits == 8) {
    for (const std::string& module : modules_with(package, ".weight_scale"))
      joined.push_back(TRY(join_bytes(package, module, ".weight_scale", 1)));
  } else if (format == "float-quantized" && bits == 8) {
    for (const std::string& module : modules_with(package, ".weight_scale"))
      joined.push_back(TRY(join_fp8(package, module, ".weight_scale")));
  } else if (format == "nvfp4-pack-quantized") {
    for (const std::string& module : modules_with(package, ".weight_packed"))
      joined.push_back(
          TRY(join_nvfp4(package, module, ".weight_packed", ".weight_global_scale", true)));
  } else {
    return unsupported(
        fmt::format("compressed-tensors: format '{}' of {} bits", printable(format), bits));
  }
  return Done{};
}

// ---- bitsandbytes
// --------------------------------------------------------------------------------

constexpr std::string_view four_bit_states[] = {".weight.quant_state.bitsandbytes__nf4",
                                                ".weight.quant_state.bitsandbytes__fp4"};

// Codes of 4 bits, the high one first, over the flat weight; absmax of each block, which may be
// quantised itself: a table over bytes, scaled by block and shifted.
Result<TensorEntry> join_four_bits(Package& package, const std::string& module,
                                   std::string_view state_suffix) {
  const auto part = [&](std::string_view suffix) {
    return take_tensor(package, fmt::format("{}.weight{}", module, suffix));
  };
  const TensorEntry state = TRY(take_tensor(package, module + std::string(state_suffix)));
  const auto parsed = parse_json(text_of(state.data));
  if (!parsed || !parsed->is_object()) return corrupt(fmt::format("{}: quant_state", module));
  const TensorEntry codes = TRY(part("")), absmax = TRY(part(".absmax")),
                    table = TRY(part(".quant_map"));
  const Json* shape = parsed->find("shape");
  const auto block = static_cast<std::uint64_t>(number_in(*parsed, "blocksize", 64));
  if (shape == nullptr || !shape->is_array() || shape->size() != 2 || block == 0 || block % 2 != 0)
    return corrupt(fmt::format("{}: quant_state needs a shape and a blocksize", module));
  const auto extent = [&](std::size_t i) {
    const Json& held = shape->as_array()[i];
    return held.is_integer() && held.as_integer() > 0 && held.as_integer() < 1 << 30
               ? static_cast<std::uint64_t>(held.as_integer())
               : 0;
  };
  const std::uint64_t rows = extent(0), columns = extent(1), elements = rows * columns;
  const std::uint64_t blocks = (elements + block - 1) / block;
  if (elements == 0 || codes.dtype != Dtype::u8 || codes.data.size() != (elements + 1) / 2 ||
      absmax.elements() != blocks || table.elements() != 16 || !Floats::can_read(table))
    return corrupt(
        fmt::format("{}: codes, absmax or quant_map do not fit [{}, {}]", module, rows, columns));
  std::vector<float> sizes(blocks);
  if (absmax.dtype == Dtype::u8) {
    const TensorEntry nested = TRY(part(".nested_absmax")), map = TRY(part(".nested_quant_map"));
    const auto nested_block =
        static_cast<std::uint64_t>(number_in(*parsed, "nested_blocksize", 256));
    const Json* offset = parsed->find("nested_offset");
    if (nested_block == 0 || map.elements() != 256 || !Floats::can_read(map) ||
        !Floats::can_read(nested) ||
        nested.elements() != (blocks + nested_block - 1) / nested_block || offset == nullptr ||
        !offset->is_number())
      return corrupt(fmt::format("{}: nested absmax", module));
    for (std::uint64_t b = 0; b < blocks; ++b)
      sizes[b] = Floats(map)[std::to_integer<std::uint8_t>(absmax.data[b])] *
                     Floats(nested)[b / nested_block] +
                 static_cast<float>(offset->as_number());
  } else {
    if (!Floats::can_read(absmax)) return corrupt(fmt::format("{}: absmax", module));
    for (std::uint64_t b = 0; b < blocks; ++b) sizes[b] = Floats(absmax)[b];
  }
  return computed_tensor(module + ".weight", rows, columns,
                         [codes = codes.data, table = Floats(table), sizes = std::move(sizes),
                          columns, block](std::uint64_t row, float* out) {
                           for (std::uint64_t k = 0; k < columns; ++k) {
                             const std::uint64_t at = row * columns + k;
                             const auto byte = std::to_integer<std::uint8_t>(codes[at / 2]);
                             out[k] =
                                 table[at % 2 == 0 ? byte >> 4 : byte & 15] * sizes[at / block];
                           }
                         });
}

Status join_bitsandbytes(Package& package, std::vector<TensorEntry>& joined) {
  for (const std::string_view suffix : four_bit_states)
    for (const std::string& module : modules_with(package, suffix))
      joined.push_back(TRY(join_four_bits(package, module, suffix)));
  for (const std::string& module : modules_with(package, ".SCB")) {
    joined.push_back(TRY(join_bytes(package, module, ".SCB", 127)));
    if (package.find(module + ".weight_format") != nullptr)
      TRY(take_tensor(package, module + ".weight_format"));
  }
  return Done{};
}

Status join_scheme(Package& package, const Json& scheme, const std::string& method,
                   std::vector<TensorEntry>& joined) {
  const auto bits = static_cast<int>(number_in(scheme, "bits", number_in(scheme, "w_bit", 4)));
  if (method == "gptq") {
    if (bits != 2 && bits != 4 && bits != 8)
      return unsupported(fmt::format("GPTQ of {} bits", bits));
    const bool second = text_in(scheme, "checkpoint_format") == "gptq_v2";
    for (const std::string& module : modules_with(package, ".qweight"))
      joined.push_back(TRY(join_gptq(package, module, bits, second)));
  } else if (method == "awq") {
    const std::string version = text_in(scheme, "version");
    if (bits != 4 || !(version.empty() || version == "gemm" || version == "GEMM"))
      return unsupported(fmt::format("AWQ '{}' of {} bits", printable(version), bits));
    for (const std::string& module : modules_with(package, ".qweight"))
      joined.push_back(TRY(join_awq(package, module)));
  } else if (method == "fp8") {
    for (const std::string& module : modules_with(package, ".weight_scale_inv"))
      joined.push_back(TRY(join_fp8(package, module, ".weight_scale_inv")));
  } else if (method == "compressed-tensors") {
    TRY(join_compressed(package, scheme, joined));
  } else if (method == "bitsandbytes") {
    TRY(join_bitsandbytes(package, joined));
  } else if (method == "modelopt" && !modules_with(package, ".weight_scale_2").empty()) {
    for (const std::string& module : modules_with(package, ".weight_scale_2"))
      joined.push_back(TRY(join_nvfp4(package, module, ".weight", ".weight_scale_2", false)));
  } else {
    return unsupported(
        fmt::format("config.json: quantisation scheme '{}' is not read; use the unquantised model "
                    "or a GGUF file",
                    printable(method)));
  }
  return Done{};
}

}  // namespace

Status join_huggingface_scheme(Package& package) {
  Json* held = nullptr;
  Json* language = package.config.find("text_config");
  for (Json* object : {&package.config, language})
    for (const std::string_view key : {"quantization_config", "compression_config"})
      if (Json* found = object != nullptr ? object->find(key) : nullptr;
          held == nullptr && found != nullptr && found->is_object())
        held = found;
  if (held == nullptr) return Done{};
  const Json scheme = *held;
  const std::string method = text_in(scheme, "quant_method");
  if (method == "mxfp4") return Done{};  // gpt-oss: the models floor joins blocks and scales
  std::vector<TensorEntry> joined;
  TRY(join_scheme(package, scheme, method, joined));
  if (joined.empty())
    return corrupt(fmt::format("config.json: no tensor is quantised by '{}'", method));
  // What is left of a module: scales of activations and the like.
  for (const TensorEntry& entry : joined)
    for (const std::string_view rest : {".input_scale", ".output_scale", ".k_scale", ".v_scale"}) {
      const std::string name = entry.name.substr(0, entry.name.size() - 7) + std::string(rest);
      if (package.find(name) != nullptr) TRY(take_tensor(package, name));
    }
  rebuild_index(package);
  TRY(add_tensors(package, std::move(joined)));
  *held = Json();
  package.warnings.push_back(fmt::format("quantised by {}", method));
  return Done{};
}

}  // namespace hearth
