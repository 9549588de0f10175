// MLX folders: Hugging Face names, weights as packed codes with scales and biases beside them.
// Source: mlx.core.quantize of MLX's documentation (modes affine, mxfp4, mxfp8, nvfp4); the
// "quantization" member of config.json that mlx-lm writes.
#include <fmt/core.h>

#include <cstring>

#include "base/half.h"
#include "base/utf8.h"
#include "formats/requantise.h"

namespace hearth {
namespace {

Error corrupt(std::string what) { return Error(ErrorKind::corrupt, std::move(what)); }

struct Mode {
  std::string name = "affine";
  std::uint64_t group = 64;
  std::uint64_t bits = 4;
};

Result<Mode> read_mode(const Json& object, Mode mode) {
  for (const auto& [key, to] : {std::pair{"group_size", &mode.group}, {"bits", &mode.bits}}) {
    const Json* held = object.find(key);
    if (held == nullptr || held->is_null()) continue;
    if (!held->is_integer() || held->as_integer() < 1 || held->as_integer() > 1024)
      return corrupt(fmt::format("config.json: quantization.{}: needs a whole number", key));
    *to = static_cast<std::uint64_t>(held->as_integer());
  }
  const Json* name = object.find("mode");
  if (name != nullptr && name->is_string()) mode.name = name->as_string();
  return mode;
}

// The mode of one module: its own, where the configuration has one.
Result<Mode> mode_of(const Json& quantisation, std::string_view module) {
  const Mode whole = TRY(read_mode(quantisation, {}));
  const Json* own = quantisation.find(module);
  return own != nullptr && own->is_object() ? read_mode(*own, whole) : Result<Mode>(whole);
}

// A stack of experts is as many matrices: all rows of all experts.
struct Parts {
  TensorEntry codes, scales;
  std::optional<TensorEntry> biases;
  std::uint64_t rows = 1, columns = 0;
};

Result<Parts> parts_of(Package& package, const std::string& module, const Mode& mode) {
  TensorEntry codes = TRY(take_tensor(package, module + ".weight"));
  TensorEntry scales = TRY(take_tensor(package, module + ".scales"));
  Parts parts{.codes = std::move(codes), .scales = std::move(scales), .biases = {}};
  if (package.find(module + ".biases") != nullptr)
    parts.biases = TRY(take_tensor(package, module + ".biases"));
  const auto& shape = parts.codes.shape;
  if (parts.codes.dtype != Dtype::u32 || shape.size() < 2 || shape.size() > 3)
    return corrupt(
        fmt::format("{}.weight: needs a matrix of u32 beside {}.scales", module, module));
  for (std::size_t i = 0; i + 1 < shape.size(); ++i) parts.rows *= shape[i];
  if (shape.back() * 32 % mode.bits != 0)
    return corrupt(fmt::format("{}.weight: rows of {} words are not codes of {} bits", module,
                               shape.back(), mode.bits));
  parts.columns = shape.back() * 32 / mode.bits;
  auto wanted = shape;
  wanted.back() = parts.columns / mode.group;
  if (parts.columns % mode.group != 0 || parts.scales.shape != wanted ||
      (parts.biases && parts.biases->shape != wanted))
    return corrupt(fmt::format("{}.scales: does not fit rows of {} weights in groups of {}", module,
                               parts.columns, mode.group));
  return parts;
}

Result<TensorEntry> join_affine(const std::string& name, Parts parts, const Mode& mode) {
  if (!parts.biases || !Floats::can_read(parts.scales) || !Floats::can_read(*parts.biases))
    return corrupt(fmt::format("{}: needs floats as scales and biases", name));
  if (mode.bits > 8 || mode.bits == 7)
    return Error(ErrorKind::unsupported, fmt::format("{}: codes of {} bits", name, mode.bits));
  const std::uint64_t groups = parts.columns / mode.group;
  CodedMatrix matrix{.rows = parts.rows,
                     .columns = parts.columns,
                     .group = mode.group,
                     .bits = static_cast<int>(mode.bits),
                     .read = {}};
  matrix.read = [codes = parts.codes.data, scales = Floats(parts.scales),
                 biases = Floats(*parts.biases), groups, bits = static_cast<int>(mode.bits),
                 columns = parts.columns](std::uint64_t row, CodeRow& out) {
    unpack_bits(codes.data() + row * (columns * static_cast<std::uint64_t>(bits) / 8), bits,
                columns, out.codes.data());
    for (std::uint64_t g = 0; g < groups; ++g) {
      out.scales[g] = scales[row * groups + g];
      out.zeros[g] = 0;
      out.shifts[g] = biases[row * groups + g];
    }
  };
  return coded_tensor(name, std::move(matrix));
}

// Nibbles side by side to nibbles `half` apart.
void put_split(std::byte* to, const std::byte* from, std::size_t half) {
  const auto code = [&](std::size_t i) {
    return i % 2 == 0 ? from[i / 2] & std::byte{15} : from[i / 2] >> 4;
  };
  for (std::size_t i = 0; i < half; ++i) to[i] = code(i) | code(i + half) << 4;
}

// A scale byte (of every 32 weights, or of every 16) and e2m1 codes: the blocks that GGUF has too.
TensorEntry join_fp4(const std::string& name, const Parts& parts, bool nv) {
  TensorEntry entry{.name = name,
                    .dtype = nv ? Dtype::nvfp4 : Dtype::mxfp4,
                    .shape = {parts.rows, parts.columns},
                    .data = {}};
  entry.make = [codes = parts.codes.data, scales = parts.scales.data, nv] {
    const std::size_t count = codes.size() / (nv ? 32 : 16), bytes = nv ? 36 : 17;
    std::vector<std::byte> out(count * bytes);
    for (std::size_t b = 0; b < count; ++b) {
      std::byte* to = out.data() + b * bytes;
      if (nv) {
        std::memcpy(to, scales.data() + 4 * b, 4);
        for (std::size_t g = 0; g < 4; ++g)
          put_split(to + 4 + 8 * g, codes.data() + 32 * b + 8 * g, 8);
      } else {
        to[0] = scales[b];
        put_split(to + 1, codes.data() + 16 * b, 16);
      }
    }
    return Result<std::vector<std::byte>>(std::move(out));
  };
  return entry;
}

TensorEntry join_mxfp8(const std::string& name, const Parts& parts) {
  return computed_tensor(name, parts.rows, parts.columns,
                         [codes = parts.codes.data, scales = parts.scales.data,
                          columns = parts.columns](std::uint64_t row, float* out) {
                           for (std::uint64_t k = 0; k < columns; ++k) {
                             const std::uint64_t at = row * columns + k;
                             out[k] =
                                 f8_e4m3_to_f32(std::to_integer<std::uint8_t>(codes[at])) *
                                 f8_e8m0_to_f32(std::to_integer<std::uint8_t>(scales[at / 32]));
                           }
                         });
}

Result<TensorEntry> join(Package& package, const std::string& module, const Mode& mode) {
  const std::string name = module + ".weight";
  Parts parts = TRY(parts_of(package, module, mode));
  auto shape = parts.codes.shape;
  shape.back() = parts.columns;
  TensorEntry joined;
  const bool bytes = parts.scales.dtype == Dtype::u8;
  if (mode.name == "affine")
    joined = TRY(join_affine(name, std::move(parts), mode));
  else if (mode.name == "mxfp4" && mode.bits == 4 && mode.group == 32 && bytes)
    joined = join_fp4(name, parts, false);
  else if (mode.name == "nvfp4" && mode.bits == 4 && mode.group == 16 && bytes &&
           parts.columns % 64 == 0)
    joined = join_fp4(name, parts, true);
  else if (mode.name == "mxfp8" && mode.bits == 8 && mode.group == 32 && bytes)
    joined = join_mxfp8(name, parts);
  else
    return Error(ErrorKind::unsupported,
                 fmt::format("{}: MLX mode '{}' of {} bits in groups of {}", name,
                             printable(mode.name), mode.bits, mode.group));
  joined.shape = std::move(shape);
  return joined;
}

// Experts are one stack in MLX, matrices of their own in Hugging Face's names.
void split_experts(std::vector<TensorEntry>& tensors) {
  constexpr std::string_view stack = ".switch_mlp.";
  std::vector<TensorEntry> all;
  for (TensorEntry& tensor : tensors) {
    const auto at = tensor.name.find(stack);
    if (at == std::string::npos || tensor.shape.size() != 3) {
      all.push_back(std::move(tensor));
      continue;
    }
    const std::string before = tensor.name.substr(0, at),
                      after = tensor.name.substr(at + stack.size());
    const std::uint64_t count = tensor.shape[0],
                        bytes = tensor.bytes() / std::max<std::uint64_t>(1, count);
    for (std::uint64_t e = 0; e < count; ++e) {
      TensorEntry one{.name = fmt::format("{}.experts.{}.{}", before, e, after),
                      .dtype = tensor.dtype,
                      .shape = {tensor.shape[1], tensor.shape[2]},
                      .data = {}};
      if (!tensor.make)
        one.data = tensor.data.subspan(e * bytes, bytes);
      else
        one.make = [make = tensor.make, e, bytes]() -> Result<std::vector<std::byte>> {
          const auto whole = TRY(make());
          const auto first = whole.begin() + static_cast<std::ptrdiff_t>(e * bytes);
          return std::vector<std::byte>(first, first + static_cast<std::ptrdiff_t>(bytes));
        };
      all.push_back(std::move(one));
    }
  }
  tensors = std::move(all);
}

}  // namespace

Status join_mlx(Package& package) {
  const Json* held = package.config.find("quantization");
  if (held == nullptr || !held->is_object()) return Done{};
  const Json quantisation = *held;
  std::vector<std::string> modules;
  constexpr std::string_view suffix = ".scales";
  for (const TensorEntry& entry : package.tensors)
    if (entry.name.ends_with(suffix))
      modules.push_back(entry.name.substr(0, entry.name.size() - suffix.size()));
  if (modules.empty()) return corrupt("config.json: quantization: no tensor is quantised");
  std::vector<TensorEntry> joined;
  for (const std::string& module : modules) {
    const Mode mode = TRY(mode_of(quantisation, module));
    joined.push_back(TRY(join(package, module, mode)));
  }
  rebuild_index(package);
  TRY(add_tensors(package, std::move(joined)));
  split_experts(package.tensors);
  package.tensor_index.clear();
  for (std::size_t i = 0; i < package.tensors.size(); ++i)
    if (!package.tensor_index.emplace(package.tensors[i].name, i).second)
      return corrupt(fmt::format("tensor '{}': twice", printable(package.tensors[i].name)));
  // mlx-lm writes the same once more under the name that others know.
  package.config.set("quantization", Json());
  package.config.set("quantization_config", Json());
  package.warnings.push_back("quantised by MLX: scales are kept as halves");
  return Done{};
}

}  // namespace hearth
