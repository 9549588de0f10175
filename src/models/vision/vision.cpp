#include "models/vision/vision.h"

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

  Result<PreparedPicture> prepare(const Picture& picture) const override {
    return prepare_picture(spec_, tower_->hyper, picture);
  }
  Status encode(ops::Context& ctx, const PreparedPicture& prepared, View out,
                std::stop_token stop) const override {
    const ArenaPool::Lease lease(*arenas_);
    std::size_t first = 0;
    for (const PreparedPicture::Tile& tile : prepared.tiles) {
      const std::size_t rows = prepared.rows / prepared.tiles.size();
      const View part = out.slice_rows(first, rows);
      lease.arena().release({});
      TRY(plain_ ? encode_plainly(ctx, *tower_, tile, part, stop)
                 : encode_fast(ctx, *tower_, tile, part, lease.arena(), stop));
      first += rows;
    }
    return Done{};
  }

 private:
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
