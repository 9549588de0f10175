// The face of tiles.inl in plain C.
namespace hearth::kernels::HEARTH_ISA {
namespace {

struct Tiles {
  alignas(64) u8 tile[8][16][64];
};

void open_tiles(Tiles& tiles) { memset(&tiles, 0xFF, sizeof tiles); }
void close_tiles(Tiles& tiles) { memset(&tiles, 0xFF, sizeof tiles); }

template <int t>
void load_tile(Tiles& tiles, const void* p, std::size_t stride) {
  for (std::size_t row = 0; row < 16; ++row)
    memcpy(tiles.tile[t][row], static_cast<const u8*>(p) + row * stride, 64);
}

template <int t>
void store_tile(Tiles& tiles, void* p, std::size_t stride) {
  for (std::size_t row = 0; row < 16; ++row)
    memcpy(static_cast<u8*>(p) + row * stride, tiles.tile[t][row], 64);
}

}  // namespace
}  // namespace hearth::kernels::HEARTH_ISA
