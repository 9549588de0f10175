// Vision: what lets a language model see.  A picture becomes tiles of pixels and a text that stands
// for it in a prompt; the tower makes the rows that take that text's place.
#pragma once

#include <cstdint>
#include <memory>
#include <stop_token>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "formats/picture.h"
#include "ops/context.h"
#include "tensor/view.h"

namespace hearth {

// A picture as a tower takes it.
struct PreparedPicture {
  struct Tile {
    std::uint32_t width = 0, height = 0;  // multiples of a block of patches
    std::vector<float> pixels;            // [3, height, width], normalised
  };
  std::vector<Tile> tiles;
  std::string text;      // row_name() once for every row, and what stands between and around them
  std::size_t rows = 0;  // of the language model
  // Which of the tiles' rows each row is, counted through all tiles, or `line_end`.  Empty: they
  // are all taken, in their order.
  std::vector<std::uint32_t> order;
  static constexpr std::uint32_t line_end = ~std::uint32_t{0};
  // Of models with grid_positions: how the rows lie in the picture.
  std::uint32_t grid_height = 0, grid_width = 0;
};

// Immutable; thread-safe.
class Vision {
 public:
  virtual ~Vision() = default;

  // What a chat template writes where a picture stands, and the token that stands for one row.
  virtual std::string_view marker() const = 0;
  virtual std::string_view row_name() const = 0;
  // The marker and what belongs around it, for templates that have no place for pictures.
  virtual std::string marker_in_text() const = 0;
  // Rows of one picture see each other, also those behind them.
  virtual bool sees_ahead() const = 0;
  // Rows are told their height and width in the picture, not their place in a line.
  virtual bool grid_positions() const = 0;
  // So many of the language model's first layers are given a vector of their own for every row,
  // which is added to what they made.
  virtual std::size_t deep_layers() const = 0;

  // Resizes, cuts and normalises as the reference processor of the model does.
  // Errors: invalid (a picture of a shape that the model does not take).
  virtual Result<PreparedPicture> prepare(const Picture& picture) const = 0;
  // out: [prepared.rows, (1 + deep_layers()) * dim of the language model]: of each row the vector
  // that takes the token's place, then those of the layers.  Errors: cancelled.
  virtual Status encode(ops::Context& ctx, const PreparedPicture& prepared, View out,
                        std::stop_token stop = {}) const = 0;
};

// More rows than this no picture becomes: larger ones are made smaller.  What the reference takes
// (to 16,384 rows for Qwen2.5-VL) would be minutes of work on a processor.
constexpr std::uint32_t max_picture_rows = 4096;

}  // namespace hearth
