// The slow, obvious table that every other one is tested against.  Sums are kept in double.
#define HEARTH_ISA naive
#include "kernels/scalar.inl"
#include "kernels/unpack.inl"

namespace hearth::kernels {
namespace naive {
namespace {

float dot(const float* a, const float* b, std::size_t n) {
  double sum = 0;
  for (std::size_t i = 0; i < n; ++i) sum += static_cast<double>(a[i]) * b[i];
  return static_cast<float>(sum);
}

void pack(void* a, const float* x, std::size_t ldx, std::size_t m, std::size_t k) {
  for (std::size_t i = 0; i < m; ++i)
    memcpy(static_cast<float*>(a) + i * k, x + i * ldx, k * sizeof(float));
}

void unpack_rows(void* b, const float* rows, std::size_t ld, std::size_t k) {
  float* out = static_cast<float*>(b);
  for (std::size_t i = 0; i < k; ++i)
    for (std::size_t n = 0; n < panel_rows; ++n) out[panel_rows * i + n] = rows[n * ld + i];
}

// Results are rounded to f32 between blocks of columns.
void block(Panel, float* c, std::size_t ldc, const void* a, const void* b, std::size_t m,
           std::size_t k, std::size_t panels, const Ahead*) {
  for (std::size_t i = 0; i < m; ++i)
    for (std::size_t n = 0; n < panel_rows * panels; ++n) {
      const float* row = static_cast<const float*>(a) + i * k;
      const float* column = static_cast<const float*>(b) + n / panel_rows * panel_rows * k;
      double sum = c[i * ldc + n];
      for (std::size_t j = 0; j < k; ++j)
        sum += static_cast<double>(row[j]) * column[panel_rows * j + n % panel_rows];
      c[i * ldc + n] = static_cast<float>(sum);
    }
}

void few(Panel kind, float* y, std::size_t ldy, const float* x, std::size_t ldx, std::size_t m,
         const void* panels, std::size_t count, std::size_t k) {
  float weights[super_columns * panel_rows];
  for (std::size_t p = 0; p < count; ++p) {
    const u8* panel = static_cast<const u8*>(panels) + p * panel_bytes(kind, k);
    for (std::size_t i = 0; i < m; ++i)
      for (std::size_t n = 0; n < panel_rows; ++n) y[i * ldy + p * panel_rows + n] = 0;
    for (std::size_t first = 0; first < k; first += super_columns) {
      const std::size_t columns = k - first < super_columns ? k - first : super_columns;
      unpack(kind, weights, panel, first, columns);
      for (std::size_t i = 0; i < m; ++i)
        block(kind, y + i * ldy + p * panel_rows, ldy, x + i * ldx + first, weights, 1, columns, 1,
              nullptr);
    }
  }
}

void few_grouped(Panel kind, float* y, std::size_t ldy, const void* x, std::size_t m,
                 const void* panels, std::size_t count, std::size_t k) {
  few(kind, y, ldy, static_cast<const float*>(x), k, m, panels, count, k);
}

void rms_norm(float* y, const float* x, const float* w, std::size_t n, float eps) {
  double squares = 0;
  for (std::size_t i = 0; i < n; ++i) squares += static_cast<double>(x[i]) * x[i];
  const double factor = 1 / sqrt(squares / static_cast<double>(n) + eps);
  for (std::size_t i = 0; i < n; ++i) y[i] = static_cast<float>(x[i] * factor * (w ? w[i] : 1));
}

void layer_norm(float* y, const float* x, const float* w, const float* b, std::size_t n,
                float eps) {
  double mean = 0, variance = 0;
  for (std::size_t i = 0; i < n; ++i) mean += x[i];
  mean /= static_cast<double>(n);
  for (std::size_t i = 0; i < n; ++i) variance += (x[i] - mean) * (x[i] - mean);
  const double factor = 1 / sqrt(variance / static_cast<double>(n) + eps);
  for (std::size_t i = 0; i < n; ++i)
    y[i] = static_cast<float>((x[i] - mean) * factor * (w ? w[i] : 1) + (b ? b[i] : 0));
}

void l2_norm(float* y, const float* x, std::size_t n, float eps) {
  double squares = 0;
  for (std::size_t i = 0; i < n; ++i) squares += static_cast<double>(x[i]) * x[i];
  const double length = sqrt(squares);
  const double factor = 1 / (length > eps ? length : static_cast<double>(eps));
  for (std::size_t i = 0; i < n; ++i) y[i] = static_cast<float>(x[i] * factor);
}

void turn(float* a, float* b, float cosine, float sine) {
  const float first = *a, second = *b;
  *a = first * cosine - second * sine;
  *b = first * sine + second * cosine;
}

void rope_halves(float* x, const float* cosines, const float* sines, std::size_t half) {
  for (std::size_t i = 0; i < half; ++i) turn(x + i, x + i + half, cosines[i], sines[i]);
}

void rope_pairs(float* x, const float* cosines, const float* sines, std::size_t half) {
  for (std::size_t i = 0; i < half; ++i) turn(x + 2 * i, x + 2 * i + 1, cosines[i], sines[i]);
}

double sigmoid(double x) { return 1 / (1 + exp(-x)); }

template <Curve curve>
double evaluate(double x) {
  switch (curve) {
    case Curve::silu:
      return x * sigmoid(x);
    case Curve::gelu:
      return 0.5 * x * (1 + erf(x * M_SQRT1_2));
    case Curve::gelu_tanh:
      return 0.5 * x * (1 + tanh(M_2_SQRTPI * M_SQRT1_2 * (x + 0.044715 * x * x * x)));
    case Curve::quick_gelu:
      return x * sigmoid(1.702 * x);
    case Curve::relu:
      return x > 0 ? x : 0;
    case Curve::relu_squared:
      return x > 0 ? x * x : 0;
    case Curve::tanh:
      return tanh(x);
    case Curve::sigmoid:
      return sigmoid(x);
  }
  return 0;
}

template <Curve curve>
void activate(float* x, std::size_t n) {
  for (std::size_t i = 0; i < n; ++i) x[i] = static_cast<float>(evaluate<curve>(x[i]));
}

template <Curve curve>
void activate_mul(float* gate, const float* up, std::size_t n) {
  for (std::size_t i = 0; i < n; ++i)
    gate[i] = static_cast<float>(evaluate<curve>(gate[i]) * up[i]);
}

void swiglu_clamped(float* gate, const float* up, std::size_t n, float alpha, float limit) {
  for (std::size_t i = 0; i < n; ++i) {
    const double g = gate[i] < limit ? gate[i] : limit;
    const double u = up[i] < -limit ? -limit : up[i] > limit ? limit : up[i];
    gate[i] = static_cast<float>(g * sigmoid(alpha * g) * (u + 1));
  }
}

void add(float* x, const float* y, std::size_t n) {
  for (std::size_t i = 0; i < n; ++i) x[i] += y[i];
}

void scale(float* x, float factor, std::size_t n) {
  for (std::size_t i = 0; i < n; ++i) x[i] *= factor;
}

void softcap(float* x, float cap, std::size_t n) {
  for (std::size_t i = 0; i < n; ++i)
    x[i] = static_cast<float>(cap * tanh(static_cast<double>(x[i]) / cap));
}

void softmax(float* x, std::size_t n) {
  float max = x[0];
  for (std::size_t i = 1; i < n; ++i) max = x[i] > max ? x[i] : max;
  double sum = 0;
  for (std::size_t i = 0; i < n; ++i) sum += exp(static_cast<double>(x[i]) - max);
  for (std::size_t i = 0; i < n; ++i)
    x[i] = static_cast<float>(exp(static_cast<double>(x[i]) - max) / sum);
}

// Nearest, ties to even; too large becomes infinity.
u16 to_half_one(float x) {
  const u32 bits = bits_of_float(x), sign = (bits >> 16) & 0x8000, rest = bits & 0x7FFFFFFF;
  if (rest > 0x7F800000)  // NaN: its top bits, made quiet
    return static_cast<u16>(sign | 0x7E00 | (rest >> 13 & 0x1FF));
  if (rest >= 0x477FF000) return static_cast<u16>(sign | 0x7C00);
  if (rest < 0x38800000) {  // subnormal: a whole number of 2^-24, which f32 arithmetic rounds to
    const float rounded = (fabsf(x) + 0.5f) - 0.5f;
    return static_cast<u16>(sign | static_cast<u32>(rounded * 0x1p24f));
  }
  return static_cast<u16>(sign | ((rest - 0x38000000 + 0xFFF + (rest >> 13 & 1)) >> 13));
}

void to_half(std::uint16_t* y, const float* x, std::size_t n) {
  for (std::size_t i = 0; i < n; ++i) y[i] = to_half_one(x[i]);
}

float plain_element(KvForm form, const void* page, std::size_t index) {
  const auto* bytes = static_cast<const u8*>(page);
  if (form == KvForm::f16) return load_half(bytes, index);
  if (form == KvForm::f32) return static_cast<const float*>(page)[index];
  return float_of_bits(u32{bytes[2 * index]} << 16 | u32{bytes[2 * index + 1]} << 24);
}

// codes: those of one token and some dims, of which this is number `at`, in order of nibbles.
float code_of(KvForm form, const u8* codes, std::size_t at) {
  if (form == KvForm::q8) return static_cast<float>(static_cast<i8>(codes[at]));
  return static_cast<float>((codes[at / 2] >> (4 * (at % 2))) & 15) - 8.0f;
}

float key_element(KvForm form, const void* page, std::size_t dims, std::size_t d, std::size_t t) {
  if (!has_scales(form)) return plain_element(form, page, kv_tokens * d + t);
  const auto* bytes = static_cast<const u8*>(page);
  const u8* codes = bytes + kv_scale_bytes(dims) + kv_key_offset(form, d, t);
  return load_half(bytes, d / kv_block_dims * kv_tokens + t) *
         code_of(form, codes, d % (form == KvForm::q8 ? 4 : 8));
}

float value_element(KvForm form, const void* page, std::size_t dims, std::size_t d, std::size_t t) {
  if (!has_scales(form)) return plain_element(form, page, t * dims + d);
  const auto* bytes = static_cast<const u8*>(page);
  const std::size_t block = d / kv_block_dims, at = d % kv_block_dims;
  const u8* codes = bytes + kv_scale_bytes(dims) + kv_value_offset(form, block, t);
  return load_half(bytes, block * kv_tokens + t) *
         code_of(form, codes, form == KvForm::q8 ? at : 2 * (at % 16) + at / 16);
}

template <KvForm form>
void scores(float* s, const float* q, std::size_t ldq, const void* keys, std::size_t rows,
            std::size_t dim) {
  for (std::size_t r = 0; r < rows; ++r)
    for (std::size_t t = 0; t < 32; ++t) {
      double sum = 0;
      for (std::size_t d = 0; d < dim; ++d)
        sum += static_cast<double>(q[r * ldq + d]) * key_element(form, keys, dim, d, t);
      s[32 * r + t] = static_cast<float>(sum);
    }
}

float softmax_row(float* s, float* max, float* sum, const SoftmaxStep* step) {
  float top = *max;
  for (std::uint32_t t = step->first; t < step->last; ++t) {
    s[t] *= step->scale;
    if (step->softcap > 0) s[t] = step->softcap * tanhf(s[t] / step->softcap);
    s[t] -= step->slope * static_cast<float>(abs(static_cast<int>(t) - step->self));
    top = s[t] > top ? s[t] : top;
  }
  const float factor = expf(*max - top);
  double total = static_cast<double>(*sum) * factor;
  for (std::uint32_t t = 0; t < 32; ++t) {
    s[t] = t >= step->first && t < step->last ? expf(s[t] - top) : 0;
    total += s[t];
  }
  *max = top;
  *sum = static_cast<float>(total);
  return factor;
}

void softmax_step(float* s, float* max, float* sums, float* factors, std::size_t rows,
                  const SoftmaxStep* step) {
  for (std::size_t r = 0; r < rows; ++r)
    factors[r] = softmax_row(s + kv_tokens * r, max + r, sums + r, step);
}

template <KvForm form>
void mix(float* out, std::size_t ldo, const float* factors, const float* p, const void* values,
         std::size_t rows, std::size_t dim, std::size_t first, std::size_t last) {
  for (std::size_t r = 0; r < rows; ++r)
    for (std::size_t d = 0; d < dim; ++d) {
      double sum = static_cast<double>(out[r * ldo + d]) * factors[r];
      for (std::size_t t = first; t < last; ++t)
        sum += static_cast<double>(p[32 * r + t]) * value_element(form, values, dim, d, t);
      out[r * ldo + d] = static_cast<float>(sum);
    }
}

constexpr Gemm gemm = {
    .kinds = float_kinds | group_kinds,
    .most_rows = 480,
    .most_panels = 8,
    .tile_rows = 1,
    .k_step = 1,
    .a_step_bytes = 4,
    .b_step_bytes = 4 * panel_rows,
    .tolerance = 1e-5f,
    .pack = pack,
    .unpack = unpack,
    .unpack_rows = unpack_rows,
    .block = block,
    .few = few_grouped,
    .most_few = few_rows,
    .pack_few = pack,
};

constexpr Kernels table = {
    .name = "reference",
    .dot = dot,
    .few = few,
    .plain = &gemm,
    .rounded = &gemm,
    .bytes = &gemm,
    .tiles = nullptr,
    .rms_norm = rms_norm,
    .layer_norm = layer_norm,
    .l2_norm = l2_norm,
    .rope_halves = rope_halves,
    .rope_pairs = rope_pairs,
    .activate = {activate<Curve::silu>, activate<Curve::gelu>, activate<Curve::gelu_tanh>,
                 activate<Curve::quick_gelu>, activate<Curve::relu>, activate<Curve::relu_squared>,
                 activate<Curve::tanh>, activate<Curve::sigmoid>},
    .activate_mul = {activate_mul<Curve::silu>, activate_mul<Curve::gelu>,
                     activate_mul<Curve::gelu_tanh>, activate_mul<Curve::quick_gelu>,
                     activate_mul<Curve::relu>, activate_mul<Curve::relu_squared>,
                     activate_mul<Curve::tanh>, activate_mul<Curve::sigmoid>},
    .swiglu_clamped = swiglu_clamped,
    .add = add,
    .scale = scale,
    .softcap = softcap,
    .softmax = softmax,
    .to_half = to_half,
    .scores = {scores<KvForm::f32>, scores<KvForm::f16>, scores<KvForm::bf16>, scores<KvForm::q8>,
               scores<KvForm::q4>},
    .softmax_step = softmax_step,
    .mix = {mix<KvForm::f32>, mix<KvForm::f16>, mix<KvForm::bf16>, mix<KvForm::q8>,
            mix<KvForm::q4>},
};

}  // namespace
}  // namespace naive

const Kernels& reference() { return naive::table; }

}  // namespace hearth::kernels
