// Tower: the numbers and weights of one vision tower, and the two ways to run it: a plain one that
// is slow and obvious, and a fast one on top of ops.
#pragma once

#include <algorithm>
#include <array>
#include <cmath>
#include <limits>
#include <memory>
#include <stop_token>
#include <vector>

#include "models/arena.h"
#include "models/model.h"
#include "models/vision/tower_spec.h"
#include "models/vision/vision.h"
#include "models/weights.h"

namespace hearth::models {

struct TowerHyper {
  std::uint32_t patch = 14, image_size = 0, merge = 1;
  std::uint32_t dim = 0, heads = 0, head_dim = 0, hidden = 0, out_dim = 0;
  std::uint32_t inner = 0;     // rows of the projector's first matrix
  std::uint32_t window = 0;    // patches along an edge of a window; 0: none
  std::vector<bool> sees_all;  // per layer that is run; only with a window
  std::vector<std::uint32_t>
      deep;  // layers whose rows the first of the language model read; ascending
  NormKind norm = NormKind::layer;
  float norm_eps = 1e-6f, projector_eps = 1e-6f;
  float rope_theta = 10000;
  ops::Activation activation = ops::Activation::gelu_tanh, between = ops::Activation::gelu;
  std::array<float, 3> mean{}, deviation{};
  bool rounded_colours = false;  // computed in bf16
  std::uint64_t min_pixels = 0, max_pixels = 0;
  std::uint32_t longest_edge = 0;
  bool splits = true;                          // Sizing::split: whether pictures are cut at all
  std::uint32_t min_tiles = 1, max_tiles = 1;  // Sizing::shapes and canvases
  std::uint32_t max_rows = 0;                  // Sizing::budget
  struct Grid {
    std::uint32_t rows, columns;  // of tiles
  };
  std::vector<Grid> grids;  // Sizing::grids: what pictures may be cut into
  Filter filter = Filter::bicubic;

  std::uint32_t block() const { return patch * merge; }  // pixels along the edge of a row
  bool is_deep(std::size_t layer) const { return std::ranges::binary_search(deep, layer); }
};

// What a matrix reads and gives is cut to these.
struct Bounds {
  float low = -std::numeric_limits<float>::infinity();
  float high = std::numeric_limits<float>::infinity();

  bool hold() const { return std::isfinite(low) || std::isfinite(high); }
};

struct TowerWeight : Weight {
  Bounds reads, gives;

  bool is_bounded() const { return reads.hold() || gives.hold(); }
};

struct TowerWeights {
  using Parts = std::array<TowerWeight, tower_parts>;
  Parts whole;
  std::vector<Parts> layers;  // that are run

  const TowerWeight& operator[](TowerPart part) const {
    return whole[static_cast<std::size_t>(part)];
  }
  TowerWeight& operator[](TowerPart part) { return whole[static_cast<std::size_t>(part)]; }
  const TowerWeight& at(std::size_t layer, TowerPart part) const {
    return layers[layer][static_cast<std::size_t>(part)];
  }
  TowerWeight& at(std::size_t layer, TowerPart part) {
    return layers[layer][static_cast<std::size_t>(part)];
  }
};

// Immutable once loaded.
struct Tower {
  const TowerSpec* spec = nullptr;
  TowerHyper hyper;
  TowerWeights weights;
  Package package;                 // keeps the storage that weights point into
  std::vector<float> frequencies;  // [head_dim / 2], of rope
};

// The tower of a package: of a Hugging Face folder, or of a GGUF file of its own.  nullptr: the
// folder has none.  Errors: corrupt, unsupported (one that we do not run).
Result<const TowerSpec*> tower_of(const Package& package);
// Errors: unsupported: the tower is of another family of models.
Status check_language(const TowerSpec& spec, const ArchSpec& language);
// Where a model's tower lies: in the package itself, or in the one beside it; nullptr: nowhere.
const Package* tower_package(const Package& package);

// Where the tensors of a tower lie in its package.
struct TowerFinder {
  const Package& package;
  const TowerSpec& spec;
  const TowerHyper& hyper;

  // suffix: ".weight" or ".bias".  nullptr: there is none.
  const TensorEntry* find(const TowerRow& row, std::size_t layer, std::string_view suffix) const;
  // One of the names of a row, whose layer it fills in.
  std::string name(const TowerRow& row, std::string_view pattern, std::size_t layer) const;
  bool swaps_mlp(std::size_t layer) const;
};

// Numbers and weights.  language_dim: of the model that reads the rows.
// Errors: corrupt (a number or tensor is missing or wrong), unsupported (its kind).
Result<std::unique_ptr<Tower>> load_tower(ops::Context& ctx, const Package& package,
                                          const TowerSpec& spec, std::uint32_t language_dim,
                                          const LoadOptions& options);
Result<TowerHyper> read_tower_hyper(const Package& package, const TowerSpec& spec);

// Where a tile's patches lie, in the order in which the tower sees them: blocks of merge * merge
// patches together, and the blocks of a window together.
struct PatchOrder {
  struct Place {
    std::uint32_t row, column;
  };
  std::vector<Place> places;            // [patches]
  std::vector<std::size_t> windows;     // starts of windows and the end; empty: none
  std::vector<std::uint32_t> block_of;  // [blocks]: the place among the tile's rows
};
PatchOrder order_patches(const TowerHyper& hyper, std::uint32_t width, std::uint32_t height);

// Adds the learned vector of a place, in a picture of so many rows and columns of patches, to x:
// [dim].
void add_position(const Tower& tower, const PatchOrder::Place& place, std::uint32_t rows,
                  std::uint32_t columns, float* x);

// How queries and keys turn, where the spec says that they do.
std::vector<ops::RopePlace> rope_places_of(const TowerSpec& spec, const PatchOrder& order,
                                           std::size_t lead);
ops::RopeTable rope_table_of(const Tower& tower);
std::vector<std::uint8_t> rope_axes_of(const Tower& tower);
// Which stored row of a head each of its rows is, so that pairs lie half a head apart; empty: they
// do already.
std::vector<std::uint32_t> rope_order_of(const Tower& tower);
float scale_of(const Tower& tower);  // of queries times keys

std::size_t rows_of(const TowerHyper& hyper, const PreparedPicture::Tile& tile);
// Errors: invalid (a picture of a shape that the model does not take).
Result<PreparedPicture> prepare_picture(const TowerSpec& spec, const TowerHyper& hyper,
                                        const Picture& picture);

// One tile: out [rows of the tile, (1 + deep) * out_dim].  Errors: cancelled.
Status encode_plainly(ops::Context& ctx, const Tower& tower, const PreparedPicture::Tile& tile,
                      View out, std::stop_token stop);
Status encode_fast(ops::Context& ctx, const Tower& tower, const PreparedPicture::Tile& tile,
                   View out, Arena& arena, std::stop_token stop);

// The tower as models show it; `plain`: run the slow path.
std::unique_ptr<const Vision> make_vision(std::unique_ptr<const Tower> tower, bool plain);

}  // namespace hearth::models
