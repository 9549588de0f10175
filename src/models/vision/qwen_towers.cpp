// Qwen2-VL, Qwen2.5-VL, Qwen3-VL and Qwen 3.5: pictures of any size, places by rotation.  Most
// layers of the second see windows; the third has learned places too, and gives rows of some of its
// layers to the first layers of the language model (DeepStack), which the fourth does not.
// Source: Wang et al. 2024; Bai et al. 2025a and 2025b; Meng et al. 2024.
#include <algorithm>

#include "models/vision/tower_spec.h"

namespace hearth::models {
namespace {

using enum TowerPart;

// What every layer has, then what is the model's own.
template <std::size_t count>
constexpr std::array<TowerRow, count + 9> with_own(const TowerRow (&own)[count]) {
  const TowerRow shared[] = {
      {patch, "v.patch_embd", "patch_embed.proj"},
      {patch_second, "v.patch_embd.weight.1!", "", false},
      {norm1, "v.blk.{}.ln1", "blocks.{}.norm1"},
      {qkv, "v.blk.{}.attn_qkv", "blocks.{}.attn.qkv", false},
      {q, "v.blk.{}.attn_q", "", false},
      {k, "v.blk.{}.attn_k", "", false},
      {v, "v.blk.{}.attn_v", "", false},
      {attention_out, "v.blk.{}.attn_out", "blocks.{}.attn.proj"},
      {norm2, "v.blk.{}.ln2", "blocks.{}.norm2"},
  };
  std::array<TowerRow, count + 9> rows{};
  std::ranges::copy(own, std::ranges::copy(shared, rows.begin()).out);
  return rows;
}

constexpr auto qwen2_rows = with_own({
    {up, "v.blk.{}.ffn_up", "blocks.{}.mlp.fc1"},
    {down, "v.blk.{}.ffn_down", "blocks.{}.mlp.fc2"},
});

constexpr auto qwen25_rows = with_own({
    {gate, "v.blk.{}.ffn_gate", "blocks.{}.mlp.gate_proj"},
    {up, "v.blk.{}.ffn_up", "blocks.{}.mlp.up_proj"},
    {down, "v.blk.{}.ffn_down", "blocks.{}.mlp.down_proj"},
});

constexpr auto qwen3_rows = with_own({
    {positions, "v.position_embd", "pos_embed"},
    {up, "v.blk.{}.ffn_up", "blocks.{}.mlp.linear_fc1"},
    {down, "v.blk.{}.ffn_down", "blocks.{}.mlp.linear_fc2"},
    {deep_norm, "v.deepstack.{}.norm", "deepstack_merger_list.{}.norm"},
    {deep_first, "v.deepstack.{}.fc1", "deepstack_merger_list.{}.linear_fc1"},
    {deep_second, "v.deepstack.{}.fc2", "deepstack_merger_list.{}.linear_fc2"},
});

constexpr TowerRow qwen3_merger_rows[] = {
    {block_norm, "v.post_ln", "norm"},
    {first, "mm.0", "linear_fc1"},
    {second, "mm.2", "linear_fc2"},
};

constexpr TowerRow merger_rows[] = {
    {block_norm, "v.post_ln", "ln_q"},
    {first, "mm.0", "mlp.0"},
    {second, "mm.2", "mlp.2"},
};

constexpr std::string_view tower_prefixes[] = {"visual.", "model.visual."};
constexpr std::string_view merger_prefixes[] = {"visual.merger.", "model.visual.merger."};
constexpr std::string_view qwen2_types[] = {"qwen2_vl"};
constexpr std::string_view qwen25_types[] = {"qwen2_5_vl"};
constexpr std::string_view qwen3_types[] = {"qwen3_vl", "qwen3_vl_moe", "qwen3_5", "qwen3_5_moe"};

constexpr std::string_view languages[] = {"qwen2vl"};
constexpr std::string_view qwen3_languages[] = {"qwen3vl", "qwen3vlmoe", "qwen35", "qwen35moe"};
constexpr std::uint64_t least_pixels = 56 * 56, most_pixels = 28 * 28 * 1280;

}  // namespace

const TowerSpec qwen2_vl_tower{
    .name = "qwen2vl_merger",
    .hf_types = qwen2_types,
    .tower_prefixes = tower_prefixes,
    .projector_prefixes = merger_prefixes,
    .tower = qwen2_rows,
    .projector = merger_rows,
    .activation = ops::Activation::quick_gelu,
    .activation_from_config = true,
    .rope = true,
    .sizing = Sizing::smart,
    .merge = 2,
    .mean = clip_mean,
    .deviation = clip_deviation,
    .min_pixels = least_pixels,
    .max_pixels = most_pixels,
    .marker = "<|image_pad|>",
    .row_name = "<|image_pad|>",
    .before = "<|vision_start|>",
    .after = "<|vision_end|>",
    .languages = languages,
    .grid_positions = true,
};

const TowerSpec qwen25_vl_tower{
    .name = "qwen2.5vl_merger",
    .hf_types = qwen25_types,
    .tower_prefixes = tower_prefixes,
    .projector_prefixes = merger_prefixes,
    .tower = qwen25_rows,
    .projector = merger_rows,
    .norm = NormKind::rms,
    .activation = ops::Activation::silu,
    .activation_from_config = true,
    .rope = true,
    .windows = true,
    .sizing = Sizing::smart,
    .merge = 2,
    .mean = clip_mean,
    .deviation = clip_deviation,
    .min_pixels = least_pixels,
    .max_pixels = most_pixels,
    .marker = "<|image_pad|>",
    .row_name = "<|image_pad|>",
    .before = "<|vision_start|>",
    .after = "<|vision_end|>",
    .languages = languages,
    .grid_positions = true,
};

const TowerSpec qwen3_vl_tower{
    .name = "qwen3vl_merger",
    .hf_types = qwen3_types,
    .tower_prefixes = tower_prefixes,
    .projector_prefixes = merger_prefixes,
    .tower = qwen3_rows,
    .projector = qwen3_merger_rows,
    .activation_from_config = true,
    .rope = true,
    .gguf_fused = true,
    .places = Places::stretched,
    .sizing = Sizing::smart,
    .merge = 2,
    .min_pixels = 256 * 256,
    .max_pixels = 4096 * 4096,
    .marker = "<|image_pad|>",
    .row_name = "<|image_pad|>",
    .before = "<|vision_start|>",
    .after = "<|vision_end|>",
    .languages = qwen3_languages,
    .grid_positions = true,
};

}  // namespace hearth::models
