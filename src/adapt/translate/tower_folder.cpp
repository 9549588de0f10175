// The vision tower of a GGUF file as part of a Hugging Face folder: its tensors by the rows of its
// TowerSpec, and where they and the language model's hang in the folder.
#include <fmt/core.h>

#include <algorithm>
#include <cstring>
#include <utility>

#include "adapt/translate/tower_parts.h"
#include "base/half.h"
#include "models/transforms.h"
#include "models/values.h"

namespace hearth::adapt {
namespace {

using namespace models;
using enum TowerPart;

constexpr Form form_of_qwen3(std::string_view language, std::string_view type,
                             std::string_view name, std::string_view text_type) {
  return {.tower = "qwen3vl_merger",
          .language = language,
          .type = type,
          .name = name,
          .text_type = text_type,
          .vision_type = type,
          .processor = "Qwen2VLImageProcessor",
          .text_prefix = "model.language_model.",
          .output = "lm_head.",
          .tower_prefix = "model.visual.",
          .projector_prefix = "model.visual.merger."};
}

constexpr Form form_of_qwen2(std::string_view tower, std::string_view type, std::string_view name,
                             std::string_view text_type) {
  return {.tower = tower,
          .language = {},
          .type = type,
          .name = name,
          .text_type = text_type,
          .vision_type = type,
          .processor = "Qwen2VLImageProcessor",
          .text_prefix = "model.",
          .output = "lm_head.",
          .tower_prefix = "visual.",
          .projector_prefix = "visual.merger."};
}

// As most are laid out.
constexpr Form form_of(std::string_view tower, std::string_view type, std::string_view name,
                       std::string_view vision_type, std::string_view processor,
                       std::string_view tower_prefix,
                       std::string_view projector_prefix = "multi_modal_projector.") {
  return {.tower = tower,
          .language = {},
          .type = type,
          .name = name,
          .text_type = {},
          .vision_type = vision_type,
          .processor = processor,
          .text_prefix = "language_model.model.",
          .output = "language_model.lm_head.",
          .tower_prefix = tower_prefix,
          .projector_prefix = projector_prefix};
}

constexpr Form forms[] = {
    form_of_qwen2("qwen2vl_merger", "qwen2_vl", "Qwen2VLForConditionalGeneration", "qwen2_vl_text"),
    form_of_qwen2("qwen2.5vl_merger", "qwen2_5_vl", "Qwen2_5_VLForConditionalGeneration",
                  "qwen2_5_vl_text"),
    form_of_qwen3("qwen3vl", "qwen3_vl", "Qwen3VLForConditionalGeneration", "qwen3_vl_text"),
    form_of_qwen3("qwen3vlmoe", "qwen3_vl_moe", "Qwen3VLMoeForConditionalGeneration",
                  "qwen3_vl_moe_text"),
    form_of_qwen3("qwen35", "qwen3_5", "Qwen3_5ForConditionalGeneration", "qwen3_5_text"),
    form_of_qwen3("qwen35moe", "qwen3_5_moe", "Qwen3_5MoeForConditionalGeneration",
                  "qwen3_5_moe_text"),
    form_of("gemma3", "gemma3", "Gemma3ForConditionalGeneration", "siglip_vision_model",
            "Gemma3ImageProcessor", "vision_tower.vision_model."),
    form_of("mlp", "llava", "LlavaForConditionalGeneration", "clip_vision_model",
            "CLIPImageProcessor", "vision_tower.vision_model."),
    form_of("mlp", "llava_next", "LlavaNextForConditionalGeneration", "clip_vision_model",
            "LlavaNextImageProcessor", "vision_tower.vision_model.", ""),
    form_of("pixtral", "mistral3", "Mistral3ForConditionalGeneration", "pixtral",
            "PixtralImageProcessor", "vision_tower."),
    form_of("pixtral", "llava", "LlavaForConditionalGeneration", "pixtral", "PixtralImageProcessor",
            "vision_tower."),
    form_of("internvl", "internvl", "InternVLForConditionalGeneration", "internvl_vision",
            "GotOcr2ImageProcessor", "vision_tower."),
    {.tower = "idefics3",
     .language = {},
     .type = "idefics3",
     .name = "Idefics3ForConditionalGeneration",
     .text_type = {},
     .vision_type = "idefics3_vision",
     .processor = "Idefics3ImageProcessor",
     .text_prefix = "model.text_model.",
     .output = "lm_head.",
     .tower_prefix = "model.vision_model.",
     .projector_prefix = "model.connector."},
    {.tower = "gemma4v",
     .language = {},
     .type = "gemma4",
     .name = "Gemma4ForConditionalGeneration",
     .text_type = {},
     .vision_type = "gemma4_vision",
     .processor = "Gemma4ImageProcessor",
     .text_prefix = "model.language_model.",
     .output = "lm_head.",
     .tower_prefix = "model.vision_tower.",
     .projector_prefix = "model."},
    {.tower = "llama4",
     .language = {},
     .type = "llama4",
     .name = "Llama4ForConditionalGeneration",
     .text_type = {},
     .vision_type = "llama4_vision_model",
     .processor = "Llama4ImageProcessorFast",
     .text_prefix = "language_model.model.",
     .output = "language_model.lm_head.",
     .tower_prefix = "vision_model.",
     .projector_prefix = ""},
};

const Form* find_form(const TowerSpec& tower, const ArchSpec& language) {
  for (const Form& form : forms)
    if (form.tower == tower.name && (form.language.empty() || form.language == language.name) &&
        std::ranges::find(tower.hf_types, form.type) != tower.hf_types.end())
      return &form;
  return nullptr;
}

Bytes bytes_of_values(std::span<const float> values) {
  const auto bytes = std::as_bytes(values);
  return Bytes(bytes.begin(), bytes.end());
}

std::string filled(std::string_view pattern, const std::string& layer) {
  std::string name(pattern);
  if (const auto at = name.find("{}"); at != name.npos) name.replace(at, 2, layer);
  return name;
}

class FolderTower {
 public:
  FolderTower(SharedTower origin, const Form& form)
      : origin_(std::move(origin)),
        spec_(origin_->spec),
        hyper_(origin_->hyper),
        finder_{origin_->package, spec_, hyper_},
        form_(form) {}

  Status row(const TowerRow& row, std::size_t layer);
  std::vector<TensorEntry> take() { return std::move(out_); }

 private:
  std::string name(const TowerRow& row, std::size_t layer, std::string_view suffix) const;
  void put(std::string name, Dtype dtype, std::vector<std::uint64_t> shape,
           std::function<Result<Bytes>()> make) {
    out_.push_back(made_tensor(std::move(name), dtype, std::move(shape), std::move(make)));
  }
  void put_as_is(std::string name, const TensorEntry& entry) {
    out_.push_back(entry);
    out_.back().name = std::move(name);
  }
  void put_floats(std::string name, const TensorEntry& entry, float more);
  Status put_patch(const TowerRow& row, const TensorEntry& entry);
  Status put_fused(const TowerRow& row, std::size_t layer);
  void put_halves(std::string name, const TensorEntry& entry);
  void put_bounds(const TensorEntry& entry, std::string_view name);

  SharedTower origin_;
  const TowerSpec& spec_;
  const TowerHyper& hyper_;
  TowerFinder finder_;
  const Form& form_;
  std::vector<TensorEntry> out_;
};

// The first of a row's names.
std::string FolderTower::name(const TowerRow& row, std::size_t layer,
                              std::string_view suffix) const {
  std::size_t number = layer;
  if (of_deep_layer(row.part))
    number = static_cast<std::size_t>(std::ranges::find(hyper_.deep, layer) - hyper_.deep.begin());
  const std::string_view prefix =
      of_projector(row.part) ? form_.projector_prefix : form_.tower_prefix;
  std::string name =
      std::string(prefix) + filled(row.hf.substr(0, row.hf.find('|')), std::to_string(number));
  if (!name.ends_with('!')) return name + std::string(suffix);
  name.pop_back();
  return name;
}

// Transformers has InternVL's single rows as a batch of one.
void FolderTower::put_floats(std::string name, const TensorEntry& entry, float more) {
  auto shape = entry.shape;
  if (spec_.hf_batch_of_one && name.ends_with("cls_token")) shape = {1, 1, entry.elements()};
  if (spec_.hf_batch_of_one && name.ends_with("position_embeddings"))
    shape.insert(shape.begin(), 1);
  const std::string_view last = std::string_view(name).substr(name.rfind('.') + 1);
  if (last.ends_with("put_min") || last.ends_with("put_max")) shape = {};
  put(std::move(name), Dtype::f32, std::move(shape),
      [origin = origin_, &entry, more]() -> Result<Bytes> {
        std::vector<float> values = TRY(read_floats(entry));
        for (float& value : values) value += more;
        return bytes_of_values(values);
      });
}

// A convolution's weights, of two frames where there are as many, or as rows of a matrix.
Status FolderTower::put_patch(const TowerRow& row, const TensorEntry& entry) {
  const TowerRow* other = spec_.find(patch_second);
  const TensorEntry* second = other != nullptr ? finder_.find(*other, 0, ".weight") : nullptr;
  const std::uint64_t dim = hyper_.dim, edge = hyper_.patch;
  for (const TensorEntry* each : {&entry, second})
    if (each != nullptr) TRY(check_shape(*each, std::array{dim, std::uint64_t{3}, edge, edge}));
  const bool frames = other != nullptr;
  if (frames && second == nullptr)
    return Error(ErrorKind::corrupt, "v.patch_embd.weight.1 is missing");
  std::vector<std::uint64_t> shape{dim, 3, edge, edge};
  if (frames) shape.insert(shape.begin() + 2, 2);
  if (spec_.hf_patch_is_matrix) shape = {dim, 3 * edge * edge};
  const Dtype dtype = entry.dtype == Dtype::f16 ? Dtype::f16 : Dtype::f32;
  put(name(row, 0, ".weight"), dtype, std::move(shape),
      [origin = origin_, &entry, second, dtype, area = edge * edge]() -> Result<Bytes> {
        std::vector<float> values = TRY(read_floats(entry));
        if (second != nullptr) {
          const std::vector<float> more = TRY(read_floats(*second));
          std::vector<float> both;
          for (std::size_t at = 0; at < values.size(); at += area)
            for (const auto* from : {&std::as_const(values), &more})
              both.insert(both.end(), from->begin() + static_cast<std::ptrdiff_t>(at),
                          from->begin() + static_cast<std::ptrdiff_t>(at + area));
          values = std::move(both);
        } else if (origin->spec.hf_patch_channels_last) {
          std::vector<float> sorted(values.size());
          for (std::size_t i = 0; i < values.size(); ++i) {
            const std::size_t c = i / area % 3, place = i % area;
            sorted[i - c * area - place + place * 3 + c] = values[i];
          }
          values = std::move(sorted);
        }
        if (dtype == Dtype::f32) return bytes_of_values(values);
        Bytes halves(values.size() * sizeof(std::uint16_t));
        for (std::size_t i = 0; i < values.size(); ++i) {
          const std::uint16_t half = f32_to_f16(values[i]);
          std::memcpy(halves.data() + i * sizeof(half), &half, sizeof(half));
        }
        return halves;
      });
  return Done{};
}

// Queries, keys and values in one matrix.
Status FolderTower::put_fused(const TowerRow& row, std::size_t layer) {
  for (const std::string_view suffix : {".weight", ".bias"}) {
    if (const TensorEntry* whole = finder_.find(row, layer, suffix)) {
      put_as_is(name(row, layer, suffix), *whole);
      continue;
    }
    std::vector<const TensorEntry*> parts;
    for (const TowerPart part : {q, k, v})
      parts.push_back(finder_.find(*spec_.find(part), layer, suffix));
    if (std::ranges::all_of(parts, [](const auto* part) { return part == nullptr; }) &&
        suffix == ".bias")
      continue;
    for (const TensorEntry* part : parts)
      if (part == nullptr || part->dtype != parts.front()->dtype ||
          part->shape != parts.front()->shape)
        return Error(
            ErrorKind::unsupported,
            fmt::format("layer {}: queries, keys and values do not fit into one matrix", layer));
    std::vector<std::uint64_t> shape = parts.front()->shape;
    shape[0] *= 3;
    put(name(row, layer, suffix), parts.front()->dtype, std::move(shape),
        [origin = origin_, parts]() -> Result<Bytes> {
          Bytes all;
          for (const TensorEntry* part : parts)
            all.insert(all.end(), part->data.begin(), part->data.end());
          return all;
        });
  }
  return Done{};
}

// Rows of heads whose neighbours turn together, as halves that do.
void FolderTower::put_halves(std::string name, const TensorEntry& entry) {
  put(std::move(name), entry.dtype, entry.shape, [origin = origin_, &entry]() -> Result<Bytes> {
    const std::size_t dim = origin->hyper.head_dim;
    const auto order = inverse_order(order_of_pairs(origin->hyper.heads, dim, dim));
    return pick_rows(entry.data, entry.data.size() / entry.shape[0], order);
  });
}

void FolderTower::put_bounds(const TensorEntry& entry, std::string_view name) {
  std::string_view from = entry.name, to = name;
  for (std::string_view* stem : {&from, &to})
    for (const std::string_view last : {".weight", ".linear"})
      if (stem->ends_with(last)) stem->remove_suffix(last.size());
  for (const std::string_view bound : {".input_min", ".input_max", ".output_min", ".output_max"})
    if (const TensorEntry* held = origin_->package.find(fmt::format("{}{}", from, bound)))
      put_floats(fmt::format("{}{}", to, bound), *held, 0);
}

Status FolderTower::row(const TowerRow& row, std::size_t layer) {
  if (row.hf.empty()) return Done{};
  if (row.part == qkv) return put_fused(row, layer);
  const TensorEntry* entry = finder_.find(row, layer, ".weight");
  if (entry == nullptr) {
    if (!row.needed) return Done{};
    return Error(ErrorKind::corrupt,
                 fmt::format("{} is missing", finder_.name(row, row.gguf, layer)));
  }
  const std::string own = name(row, layer, ".weight");
  if (row.part == patch)
    TRY(put_patch(row, *entry));
  else if (is_vector(row.part) || row.part == positions)
    put_floats(own, *entry,
               row.part == pooled_norm && spec_.hf_pooled_norm_plus_one ? -1.0f : 0.0f);
  else if (spec_.gguf_pairs && (row.part == q || row.part == k))
    put_halves(own, *entry);
  else
    put_as_is(own, *entry);
  if (const TensorEntry* bias = finder_.find(row, layer, ".bias"))
    put_floats(name(row, layer, ".bias"), *bias, 0);
  if (spec_.bounded && of_tower_layer(row.part)) put_bounds(*entry, own);
  return Done{};
}

Status add_tower(const Origin& origin, const Package& package, Package& made) {
  const TowerSpec& spec = *TRY(tower_of(package));
  TRY(check_language(spec, origin.spec));
  const Form* form = find_form(spec, origin.spec);
  if (form == nullptr)
    return Error(ErrorKind::unsupported,
                 fmt::format("a tower '{}' of a model '{}' has no form as a folder", spec.name,
                             origin.spec.name));
  const auto tower =
      std::make_shared<const TowerOrigin>(package, spec, TRY(read_tower_hyper(package, spec)));
  FolderTower translator(tower, *form);
  for (const auto rows : {spec.tower, spec.projector})
    for (const TowerRow& row : rows) {
      const std::size_t layers = of_tower_layer(row.part) ? tower->hyper.sees_all.size() : 1;
      for (std::size_t i = 0; i < layers; ++i)
        if (!of_deep_layer(row.part) || tower->hyper.is_deep(i)) TRY(translator.row(row, i));
    }

  std::vector<TensorEntry> all = std::move(made.tensors);
  made.tensors.clear();
  made.tensor_index.clear();
  for (TensorEntry& entry : all) {
    if (entry.name.starts_with("model."))
      entry.name = std::string(form->text_prefix) + entry.name.substr(6);
    else if (entry.name.starts_with("lm_head."))
      entry.name = std::string(form->output) + entry.name.substr(8);
  }
  std::ranges::move(translator.take(), std::back_inserter(all));
  TRY(add_tensors(made, std::move(all)));
  made.storage.push_back(tower);

  Json language = std::move(made.config);
  std::erase_if(language.as_object(), [](const Json::Member& m) {
    return m.first == "architectures" || m.first == "torch_dtype";
  });
  if (!form->text_type.empty()) language.set("model_type", form->text_type);
  const Json tied = *language.find("tie_word_embeddings");
  made.config = Json::object({{"architectures", Json(Json::Array{Json(form->name)})},
                              {"model_type", form->type},
                              {"tie_word_embeddings", tied},
                              {"text_config", std::move(language)},
                              {"vision_config", vision_config(*tower, *form, origin.hyper.dim)}});
  add_outer(*tower, *form, origin.package, made.config);
  add_file(made, "preprocessor_config.json",
           write_json(preprocessor_config(*tower, *form), pretty));
  return Done{};
}

}  // namespace

bool takes_tower(const Origin& origin) {
  if (origin.package.tower == nullptr) return false;
  const auto spec = tower_of(*origin.package.tower);
  return spec && check_language(**spec, origin.spec).ok() &&
         find_form(**spec, origin.spec) != nullptr;
}

void add_tower_folder(const Origin& origin, Package& made, std::vector<std::string>& losses) {
  if (origin.package.tower == nullptr) return;
  const Package before = made;
  const Status status = add_tower(origin, *origin.package.tower, made);
  if (status.ok()) return;
  made = before;
  losses.push_back(fmt::format("the vision tower stays behind: {}", status.error().message()));
}

}  // namespace hearth::adapt
