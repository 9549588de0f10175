#include "vectors/ivf/coder.h"

#include <fmt/core.h>

#include <algorithm>
#include <cmath>
#include <cstring>

#include "vectors/ivf/kmeans.h"

namespace hearth::vectors {
namespace {

constexpr std::uint8_t sign_kind = 1, pq_kind = 2;

float dot(const float* a, const float* b, std::size_t n) {
  float s[8] = {};
  std::size_t i = 0;
  for (; n - i >= 8; i += 8)
    for (std::size_t l = 0; l < 8; ++l) s[l] += a[i + l] * b[i + l];
  for (; i < n; ++i) s[0] += a[i] * b[i];
  return ((s[0] + s[1]) + (s[2] + s[3])) + ((s[4] + s[5]) + (s[6] + s[7]));
}

template <typename T>
void put(std::vector<std::byte>& out, std::span<const T> values) {
  const auto bytes = std::as_bytes(values);
  out.insert(out.end(), bytes.begin(), bytes.end());
}

std::uint8_t* table_of(std::uint8_t* tables, std::size_t g) {
  return tables + g / 4 * 128 + g % 2 * 64 + g / 2 % 2 * 32;
}

// With y the vector of levels that stands for r, <r, q> is estimated by |r|^2 / <y, r> * <y, q>;
// the part of q that is the centroid is known exactly and moves into the first term.
CodeTerms sign_terms(Metric metric, float norm, float along, float y_centroid, float r_centroid) {
  const float factor = along > 0 ? norm / along : 0;
  if (metric == Metric::inner_product) return {factor * y_centroid - r_centroid, -factor};
  return {norm + 2 * factor * y_centroid, -2 * factor};
}

class SignCoder final : public Coder {
 public:
  SignCoder(std::size_t dim, int bits, Metric metric, const kernels::SearchKernels& kernels)
      : dim_(dim), bits_(bits), metric_(metric), kernels_(kernels) {}

  std::size_t groups() const override { return dim_ / 4 * static_cast<std::size_t>(bits_); }
  CodeTerms encode(std::uint8_t* codes, const float* residual,
                   const float* centroid) const override;
  void tables(std::uint8_t* tables, float* scale, float* offset, const float* query) const override;
  void save(std::vector<std::byte>& out) const override {
    out.push_back(std::byte{sign_kind});
    out.push_back(static_cast<std::byte>(bits_));
  }

 private:
  float best_step(const float* residual) const;

  std::size_t dim_;
  int bits_;
  Metric metric_;
  const kernels::SearchKernels& kernels_;
};

// The level of x: an odd number from -(2^bits - 1) on, 2 apart, as a code from 0.
int level(float x, float step, int bits) {
  const int levels = 1 << bits;
  const float place = x / step * 0.5f + static_cast<float>(levels / 2);
  return std::clamp(static_cast<int>(std::floor(place)), 0, levels - 1);
}

// The step whose levels lie most along the residual.
float SignCoder::best_step(const float* residual) const {
  float top = 0;
  for (std::size_t j = 0; j < dim_; ++j) top = std::max(top, std::abs(residual[j]));
  if (top == 0) return 1;
  const int levels = 1 << bits_;
  float best = -1, chosen = 1;
  for (int t = 3; t <= 10; ++t) {
    const float step = top * static_cast<float>(t) / static_cast<float>(10 * (levels - 1));
    float along = 0, norm = 0;
    for (std::size_t j = 0; j < dim_; ++j) {
      const float y = static_cast<float>(2 * level(residual[j], step, bits_) - levels + 1);
      along += y * residual[j];
      norm += y * y;
    }
    if (along * along > best * norm) {
      best = along * along / norm;
      chosen = step;
    }
  }
  return chosen;
}

CodeTerms SignCoder::encode(std::uint8_t* codes, const float* residual,
                            const float* centroid) const {
  std::memset(codes, 0, groups());
  const std::size_t plane = dim_ / 4;
  const int levels = 1 << bits_;
  const float step = bits_ == 1 ? 1 : best_step(residual);
  float along = 0, y_centroid = 0;
  for (std::size_t j = 0; j < dim_; ++j) {
    const int code = bits_ == 1 ? residual[j] >= 0 : level(residual[j], step, bits_);
    const float y = static_cast<float>(2 * code - levels + 1);
    along += y * residual[j];
    y_centroid += y * centroid[j];
    for (int b = 0; b < bits_; ++b) {  // the highest bit's plane first
      const int bit = code >> (bits_ - 1 - b) & 1;
      std::uint8_t& group = codes[static_cast<std::size_t>(b) * plane + j / 4];
      group = static_cast<std::uint8_t>(group | bit << (j % 4));
    }
  }
  return sign_terms(metric_, dot(residual, residual, dim_), along, y_centroid,
                    dot(residual, centroid, dim_));
}

void SignCoder::tables(std::uint8_t* tables, float* scale, float* offset,
                       const float* query) const {
  if (bits_ == 1) return kernels_.sign_tables(tables, query, groups(), scale, offset);
  std::vector<float> planes(dim_ * static_cast<std::size_t>(bits_));
  for (std::size_t b = 0; b < static_cast<std::size_t>(bits_); ++b)
    for (std::size_t j = 0; j < dim_; ++j)
      planes[b * dim_ + j] = query[j] * static_cast<float>(1u << (bits_ - 1 - static_cast<int>(b)));
  kernels_.sign_tables(tables, planes.data(), groups(), scale, offset);
}

// Means of segment s, stage t: [16, width of the segment], widths apart by at most one.
class PqCoder final : public Coder {
 public:
  PqCoder(std::size_t dim, const PqSpec& spec, Metric metric)
      : dim_(dim), spec_(spec), metric_(metric) {
    means_.resize(stages() * 16 * dim);
  }

  std::size_t stages() const { return spec_.bits == 8 ? 2 : 1; }
  std::size_t used() const { return spec_.segments * stages(); }
  std::size_t groups() const override { return (used() + 7) / 8 * 8; }
  CodeTerms encode(std::uint8_t* codes, const float* residual,
                   const float* centroid) const override;
  void tables(std::uint8_t* tables, float* scale, float* offset, const float* query) const override;
  void save(std::vector<std::byte>& out) const override;

  std::size_t first(std::size_t segment) const { return segment * dim_ / spec_.segments; }
  std::size_t width(std::size_t segment) const { return first(segment + 1) - first(segment); }
  float* mean(std::size_t stage, std::size_t segment, std::size_t code) {
    return means_.data() + stage * 16 * dim_ + 16 * first(segment) + code * width(segment);
  }
  const float* mean(std::size_t stage, std::size_t segment, std::size_t code) const {
    return const_cast<PqCoder*>(this)->mean(stage, segment, code);
  }
  std::size_t nearest(std::size_t stage, std::size_t segment, const float* part) const;
  std::vector<float>& means() { return means_; }

 private:
  std::size_t dim_;
  PqSpec spec_;
  Metric metric_;
  std::vector<float> means_;
};

std::size_t PqCoder::nearest(std::size_t stage, std::size_t segment, const float* part) const {
  std::size_t best = 0;
  float least = INFINITY;
  for (std::size_t code = 0; code < 16; ++code) {
    const float* m = mean(stage, segment, code);
    float d = 0;
    for (std::size_t j = 0; j < width(segment); ++j) d += (part[j] - m[j]) * (part[j] - m[j]);
    if (d < least) {
      least = d;
      best = code;
    }
  }
  return best;
}

CodeTerms PqCoder::encode(std::uint8_t* codes, const float* residual, const float* centroid) const {
  std::memset(codes, 0, groups());
  std::vector<float> rest(residual, residual + dim_), made(dim_);
  for (std::size_t t = 0; t < stages(); ++t)
    for (std::size_t s = 0; s < spec_.segments; ++s) {
      const std::size_t code = nearest(t, s, &rest[first(s)]);
      codes[t * spec_.segments + s] = static_cast<std::uint8_t>(code);
      const float* m = mean(t, s, code);
      for (std::size_t j = 0; j < width(s); ++j) {
        rest[first(s) + j] -= m[j];
        made[first(s) + j] += m[j];
      }
    }
  if (metric_ == Metric::inner_product) return {0, -1};
  return {dot(made.data(), made.data(), dim_) + 2 * dot(made.data(), centroid, dim_), -2};
}

void PqCoder::tables(std::uint8_t* tables, float* scale, float* offset, const float* query) const {
  std::vector<float> entries(used() * 16), least(used());
  float widest = 0;
  *offset = 0;
  for (std::size_t g = 0; g < used(); ++g) {
    const std::size_t s = g % spec_.segments;
    for (std::size_t code = 0; code < 16; ++code)
      entries[16 * g + code] = dot(query + first(s), mean(g / spec_.segments, s, code), width(s));
    const auto [low, high] = std::minmax_element(&entries[16 * g], &entries[16 * g] + 16);
    least[g] = *low;
    widest = std::max(widest, *high - *low);
    *offset += *low;
  }
  *scale = widest > 0 ? widest / kernels::max_code_entry : 1;
  std::memset(tables, 0, groups() * 32);
  for (std::size_t g = 0; g < used(); ++g)
    for (std::size_t code = 0; code < 16; ++code) {
      const float steps = (entries[16 * g + code] - least[g]) / *scale + 0.5f;
      table_of(tables, g)[code] = table_of(tables, g)[16 + code] =
          static_cast<std::uint8_t>(std::min<float>(steps, kernels::max_code_entry));
    }
}

void PqCoder::save(std::vector<std::byte>& out) const {
  out.push_back(std::byte{pq_kind});
  out.push_back(static_cast<std::byte>(spec_.bits));
  const std::uint64_t segments = spec_.segments;
  put(out, std::span(&segments, 1));
  put(out, std::span<const float>(means_));
}

Status check_pq(std::size_t dim, const PqSpec& spec) {
  if (spec.segments == 0 || spec.segments > dim || (spec.bits != 4 && spec.bits != 8))
    return Error(ErrorKind::invalid,
                 fmt::format("{} segments of {} bits: needs 1 to {} segments of 4 or 8",
                             spec.segments, spec.bits, dim));
  return Done{};
}

}  // namespace

std::unique_ptr<Coder> make_sign_coder(std::size_t dim, int bits, Metric metric,
                                       const kernels::SearchKernels& kernels) {
  return std::make_unique<SignCoder>(dim, bits, metric, kernels);
}

Result<std::unique_ptr<Coder>> train_pq_coder(std::size_t dim, const PqSpec& spec, Metric metric,
                                              std::span<const float> residuals,
                                              const kernels::SearchKernels& kernels) {
  TRY(check_pq(dim, spec));
  auto coder = std::make_unique<PqCoder>(dim, spec, metric);
  const std::size_t n = residuals.size() / dim;
  std::vector<float> rest(residuals.begin(), residuals.end()), part;
  for (std::size_t t = 0; t < coder->stages(); ++t)
    for (std::size_t s = 0; s < spec.segments; ++s) {
      const std::size_t first = coder->first(s), width = coder->width(s);
      part.clear();
      for (std::size_t i = 0; i < std::max<std::size_t>(n, 16); ++i)  // fewer than 16: repeated
        part.insert(part.end(), &rest[i % n * dim + first], &rest[i % n * dim + first] + width);
      KMeansSpec means = {.clusters = 16, .dim = width, .iterations = 12, .kernels = &kernels};
      means.balance = false;
      const KMeansResult found = TRY(kmeans(means, part, {}));
      std::copy(found.centroids.begin(), found.centroids.end(), coder->mean(t, s, 0));
      for (std::size_t i = 0; i < n; ++i) {
        float* x = &rest[i * dim + first];
        const float* m = coder->mean(t, s, coder->nearest(t, s, x));
        for (std::size_t j = 0; j < width; ++j) x[j] -= m[j];
      }
    }
  return std::unique_ptr<Coder>(std::move(coder));
}

Result<std::unique_ptr<Coder>> read_coder(ByteReader& in, std::size_t dim, Metric metric,
                                          const kernels::SearchKernels& kernels) {
  const auto kind = TRY(in.value<std::uint8_t>());
  const auto bits = TRY(in.value<std::uint8_t>());
  if (kind == sign_kind && bits >= 1 && bits <= most_code_bits &&
      dim / 4 * bits <= 1024)  // what a scan can sum
    return make_sign_coder(dim, bits, metric, kernels);
  if (kind != pq_kind) return Error(ErrorKind::corrupt, "an unknown kind of codes");
  PqSpec spec;
  spec.segments = TRY(in.value<std::uint64_t>());
  spec.bits = bits;
  if (!check_pq(dim, spec).ok() || spec.segments * 2 > 1024)
    return Error(ErrorKind::corrupt, "codes of impossible segments");
  auto coder = std::make_unique<PqCoder>(dim, spec, metric);
  const auto raw = TRY(in.take(coder->means().size() * sizeof(float)));
  std::memcpy(coder->means().data(), raw.data(), raw.size());
  for (const float x : coder->means())
    if (!std::isfinite(x)) return Error(ErrorKind::corrupt, "codes of means that are no numbers");
  return std::unique_ptr<Coder>(std::move(coder));
}

}  // namespace hearth::vectors
