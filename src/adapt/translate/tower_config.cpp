// config.json of a model that sees, around that of its language model, and
// preprocessor_config.json.
// Source: the configuration classes and image processors of Hugging Face transformers.
#include <array>

#include "adapt/translate/tower_parts.h"
#include "models/model.h"

namespace hearth::adapt {
namespace {

using namespace models;
using enum TowerPart;

std::string_view name_of_activation(ops::Activation activation) {
  switch (activation) {
    case ops::Activation::gelu:
      return "gelu";
    case ops::Activation::gelu_tanh:
      return "gelu_pytorch_tanh";
    case ops::Activation::quick_gelu:
      return "quick_gelu";
    default:
      return "silu";
  }
}

Json numbers_of(const auto& values) {
  Json list = Json::array();
  for (const auto& value : values) list.push_back(value);
  return list;
}

}  // namespace

Json vision_config(const TowerOrigin& tower, const Form& form, std::uint32_t language_dim) {
  const TowerSpec& spec = tower.spec;
  const TowerHyper& hyper = tower.hyper;
  const bool is_qwen = spec.sizing == Sizing::smart;
  Json out = Json::object({{"model_type", form.vision_type},
                           {is_qwen ? "depth" : "num_hidden_layers", hyper.sees_all.size()},
                           {is_qwen ? "num_heads" : "num_attention_heads", hyper.heads},
                           {"patch_size", hyper.patch},
                           {spec.sizing == Sizing::budget ? "hidden_activation" : "hidden_act",
                            name_of_activation(hyper.activation)}});
  if (spec.hf_types.front() == "qwen2_vl") {
    out.set("embed_dim", hyper.dim);
    out.set("hidden_size", language_dim);
    if (hyper.hidden % hyper.dim == 0)
      out.set("mlp_ratio", hyper.hidden / hyper.dim);
    else
      out.set("mlp_ratio", static_cast<double>(hyper.hidden) / hyper.dim);
  } else {
    out.set("hidden_size", hyper.dim);
    out.set("intermediate_size", hyper.hidden);
    if (is_qwen) out.set("out_hidden_size", language_dim);
  }
  if (is_qwen) {
    out.set("spatial_merge_size", hyper.merge);
    out.set("temporal_patch_size", 2);
  } else if (spec.sizing != Sizing::budget) {
    const bool any_size = spec.sizing == Sizing::bounded;
    out.set("image_size", any_size ? hyper.longest_edge : hyper.image_size);
  }
  if (spec.norm == NormKind::layer && !is_qwen) out.set("layer_norm_eps", hyper.norm_eps);
  if (spec.rope && !is_qwen && form.type != "llama4") out.set("head_dim", hyper.head_dim);
  if (spec.windows) {
    out.set("window_size", hyper.window * hyper.patch);
    Json whole = Json::array();
    for (std::size_t i = 0; i < hyper.sees_all.size(); ++i)
      if (hyper.sees_all[i]) whole.push_back(i);
    out.set("fullatt_block_indexes", std::move(whole));
  }
  if (spec.places == Places::stretched) {
    const std::uint32_t side = hyper.image_size / hyper.patch;
    out.set("num_position_embeddings", side * side);
  }
  if (spec.find(deep_norm) != nullptr && form.type.starts_with("qwen3_vl"))
    out.set("deepstack_visual_indexes", numbers_of(hyper.deep));
  if (form.type == "gemma3") out.set("vision_use_head", false);
  const auto has = [&](const char* name) { return tower.package.find(name) != nullptr; };
  if (form.type == "internvl") {
    out.set("norm_type", hyper.norm == NormKind::rms ? "rms_norm" : "layer_norm");
    out.set("use_qk_norm", has("v.blk.0.attn_q_norm.weight"));
    out.set("attention_bias", has("v.blk.0.attn_q.bias"));
  }
  if (form.type == "gemma4") {
    out.set("num_key_value_heads", hyper.heads);
    out.set("pooling_kernel_size", hyper.merge);
    out.set("position_embedding_size", tower.package.find("v.position_embd.weight")->shape[1]);
    out.set("use_clipped_linears", has("v.blk.0.attn_q.input_min"));
    out.set("standardize", (has("v.std_bias") || has("v.std_bias.weight")));
    out.set("rms_norm_eps", hyper.norm_eps);
  }
  if (form.type == "llama4") {
    const auto rows_of = [&](const char* name, std::size_t axis) {
      return tower.package.find(name)->shape[axis];
    };
    out.set("pixel_shuffle_ratio", 1.0 / hyper.merge);
    out.set("projector_input_dim", rows_of("mm.model.mlp.1.weight", 0));
    out.set("projector_output_dim", rows_of("mm.model.mlp.2.weight", 0));
    out.set("vision_output_dim", rows_of("mm.model.fc.weight", 1));
  }
  return out;
}

namespace {

// Heights and widths of pictures that are cut.
Json grids_of(const TowerHyper& hyper) {
  Json grids = Json::array();
  for (const TowerHyper::Grid& grid : hyper.grids)
    grids.push_back(
        numbers_of(std::array{grid.rows * hyper.image_size, grid.columns * hyper.image_size}));
  return grids;
}

Json square_of(std::uint32_t edge) { return Json::object({{"height", edge}, {"width", edge}}); }

}  // namespace

Json preprocessor_config(const TowerOrigin& tower, const Form& form) {
  const TowerHyper& hyper = tower.hyper;
  const int resample = hyper.filter == Filter::lanczos   ? 1
                       : hyper.filter != Filter::bicubic ? 2
                                                         : 3;
  Json out = Json::object({{"image_processor_type", form.processor},
                           {"do_convert_rgb", true},
                           {"do_resize", true},
                           {"do_rescale", true},
                           {"rescale_factor", 1 / 255.0},
                           {"do_normalize", !tower.spec.own_colours},
                           {"resample", resample}});
  if (!tower.spec.own_colours) {
    out.set("image_mean", numbers_of(hyper.mean));
    out.set("image_std", numbers_of(hyper.deviation));
  }
  const std::uint32_t edge = hyper.image_size;
  switch (tower.spec.sizing) {
    case Sizing::square:
      out.set("size", square_of(edge));
      break;
    case Sizing::crop:
    case Sizing::grids:
      out.set("size", Json::object({{"shortest_edge", edge}}));
      out.set("do_center_crop", true);
      out.set("crop_size", square_of(edge));
      if (!hyper.grids.empty()) out.set("image_grid_pinpoints", grids_of(hyper));
      break;
    case Sizing::smart:
      out.set("size", Json::object({{"shortest_edge", hyper.min_pixels},
                                    {"longest_edge", hyper.max_pixels}}));
      out.set("min_pixels", hyper.min_pixels);
      out.set("max_pixels", hyper.max_pixels);
      out.set("patch_size", hyper.patch);
      out.set("merge_size", hyper.merge);
      out.set("temporal_patch_size", 2);
      break;
    case Sizing::bounded:
      out.set("size", Json::object({{"longest_edge", hyper.longest_edge}}));
      out.set("patch_size", square_of(hyper.block()));
      break;
    case Sizing::budget:
      out.set("max_soft_tokens", hyper.max_rows);
      out.set("patch_size", hyper.patch);
      out.set("pooling_kernel_size", hyper.merge);
      break;
    case Sizing::split:
      out.set("size", Json::object({{"longest_edge", hyper.longest_edge}}));
      out.set("max_image_size", Json::object({{"longest_edge", edge}}));
      out.set("do_image_splitting", hyper.splits);
      break;
    case Sizing::shapes:
    case Sizing::canvases:
      out.set("size", square_of(edge));
      out.set("crop_to_patches", true);
      out.set("min_patches", hyper.min_tiles);
      out.set("max_patches", hyper.max_tiles);
      break;
  }
  return out;
}

void add_outer(const TowerOrigin& tower, const Form& form, const Package& language, Json& config) {
  const TowerHyper& hyper = tower.hyper;
  const auto rows = [&](std::uint32_t edge) {
    const std::uint32_t side = edge / hyper.block();
    return side * side;
  };
  if (form.type == "gemma3") config.set("mm_tokens_per_image", rows(hyper.image_size));
  if (form.type == "idefics3") config.set("scale_factor", hyper.merge);
  if (form.type == "mistral3") config.set("spatial_merge_size", hyper.merge);
  if (form.type == "internvl") {
    config.set("downsample_ratio", 1.0 / hyper.merge);
    config.set("image_seq_length", rows(hyper.image_size));
  }
  if (form.type == "mistral3" || form.type == "llava")
    config.set("multimodal_projector_bias", tower.package.find("mm.1.bias") != nullptr ||
                                                tower.package.find("mm.0.bias") != nullptr);
  if (tower.spec.feature_layer != -1) {
    config.set("vision_feature_layer", -1);  // no layer behind it is in the file
    config.set("vision_feature_select_strategy", "default");
  } else if (form.type == "llava") {
    config.set("vision_feature_layer", -1);
    config.set("vision_feature_select_strategy", "full");
  }
  if (!hyper.grids.empty()) config.set("image_grid_pinpoints", grids_of(hyper));
  const auto tokenizer = load_tokenizer(language);
  if (!tokenizer) return;
  const auto tell = [&](const char* key, std::string_view token) {
    if (const auto id = (*tokenizer)->find(token)) config.set(key, *id);
  };
  const bool by_index = form.text_prefix == "language_model.model." && form.type != "internvl";
  tell(by_index ? "image_token_index" : "image_token_id", tower.spec.row_name);
  if (tower.spec.grid_positions) {
    tell("vision_start_token_id", tower.spec.before);
    tell("vision_end_token_id", tower.spec.after);
    tell("video_token_id", "<|video_pad|>");
  }
  if (form.type == "gemma3") {
    tell("boi_token_index", tower.spec.marker);
    tell("eoi_token_index", "<end_of_image>");
  }
  if (form.type == "gemma4") {
    // What stands in for pictures where layers have vectors of tokens.
    Json& text = *config.find("text_config");
    if (const Json* held = text.find("pad_token_id"); held == nullptr || held->is_null())
      text.set("pad_token_id", 0);
    tell("boi_token_id", tower.spec.rows_before);
    tell("eoi_token_id", tower.spec.rows_after);
  }
}

}  // namespace hearth::adapt
