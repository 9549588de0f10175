#include "models/vision/vision.h"

#include <algorithm>

#include "models/vision/tower.h"

namespace hearth::models {
namespace {

class TowerVision final : public Vision {
 public:
  TowerVision(std::unique_ptr<const Tower> tower, bool plain)
      : tower_(std::move(tower)), spec_(*tower_->spec), plain_(plain) {}

  std::string_view marker() const override { return spec_.marker; }
  std::string_view row_name() const override { return spec_.row_name; }
  std::string marker_in_text() const override {
    return std::string(spec_.before) + std::string(spec_.marker) + std::string(spec_.after);
  }
  bool sees_ahead() const override { return spec_.sees_ahead; }
  bool grid_positions() const override { return spec_.grid_positions; }
  std::size_t deep_layers() const override { return tower_->hyper.deep.size(); }

  Result<PreparedPicture> prepare(const Picture& picture) const override {
    return prepare_picture(spec_, tower_->hyper, picture);
  }
  Status encode(ops::Context& ctx, const PreparedPicture& prepared, View out,
                std::stop_token stop) const override {
    if (prepared.order.empty()) return encode_tiles(ctx, prepared, out, stop);
    std::size_t rows = 0;
    for (const PreparedPicture::Tile& tile : prepared.tiles) rows += rows_of(tower_->hyper, tile);
    std::vector<float> made(rows * out.dim);
    const View all(made.data(), rows, out.dim);
    TRY(encode_tiles(ctx, prepared, all, stop));
    const auto& line_end = tower_->weights[TowerPart::newline].values;
    for (std::size_t i = 0; i < prepared.order.size(); ++i) {
      const std::uint32_t from = prepared.order[i];
      std::copy_n(from == PreparedPicture::line_end ? line_end.data() : all.row(from), out.dim,
                  out.row(i));
    }
    return Done{};
  }

 private:
  // out: the rows of all tiles, one after the other.
  Status encode_tiles(ops::Context& ctx, const PreparedPicture& prepared, View out,
                      std::stop_token stop) const {
    const ArenaPool::Lease lease(*arenas_);
    std::size_t first = 0;
    for (const PreparedPicture::Tile& tile : prepared.tiles) {
      const View part = out.slice_rows(first, rows_of(tower_->hyper, tile));
      lease.arena().release({});
      TRY(plain_ ? encode_plainly(ctx, *tower_, tile, part, stop)
                 : encode_fast(ctx, *tower_, tile, part, lease.arena(), stop));
      first += part.rows;
    }
    return Done{};
  }

  std::unique_ptr<const Tower> tower_;
  const TowerSpec& spec_;
  bool plain_;
  std::unique_ptr<ArenaPool> arenas_ = std::make_unique<ArenaPool>();
};

}  // namespace

std::unique_ptr<const Vision> make_vision(std::unique_ptr<const Tower> tower, bool plain) {
  return std::make_unique<TowerVision>(std::move(tower), plain);
}

}  // namespace hearth::models
