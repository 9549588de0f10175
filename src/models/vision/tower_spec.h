// TowerSpec: a vision tower as data.  The rows say which parts it has (a tower without `class_row`
// has none), the fields how pictures are cut, how places are told to it and how its patches become
// rows of a language model.  Loading and both executors follow from it.
#pragma once

#include <array>
#include <cstdint>
#include <span>
#include <string_view>

#include "models/arch_spec.h"
#include "models/vision/resample.h"

namespace hearth::models {

enum class TowerPart : std::uint8_t {
  // Of the whole tower.
  patch,         // [dim, 3 * patch * patch], a convolution over patches
  patch_second,  // what it adds for the second frame: pictures stand for two equal ones
  class_row,
  positions,  // [places, dim]
  pre_norm,
  post_norm,
  block_norm,   // of each patch, before blocks are joined
  merge,        // joined blocks to `dim`
  joined_norm,  // of joined blocks
  shift,        // what is taken from a pooled row, and
  stretch,      // what the rest is multiplied by
  pooled_norm,
  first,    // to the language model's rows, or to what lies between
  second,   // after the activation
  third,    // after one more
  newline,  // [rows' dim], what ends a line of rows
  // Of each layer.
  norm1,
  qkv,
  q,
  k,
  v,
  q_norm,  // of whole rows, or of each head
  k_norm,
  v_norm,
  attention_out,
  attention_post_norm,  // of what attention gives, before it is added
  attention_gain,       // what it is multiplied by
  norm2,
  gate,
  up,
  down,
  mlp_post_norm,
  mlp_gain,
  // Of the layers that deep layers of the language model read.
  deep_norm,  // of joined blocks
  deep_first,
  deep_second,
};
constexpr std::size_t tower_parts = static_cast<std::size_t>(TowerPart::deep_second) + 1;
constexpr bool of_tower_layer(TowerPart part) { return part >= TowerPart::norm1; }
constexpr bool of_deep_layer(TowerPart part) { return part >= TowerPart::deep_norm; }
// Parts whose names have the projector's prefixes.
constexpr bool of_projector(TowerPart part) {
  return part >= TowerPart::block_norm && part <= TowerPart::newline;
}
// Norms and other single rows.
constexpr bool is_vector(TowerPart part) {
  using enum TowerPart;
  switch (part) {
    case class_row:
    case pre_norm:
    case post_norm:
    case block_norm:
    case joined_norm:
    case shift:
    case stretch:
    case pooled_norm:
    case newline:
    case norm1:
    case q_norm:
    case k_norm:
    case v_norm:
    case attention_post_norm:
    case attention_gain:
    case norm2:
    case mlp_post_norm:
    case mlp_gain:
    case deep_norm:
      return true;
    default:
      return false;
  }
}

// One tensor; names as in TensorRow.  Those of Hugging Face come after one of the spec's prefixes,
// and number deep layers from 0 where GGUF names the tower's layer.
struct TowerRow {
  TowerPart part;
  std::string_view gguf, hf;
  bool needed = true;
};

// How a picture becomes tiles of pixels.
enum class Sizing : std::uint8_t {
  square,    // one tile of image_size, the shape ignored
  crop,      // the shortest edge to image_size, then the middle
  smart,     // one tile of whole blocks, between min_pixels and max_pixels
  bounded,   // one tile of whole blocks, its longest edge at most image_size
  budget,    // one tile of whole blocks, of about as many patches as are taken at most
  split,     // tiles of image_size, and the whole picture as one more
  shapes,    // the same, stretched to the grid whose shape is nearest
  canvases,  // the same, as large as fits into the grid that shrinks it least, black behind it
  grids,     // the whole picture, and tiles of image_size in the grid that fits best
};

// How a picture's patches are told their places by learned vectors.
enum class Places : std::uint8_t {
  counted,    // one for every patch of the picture
  shares,     // that of a square whose share of an edge it is at (Idefics 3)
  stretched,  // a square's, resized to the picture's shape: bilinear, corners on corners
  crossed,    // one for its column and one for its row
};

// How a block of patches becomes one row.
enum class Joining : std::uint8_t { side_by_side, average };

struct TowerSpec {
  std::string_view name = {};                       // clip.projector_type of GGUF
  std::span<const std::string_view> hf_types = {};  // model_type of config.json ...
  std::string_view hf_tower = {};  // ... and of its vision_config; empty: whatever it says
  std::span<const std::string_view> tower_prefixes = {}, projector_prefixes = {};
  std::span<const TowerRow> tower = {}, projector = {};

  NormKind norm = NormKind::layer;  // config.json's norm_type may say another
  float norm_eps = 1e-6f;
  float projector_eps = 0;  // 0: as the tower's
  ops::Activation activation = ops::Activation::gelu_tanh;
  bool activation_from_config = false;
  ops::Activation between = ops::Activation::gelu;  // of the projector
  bool heads_normed_alone = false;                  // q_norm and k_norm are of one head
  bool unit_values = false;   // values are normed without weights, and so are pooled rows
  float attention_scale = 0;  // 0: one over the root of a head's dimensions
  bool bounded = false;       // what matrices read and give may be held to bounds
  // Queries and keys turn: the first half of the pairs by row, the other by column.
  bool rope = false;
  float rope_theta = 10000;
  bool rope_columns_first = false;  // or the other way round
  bool rope_in_halves = false;      // each half of a head turns by itself
  bool rope_neighbours = false;     // pairs are neighbours in both containers
  bool class_last = false;          // its learned place is the last; others are turned from one on
  bool rope_splits_frequencies = false;  // even ones for rows, odd ones for columns
  bool gguf_pairs = false;               // GGUF files hold queries and keys for neighbouring pairs
  bool gguf_fused = false;               // GGUF files hold queries, keys and values as one matrix
  bool windows = false;                  // most layers see windows of patches
  Places places = Places::counted;
  std::int32_t feature_layer = -1;          // whose result is taken; -1: the last one's
  bool first_is_turned = false;             // stored [inputs, outputs]
  bool hf_pooled_norm_plus_one = false;     // Hugging Face stores w - 1
  bool hf_patch_is_matrix = false;          // no convolution's, but [dim, 3 * patch * patch]
  bool hf_patch_channels_last = false;      // of [row][column][channel]
  bool hf_batch_of_one = false;             // row of the class and places have such an extent
  bool merge_by_channel = false;            // stored for [channel][place in the block]
  bool block_norm_eps_of_language = false;  // Mistral 3

  Sizing sizing = Sizing::square;
  Filter filter = Filter::bicubic;
  Joining joining = Joining::side_by_side;
  std::uint32_t merge = 1;  // patches along an edge of a block
  std::array<float, 3> mean = {0.5f, 0.5f, 0.5f}, deviation = {0.5f, 0.5f, 0.5f};
  std::uint64_t min_pixels = 0, max_pixels = 0;  // where nothing else is said
  std::uint32_t longest_edge = 0;                // of split pictures, before they are cut
  std::uint32_t max_tiles = 1;                   // of Sizing::shapes
  std::uint32_t max_rows = 0;                    // of Sizing::budget
  bool rounded_colours = false;                  // computed in bf16
  bool own_colours = false;  // mean and deviation of files are of something else

  // What the chat template writes for a picture, and what a row of it is called.
  std::string_view marker = {}, row_name = {};
  // What the marker becomes beside the rows.
  std::string_view rows_before = {}, rows_after = {};
  // Of templates without a place for pictures: what is written around the marker.
  std::string_view before = {}, after = {};
  std::span<const std::string_view> languages = {};  // architectures that it belongs to
  bool sees_ahead = false;      // rows of one picture see each other, in the language model
  bool grid_positions = false;  // and are told their places in it (M-RoPE)

  constexpr const TowerRow* find(TowerPart part) const {
    for (const TowerRow& row : of_projector(part) ? projector : tower)
      if (row.part == part) return &row;
    return nullptr;
  }
};

// Of colours, as CLIP was trained on them and most towers after it.  Source: Radford et al. 2021.
inline constexpr std::array<float, 3> clip_mean{0.48145466f, 0.4578275f, 0.40821073f};
inline constexpr std::array<float, 3> clip_deviation{0.26862954f, 0.26130258f, 0.27577711f};

extern const TowerSpec qwen2_vl_tower, qwen25_vl_tower, qwen3_vl_tower;  // qwen_towers.cpp
extern const TowerSpec gemma3_tower, idefics3_tower, llava_tower,
    llava_next_tower;                                  // clip_towers.cpp
extern const TowerSpec pixtral_tower, mistral3_tower;  // pixtral_towers.cpp
extern const TowerSpec internvl_tower;                 // internvl_tower.cpp
extern const TowerSpec gemma4_tower;                   // gemma4_tower.cpp
extern const TowerSpec llama4_tower;                   // llama4_tower.cpp

// In the order they are tried.
std::span<const TowerSpec* const> towers();

}  // namespace hearth::models
