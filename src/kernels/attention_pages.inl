// Keys and values of a page as vectors of floats, one reader for each form of kv_page.h.  Included
// after vectors.inl.
//
// A reader of keys gives some of the 32 tokens of dim d + j, where d is a multiple of `group` and
// j < group; one of values some dims of one token.  Before the dims of a block are asked for,
// enter() names it.

namespace hearth::kernels::HEARTH_ISA {
namespace {

constexpr std::size_t page_vectors = kv_tokens / lanes;
constexpr std::size_t score_rows = lanes == 16 ? 8 : lanes == 8 || registers == 32 ? 2 : 1;

struct Bf16 {
  u16 bits;
};

inline Vec load_values(const Bf16* p) {
#if HEARTH_LANES == 16
  return _mm512_castsi512_ps(_mm512_slli_epi32(
      _mm512_cvtepu16_epi32(_mm256_loadu_si256(reinterpret_cast<const __m256i*>(p))), 16));
#elif HEARTH_LANES == 8
  return _mm256_castsi256_ps(_mm256_slli_epi32(
      _mm256_cvtepu16_epi32(_mm_loadu_si128(reinterpret_cast<const __m128i*>(p))), 16));
#else
  Vec v;
  for (std::size_t i = 0; i < lanes; ++i) v[i] = float_of_bits(static_cast<u32>(p[i].bits) << 16);
  return v;
#endif
}

inline Ints load_bytes(const i8* p) {
#if HEARTH_LANES == 16
  return reinterpret_cast<Ints>(
      _mm512_cvtepi8_epi32(_mm_loadu_si128(reinterpret_cast<const __m128i*>(p))));
#elif HEARTH_LANES == 8
  return reinterpret_cast<Ints>(
      _mm256_cvtepi8_epi32(_mm_loadl_epi64(reinterpret_cast<const __m128i*>(p))));
#else
  Ints v;
  for (std::size_t i = 0; i < lanes; ++i) v[i] = p[i];
  return v;
#endif
}

inline Ints load_words(const u8* p) {
  Ints v;
  memcpy(&v, p, sizeof v);
  return v;
}

template <typename T>
struct PlainKeys {
  static constexpr std::size_t group = 1;
  const T* at;

  PlainKeys(const void* page, std::size_t) : at(static_cast<const T*>(page)) {}
  void enter(std::size_t) {}
  Vec read(std::size_t d, std::size_t, std::size_t v) const {
    return load_values(at + kv_tokens * d + v * lanes);
  }
};

template <typename T>
struct PlainValues {
  static constexpr std::size_t rows = lanes == 16 ? 4 : 2, vectors = 4;  // of a tile
  const T* at;
  std::size_t dim;

  PlainValues(const void* page, std::size_t dims) : at(static_cast<const T*>(page)), dim(dims) {}
  void enter(std::size_t) {}
  // rest > 0: only so many lanes.
  Vec read(std::size_t t, std::size_t d, std::size_t rest) const {
    return rest ? load_some_values(at + t * dim + d, rest) : load_values(at + t * dim + d);
  }
};

template <KvForm form>
struct CodedKeys {
  static constexpr std::size_t group = 4;
  const u16* scales;
  const u8* codes;
  Vec scale[page_vectors];

  CodedKeys(const void* page, std::size_t dim)
      : scales(static_cast<const u16*>(page)),
        codes(static_cast<const u8*>(page) + kv_scale_bytes(dim)) {}
  void enter(std::size_t block) {
    for (std::size_t v = 0; v < page_vectors; ++v) {
      scale[v] = load_halves(scales + kv_tokens * block + v * lanes);
      // A code of 8 bits is converted where it lies at the top of its word.
      if (form == KvForm::q8) scale[v] *= 0x1p-24f;
    }
  }
  Vec read(std::size_t d, std::size_t j, std::size_t v) const {
    const Ints words = load_words(codes + kv_key_offset(form, d, v * lanes));
    const auto place = static_cast<std::int32_t>(j);
    if constexpr (form == KvForm::q8) {
      const Ints top = (words << (24 - 8 * place)) & static_cast<std::int32_t>(0xFF000000);
      return __builtin_convertvector(top, Vec) * scale[v];
    }
    const Ints half = d % 8 == 0 ? words : words >> 16;
    const Ints code = (half >> (4 * place)) & 15;
    return __builtin_convertvector(code - 8, Vec) * scale[v];
  }
};

template <KvForm form>
struct CodedValues {
  static constexpr std::size_t rows = score_rows, vectors = page_vectors;  // a block's width
  const u16* scales;
  const u8* codes;
  float scale[kv_tokens];  // of the block

  CodedValues(const void* page, std::size_t dim)
      : scales(static_cast<const u16*>(page)),
        codes(static_cast<const u8*>(page) + kv_scale_bytes(dim)) {}
  void enter(std::size_t block) {
    for (std::size_t v = 0; v < page_vectors; ++v)
      store(scale + v * lanes, load_halves(scales + kv_tokens * block + v * lanes));
  }
  Vec read(std::size_t t, std::size_t d, std::size_t) const {
    const std::size_t in_block = d % kv_block_dims;
    const u8* block = codes + kv_value_offset(form, d / kv_block_dims, t);
    if constexpr (form == KvForm::q8)
      return __builtin_convertvector(load_bytes(reinterpret_cast<const i8*>(block) + in_block),
                                     Vec) *
             scale[t];
    const Ints pair = load_bytes(reinterpret_cast<const i8*>(block) + in_block % 16);
    const Ints code = (in_block < 16 ? pair : pair >> 4) & 15;
    return __builtin_convertvector(code - 8, Vec) * scale[t];
  }
};

template <KvForm form>
struct Readers {
  using Keys = CodedKeys<form>;
  using Values = CodedValues<form>;
  static constexpr std::size_t narrow_rows = score_rows;  // more of them read a page as floats
};
template <>
struct Readers<KvForm::f32> {
  using Keys = PlainKeys<float>;
  using Values = PlainValues<float>;
};
template <>
struct Readers<KvForm::f16> {
  using Keys = PlainKeys<u16>;
  using Values = PlainValues<u16>;
  static constexpr std::size_t narrow_rows = 2 * score_rows;
};
template <>
struct Readers<KvForm::bf16> {
  using Keys = PlainKeys<Bf16>;
  using Values = PlainValues<Bf16>;
  static constexpr std::size_t narrow_rows = 2 * score_rows;
};

}  // namespace
}  // namespace hearth::kernels::HEARTH_ISA
