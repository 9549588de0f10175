#include "models/describe.h"

#include <fmt/core.h>

#include <algorithm>
#include <map>
#include <utility>

#include "base/bytes.h"
#include "base/files.h"
#include "base/utf8.h"
#include "models/architectures.h"
#include "models/hyper_source.h"
#include "models/mtp.h"
#include "models/t5.h"
#include "models/tensors.h"
#include "models/vision/tower.h"
#include "ops/recode.h"

namespace hearth::models {
namespace {

constexpr std::uint64_t max_page_bytes = 1ull << 32;

bool is_scale(const TensorEntry& entry) { return entry.name.ends_with("_scales"); }

std::uint64_t parameters_of(const TensorEntry& entry) {
  if (is_scale(entry) || entry.name.starts_with("rope_")) return 0;
  return entry.name.ends_with("_blocks") ? 2 * entry.elements() : entry.elements();
}

// The type that most weights have.
std::string_view main_dtype(const Package& package) {
  std::map<Dtype, std::uint64_t> counts;
  for (const TensorEntry& entry : package.tensors)
    if (!is_scale(entry)) {
      const bool blocks = entry.dtype == Dtype::u8 && entry.name.ends_with("_blocks");
      counts[blocks ? Dtype::mxfp4 : entry.dtype] += parameters_of(entry);
    }
  const auto most =
      std::ranges::max_element(counts, {}, [](const auto& count) { return count.second; });
  return most == counts.end() ? "none" : name_of(most->first);
}

std::string title_of(const Package& package) {
  if (package.naming == Naming::gguf && package.metadata.has("general.name")) {
    const auto name = package.metadata.string("general.name");
    if (name && !name->empty()) return std::string(*name);
  }
  std::string_view path = package.path;
  while (path.size() > 1 && path.ends_with('/')) path.remove_suffix(1);
  return file_name(path);
}

bool has_classifier(const Package& package, const ArchSpec& spec, const Hyper& hyper) {
  const TensorFinder finder(package, spec, hyper);
  for (const auto rows : spec.tensors)
    for (const TensorRow& row : rows)
      if (row.role == Role::classifier &&
          finder.find(row, {}, TensorFinder::Part::weight) != nullptr)
        return true;
  return false;
}

}  // namespace

ModelKind kind_of(const Package& package, const ArchSpec& spec, const Hyper& hyper) {
  if (&spec == &t5 && !t5_writes(package)) return ModelKind::embedder;
  if (spec.kind == Kind::generator)
    return hyper.pooling == Pooling::none ? ModelKind::generator : ModelKind::embedder;
  return has_classifier(package, spec, hyper) ? ModelKind::reranker : ModelKind::embedder;
}

Result<KvLayout> kv_layout_of(const ArchSpec& spec, const Hyper& hyper, Dtype dtype) {
  KvLayout layout;
  if (spec.kind != Kind::generator) return layout;
  std::uint64_t bytes = 0;
  for (const LayerHyper& layer : hyper.layers) {
    const bool latent = hyper.latent.kv_rank > 0;
    const std::uint32_t key = latent ? hyper.latent.kv_rank + hyper.latent.turning : layer.head_dim;
    const std::uint32_t value = latent ? hyper.latent.kv_rank : layer.head_dim;
    const std::uint32_t kv_heads = layer.attends && !layer.borrows_kv ? layer.kv_heads : 0;
    const std::uint64_t width = std::uint64_t{key} + value;  // at most 4 bytes each in any type
    const std::uint64_t most = TRY(checked_mul(kv_heads * width, 4 * ops::kv_page_tokens));
    const ops::KvLayer held{kv_heads, key, value, dtype, static_cast<std::size_t>(bytes)};
    if (most > 8 * max_page_bytes || held.bytes() > max_page_bytes - bytes)
      return Error(ErrorKind::exhausted, fmt::format("keys and values of {} tokens pass {} bytes",
                                                     ops::kv_page_tokens, max_page_bytes));
    layout.layers.push_back(held);
    bytes += held.bytes();
  }
  layout.state_bytes = hyper.state_floats() * sizeof(float);
  // Pages count positions, even where no layer keeps keys.
  layout.page_bytes = layout.state_bytes > 0 ? std::max<std::uint64_t>(bytes, 64) : bytes;
  return layout;
}

Dtype default_kv_dtype(const Package& package) {
  return main_dtype(package) == name_of(Dtype::f32) ? Dtype::f32 : Dtype::f16;
}

Status check_scheme(const Package& package) {
  if (package.naming == Naming::gguf) return Done{};
  const Json* scheme = language_config(package).find("quantization_config");
  if (scheme == nullptr) scheme = package.config.find("quantization_config");
  if (scheme == nullptr || scheme->is_null()) return Done{};
  const Json* method = scheme->find("quant_method");
  const std::string name =
      method != nullptr && method->is_string() ? method->as_string() : "(none)";
  if (name == "mxfp4") return Done{};
  return Error(ErrorKind::unsupported,
               fmt::format("config.json: quantization_config.quant_method = '{}': we read plain "
                           "floats and mxfp4",
                           printable(name)));
}

Result<ModelInfo> info_of(const Package& package, const ArchSpec& spec, const Hyper& hyper,
                          std::optional<Dtype> kv_dtype) {
  ModelInfo info;
  info.name = title_of(package);
  info.architecture = package.naming == Naming::gguf ? hyper.arch : std::string(spec.name);
  info.kind = kind_of(package, spec, hyper);
  for (const TensorEntry& entry : package.tensors) {
    info.parameters += parameters_of(entry);
    info.weight_bytes += static_cast<std::uint64_t>(ops::growth_of(entry.dtype) *
                                                    static_cast<double>(entry.bytes()));
  }
  info.quantisation = main_dtype(package);
  if (const Package* seeing = tower_package(package)) {
    if (const auto tower = tower_of(*seeing);
        tower && *tower != nullptr && check_language(**tower, spec).ok())
      info.vision = (*tower)->name;
    if (seeing != &package)
      for (const TensorEntry& entry : seeing->tensors) info.weight_bytes += entry.bytes();
  }
  info.has_mtp = holds_mtp(TensorFinder(package, spec, hyper));
  info.context_length = hyper.context;
  info.vocabulary = hyper.vocab;
  info.dim = hyper.dim;
  info.layers = static_cast<std::uint32_t>(hyper.layers.size());
  info.heads = hyper.heads;
  info.kv_heads = hyper.max_kv_heads();
  info.file_bytes = package.file_bytes;
  const Dtype kv = kv_dtype.value_or(default_kv_dtype(package));
  if (!ops::is_kv_dtype(kv))
    return Error(
        ErrorKind::invalid,
        fmt::format("keys and values as {}: needs f32, f16, bf16, q8_0 or q4_0", name_of(kv)));
  Hyper whole = hyper;
  if (info.has_mtp) add_mtp(whole);
  const KvLayout layout = TRY(kv_layout_of(spec, whole, kv));
  info.kv_bytes_per_token = layout.page_bytes / ops::kv_page_tokens;
  return info;
}

}  // namespace hearth::models

namespace hearth {

namespace {
constexpr std::string_view kind_names[] = {"generator", "embedder", "reranker", "transcriber"};
constexpr std::string_view capabilities[] = {"completion", "embedding", "rerank", "transcription"};
}  // namespace

std::string_view name_of(ModelKind kind) { return kind_names[std::to_underlying(kind)]; }

std::string_view capability_of(ModelKind kind) { return capabilities[std::to_underlying(kind)]; }

std::optional<ModelKind> find_kind(std::string_view name) {
  const auto found = std::ranges::find(kind_names, name);
  if (found == std::end(kind_names)) return std::nullopt;
  return static_cast<ModelKind>(found - std::begin(kind_names));
}

Result<ModelInfo> describe(const Package& package, std::optional<Dtype> kv_dtype) {
  const models::ArchSpec& spec = *TRY(models::architecture_of(package));
  TRY(models::check_scheme(package));
  const models::Hyper hyper = TRY(models::read_hyper(package, spec));
  return models::info_of(package, spec, hyper, kv_dtype);
}

}  // namespace hearth
