#include "formats/lora.h"

#include <fmt/core.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <map>
#include <optional>

#include "base/files.h"
#include "base/utf8.h"
#include "formats/requantise.h"
#include "formats/safetensors.h"
#include "formats/torch_file.h"

namespace hearth {
namespace {

constexpr std::uint64_t max_config_bytes = 1 << 20;
constexpr std::string_view weights_name = "adapter_model.safetensors";
constexpr std::string_view torch_name = "adapter_model.bin";  // of PEFT before 0.7
constexpr std::string_view mlx_name = "adapters.safetensors";
constexpr std::string_view config_name = "adapter_config.json";
constexpr std::string_view peft_prefix = "base_model.model.";
constexpr std::uint64_t max_rank = 4096;

// How a naming ends the names of the two matrices of a module.
struct Ending {
  std::string_view text;
  bool is_up;
};
constexpr Ending peft_endings[] = {{".lora_A.weight", false},
                                   {".lora_B.weight", true},
                                   {".lora_A.default.weight", false},
                                   {".lora_B.default.weight", true}};
constexpr Ending mlx_endings[] = {{".lora_a", false}, {".lora_b", true}};
constexpr Ending gguf_endings[] = {{".weight.lora_a", false}, {".weight.lora_b", true}};

struct Halves {
  const TensorEntry* down = nullptr;
  const TensorEntry* up = nullptr;
};
using Modules = std::map<std::string, Halves, std::less<>>;

Error not_lora(const std::string& name) {
  return Error(
      ErrorKind::unsupported,
      fmt::format("{} is no matrix of LoRA: adapters with other parts (DoRA, biases, whole "
                  "layers, embeddings) are not run",
                  name));
}

Result<Modules> modules_of(const std::vector<TensorEntry>& tensors,
                           std::span<const Ending> endings) {
  Modules modules;
  for (const TensorEntry& tensor : tensors) {
    const Ending* ending = nullptr;
    for (const Ending& each : endings)
      if (tensor.name.ends_with(each.text)) ending = &each;
    if (ending == nullptr || tensor.shape.size() != 2) return not_lora(tensor.name);
    std::string_view name = tensor.name;
    name.remove_suffix(ending->text.size());
    if (name.starts_with(peft_prefix)) name.remove_prefix(peft_prefix.size());
    Halves& halves = modules[std::string(name)];
    (ending->is_up ? halves.up : halves.down) = &tensor;
  }
  if (modules.empty()) return Error(ErrorKind::unsupported, "holds no matrices of LoRA");
  return modules;
}

// Both halves, and one rank.
Result<LoraPair> pair_of(const std::string& module, const Halves& halves) {
  if (halves.up == nullptr || halves.down == nullptr)
    return Error(ErrorKind::corrupt, fmt::format("{} has one of its two matrices", module));
  const std::uint64_t rank = halves.down->shape[0];
  if (rank == 0 || rank > max_rank || halves.up->shape[1] != rank)
    return Error(ErrorKind::corrupt,
                 fmt::format("{}: matrices of rank {} and {}: needs one of 1 to {}", module, rank,
                             halves.up->shape[1], max_rank));
  return LoraPair{.module = module, .down = *halves.down, .up = *halves.up};
}

// The modules that tensors of such names make up; `factor` of each, once its matrices are known.
Status add_pairs(LoraFile& lora, const std::vector<TensorEntry>& tensors,
                 std::span<const Ending> endings, const auto& factor) {
  for (const auto& [module, halves] : TRY(modules_of(tensors, endings))) {
    LoraPair pair = TRY(pair_of(module, halves));
    pair.factor = factor(pair);
    lora.pairs.push_back(std::move(pair));
  }
  return Done{};
}

// A pattern names a module, or the end of its name.
std::optional<double> of_pattern(const Json& config, std::string_view name,
                                 std::string_view module) {
  const Json* patterns = config.find(name);
  if (patterns == nullptr || !patterns->is_object()) return std::nullopt;
  for (const auto& [pattern, value] : patterns->as_object()) {
    const bool is_end = module.size() > pattern.size() && module.ends_with(pattern) &&
                        module[module.size() - pattern.size() - 1] == '.';
    if (value.is_number() && (module == pattern || is_end)) return value.as_number();
  }
  return std::nullopt;
}

std::string text_of(const Json& config, std::string_view name) {
  const Json* value = config.find(name);
  return value != nullptr && value->is_string() ? value->as_string() : std::string();
}

Status check_peft(const Json& config) {
  if (const std::string kind = text_of(config, "peft_type"); !kind.empty() && kind != "LORA")
    return Error(ErrorKind::unsupported,
                 fmt::format("an adapter of the type {}: LORA is run", kind));
  if (const Json* dora = config.find("use_dora"); dora != nullptr && *dora == Json(true))
    return Error(ErrorKind::unsupported, "an adapter of DoRA: plain LoRA is run");
  return Done{};
}

double peft_factor(const Json& config, std::string_view module, double rank) {
  const Json* alpha = config.find("lora_alpha");
  const double standard = alpha != nullptr && alpha->is_number() ? alpha->as_number() : rank;
  const Json* rooted = config.find("use_rslora");
  const bool is_rooted = rooted != nullptr && *rooted == Json(true);
  return of_pattern(config, "alpha_pattern", module).value_or(standard) /
         (is_rooted ? std::sqrt(rank) : rank);
}

// MLX multiplies rows by its matrices: [inputs, rank] and [rank, outputs].
Result<TensorEntry> turned(const TensorEntry& entry) {
  if (!Floats::can_read(entry))
    return Error(ErrorKind::unsupported,
                 fmt::format("{}: a matrix of {}", entry.name, name_of(entry.dtype)));
  TensorEntry out{.name = entry.name, .dtype = Dtype::f32, .shape = entry.shape, .data = {}};
  std::ranges::reverse(out.shape);
  out.make = [entry]() -> Result<std::vector<std::byte>> {
    const Floats from(entry);
    const std::size_t rows = entry.shape[1], columns = entry.shape[0];
    std::vector<std::byte> bytes(rows * columns * sizeof(float));
    for (std::size_t r = 0; r < rows; ++r)
      for (std::size_t c = 0; c < columns; ++c) {
        const float value = from[c * rows + r];
        std::memcpy(bytes.data() + (r * columns + c) * sizeof value, &value, sizeof value);
      }
    return bytes;
  };
  return out;
}

// Source: ml-explore/mlx-lm, tuner/lora.py and tuner/utils.py.
Result<LoraFile> open_mlx(const std::string& folder, const Json& config) {
  if (const std::string kind = text_of(config, "fine_tune_type"); !kind.empty() && kind != "lora")
    return Error(ErrorKind::unsupported,
                 fmt::format("an adapter of the type {}: lora is run", printable(kind)));
  const Json* parameters = config.find("lora_parameters");
  const Json* scale = parameters != nullptr ? parameters->find("scale") : nullptr;
  if (scale == nullptr || !scale->is_number())
    return Error(ErrorKind::corrupt,
                 fmt::format("{}: lora_parameters.scale is missing", config_name));
  const auto file = TRY(MappedFile::open(join_path(folder, mlx_name)));
  std::vector<TensorEntry> tensors = TRY(read_safetensors(file->bytes()));
  for (TensorEntry& tensor : tensors)
    if (tensor.shape.size() == 2) tensor = TRY(turned(tensor));
  LoraFile lora;
  lora.naming = Naming::huggingface;
  lora.base = text_of(config, "model");
  lora.bytes = file->bytes().size();
  lora.storage.push_back(file);
  TRY(add_pairs(lora, tensors, mlx_endings, [&](const LoraPair&) { return scale->as_number(); }));
  return lora;
}

Result<LoraFile> open_folder(const std::string& folder) {
  const std::string torch = join_path(folder, torch_name);
  const bool has_peft = is_file(join_path(folder, weights_name));
  const bool is_torch = !has_peft && is_file(torch);
  const std::string text = TRY(read_file(join_path(folder, config_name), max_config_bytes));
  const Json config = TRY(parse_json(text));
  if (!has_peft && !is_torch && is_file(join_path(folder, mlx_name)))
    return open_mlx(folder, config);
  TRY(check_peft(config));
  const auto file = TRY(MappedFile::open(is_torch ? torch : join_path(folder, weights_name)));
  std::vector<TensorEntry> tensors;
  if (is_torch)
    tensors = std::move(TRY(read_torch(file->bytes())).tensors);
  else
    tensors = TRY(read_safetensors(file->bytes()));
  LoraFile lora;
  lora.naming = Naming::huggingface;
  lora.base = text_of(config, "base_model_name_or_path");
  lora.bytes = file->bytes().size();
  lora.storage.push_back(file);
  TRY(add_pairs(lora, tensors, peft_endings, [&](const LoraPair& pair) {
    return peft_factor(config, pair.module, static_cast<double>(pair.down.shape[0]));
  }));
  return lora;
}

Result<LoraFile> open_gguf(const std::string& path) {
  const Package package = TRY(open_package(path));
  const auto kind = package.metadata.string("general.type");
  const auto what = package.metadata.string("adapter.type");
  if (!kind || *kind != "adapter" || !what || *what != "lora")
    return Error(ErrorKind::unsupported, "is a model, not a LoRA adapter");
  LoraFile lora;
  lora.naming = Naming::gguf;
  if (const auto base = package.metadata.string("general.base_model.0.name")) lora.base = *base;
  if (const auto name = package.metadata.string("general.architecture")) lora.architecture = *name;
  lora.bytes = package.file_bytes;
  lora.storage = package.storage;
  const auto alpha = package.metadata.real("adapter.lora.alpha");
  TRY(add_pairs(lora, package.tensors, gguf_endings, [&](const LoraPair& pair) {
    return alpha && *alpha != 0 ? *alpha / static_cast<double>(pair.down.shape[0]) : pair.factor;
  }));
  return lora;
}

Result<LoraFile> open_any(const std::string& path) {
  if (is_folder(path)) return open_folder(path);
  if (path.ends_with(".gguf")) return open_gguf(path);
  for (const std::string_view name : {weights_name, torch_name, mlx_name})
    if (file_name(path) == name) return open_folder(parent_folder(path));
  return Error(ErrorKind::unsupported, fmt::format("needs a GGUF file, or a folder with {} and {}",
                                                   config_name, weights_name));
}

}  // namespace

Result<LoraFile> open_lora(const std::string& path) {
  auto lora = open_any(path);
  if (!lora) return std::move(lora).error().within(path);
  lora->path = path;
  return lora;
}

}  // namespace hearth
