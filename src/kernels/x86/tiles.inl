// The processor's tiles: opened, read and written.  The includer defines HEARTH_ISA and adds the
// products of its type.
namespace hearth::kernels::HEARTH_ISA {
namespace {

// The processor's own tiles: 8 of 16 rows of 64 bytes.
struct Tiles {};

// Source: Intel SDM, LDTILECFG.
struct TileConfiguration {
  u8 palette, start_row, reserved[14];
  u16 row_bytes[16];
  u8 rows[16];
};
static_assert(sizeof(TileConfiguration) == 64);

inline void open_tiles(Tiles&) {
  TileConfiguration configuration = {};
  configuration.palette = 1;
  for (int t = 0; t < 8; ++t) {
    configuration.row_bytes[t] = 64;
    configuration.rows[t] = 16;
  }
  // GCC 12 believes that only the first 8 bytes are read and drops the stores of the rest.
  asm volatile("" ::"r"(&configuration) : "memory");
  _tile_loadconfig(&configuration);
}

// Keeps the state that the operating system saves small while this thread does other things.
inline void close_tiles(Tiles&) { _tile_release(); }

// The number of a tile is part of its instruction.
template <int t>
inline void load_tile(Tiles&, const void* p, std::size_t stride) {
  if constexpr (t == 0) _tile_loadd(0, p, stride);
  if constexpr (t == 1) _tile_loadd(1, p, stride);
  if constexpr (t == 2) _tile_loadd(2, p, stride);
  if constexpr (t == 3) _tile_loadd(3, p, stride);
  if constexpr (t == 4) _tile_loadd(4, p, stride);
  if constexpr (t == 5) _tile_loadd(5, p, stride);
  if constexpr (t == 6) _tile_loadd(6, p, stride);
  if constexpr (t == 7) _tile_loadd(7, p, stride);
}

template <int t>
inline void store_tile(Tiles&, void* p, std::size_t stride) {
  if constexpr (t == 0) _tile_stored(0, p, stride);
  if constexpr (t == 1) _tile_stored(1, p, stride);
  if constexpr (t == 2) _tile_stored(2, p, stride);
  if constexpr (t == 3) _tile_stored(3, p, stride);
}

}  // namespace
}  // namespace hearth::kernels::HEARTH_ISA
