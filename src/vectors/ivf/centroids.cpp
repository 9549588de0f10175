#include "vectors/ivf/centroids.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>

#include "base/thread_pool.h"

namespace hearth::vectors {
namespace {

using kernels::byte_panel_rows;

constexpr std::size_t some_rows = 128;  // assigned together
constexpr float infinity = std::numeric_limits<float>::infinity();

// In loops of a fixed number of steps inside, which compilers turn into vectors; n is a multiple of
// 16.
constexpr std::size_t step = 16;

float largest(const float* x, std::size_t n) {
  float top[step] = {};
  for (std::size_t i = 0; i < n; i += step)
    for (std::size_t l = 0; l < step; ++l) {
      const float size = std::abs(x[i + l]);
      top[l] = size > top[l] ? size : top[l];
    }
  return *std::max_element(top, top + step);
}

float squared(const float* x, std::size_t n) {
  float s[8] = {};
  for (std::size_t i = 0; i < n; i += 8)  // n is a multiple of 64
    for (std::size_t l = 0; l < 8; ++l) s[l] += x[i + l] * x[i + l];
  return ((s[0] + s[1]) + (s[2] + s[3])) + ((s[4] + s[5]) + (s[6] + s[7]));
}

// |value| < 128.
int nearest_int(float value) { return static_cast<int>(value + 512.5f) - 512; }

}  // namespace

Centroids::Centroids(std::vector<float> values, std::size_t dim,
                     const kernels::SearchKernels& kernels)
    : dim_(dim),
      count_(values.size() / dim),
      kernels_(kernels),
      values_(std::move(values)),
      order_(count_) {
  std::iota(order_.begin(), order_.end(), 0u);
  fill_panels();
}

void Centroids::fill_panels() {
  const std::size_t panels = (count_ + byte_panel_rows - 1) / byte_panel_rows;
  panels_.assign(panels * byte_panel_rows * dim_, 0);
  norms_.assign(panels * byte_panel_rows, infinity);
  zeros_ = none_ = norms_;
  offsets_.resize(norms_.size());
  scale_ = largest(values_.data(), values_.size()) / 127;
  const float inverse = scale_ > 0 ? 1 / scale_ : 0;
  for (std::size_t c = 0; c < count_; ++c) {
    std::int8_t* panel = panels_.data() + c / byte_panel_rows * byte_panel_rows * dim_;
    const float* centroid = at(order_[c]);
    int sum = 0;
    for (std::size_t i = 0; i < dim_; ++i) {
      const int byte = nearest_int(centroid[i] * inverse);
      panel[i / 4 * 4 * byte_panel_rows + c % byte_panel_rows * 4 + i % 4] =
          static_cast<std::int8_t>(byte);
      sum += byte;
    }
    norms_[c] = squared(centroid, dim_);
    zeros_[c] = 0;
    offsets_[c] = 128 * sum;
  }
}

// Halves the positions [begin, end), whole chunks each, across the direction in which their
// centroids lie widest, and so on.
void Centroids::split(std::size_t begin, std::size_t end) {
  constexpr std::size_t chunk = chunk_panels * byte_panel_rows;
  const std::size_t n = end - begin;
  if (n <= chunk) return;
  std::vector<float> mean(dim_), direction(dim_), along(n);
  for (std::size_t p = begin; p < end; ++p)
    for (std::size_t j = 0; j < dim_; ++j) mean[j] += at(order_[p])[j] / static_cast<float>(n);
  for (std::size_t j = 0; j < dim_; ++j) direction[j] = at(order_[begin])[j] - mean[j];
  for (int power = 0; power < 8; ++power) {  // powers of the covariance
    std::vector<float> next(dim_);
    for (std::size_t i = 0; i < n; ++i) {
      const float* c = at(order_[begin + i]);
      float product = 0;
      for (std::size_t j = 0; j < dim_; ++j) product += (c[j] - mean[j]) * direction[j];
      along[i] = product;
      for (std::size_t j = 0; j < dim_; ++j) next[j] += product * (c[j] - mean[j]);
    }
    const float length = std::sqrt(squared(next.data(), dim_));
    if (!(length > 0)) break;
    for (std::size_t j = 0; j < dim_; ++j) direction[j] = next[j] / length;
  }
  std::vector<std::pair<float, std::uint32_t>> sorted(n);
  for (std::size_t i = 0; i < n; ++i) sorted[i] = {along[i], order_[begin + i]};
  const std::size_t half = (n / 2 + chunk - 1) / chunk * chunk;
  std::nth_element(sorted.begin(), sorted.begin() + static_cast<std::ptrdiff_t>(half),
                   sorted.end());
  for (std::size_t i = 0; i < n; ++i) order_[begin + i] = sorted[i].second;
  split(begin, begin + half);
  split(begin + half, end);
}

void Centroids::arrange() {
  constexpr std::size_t chunk = chunk_panels * byte_panel_rows, few = 8;
  if (count_ < few * chunk || chunks_ != nullptr) return;
  split(0, count_);
  fill_panels();
  std::vector<float> means((count_ + chunk - 1) / chunk * dim_);
  for (std::size_t p = 0; p < count_; ++p) {
    const float share = 1 / static_cast<float>(std::min(chunk, count_ - p / chunk * chunk));
    for (std::size_t j = 0; j < dim_; ++j) means[p / chunk * dim_ + j] += at(order_[p])[j] * share;
  }
  chunks_ = std::make_shared<const Centroids>(std::move(means), dim_, kernels_);
}

float Centroids::keys(float* keys, const float* query, bool with_norms,
                      std::size_t most_chunks) const {
  std::vector<std::uint8_t> bytes(dim_);
  const float factor = 2 * scale_ * kernels_.to_bytes(bytes.data(), query, dim_, 128);
  const float* terms = with_norms ? norms_.data() : zeros_.data();
  const std::size_t panels = norms_.size() / byte_panel_rows;
  const auto some = [&](std::size_t first, std::size_t last) {
    const std::size_t column = first * byte_panel_rows;
    return kernels_.panel_keys(keys + column, bytes.data(), factor, panels_.data() + column * dim_,
                               terms + column, offsets_.data() + column, last - first, dim_);
  };
  if (most_chunks == 0 || most_chunks >= chunks()) return some(0, panels);
  std::vector<float> near(2 * chunks_->padded_count());
  float* sorted = near.data() + chunks_->padded_count();
  chunks_->keys(near.data(), query, with_norms);
  std::copy_n(near.data(), chunks(), sorted);
  std::nth_element(sorted, sorted + most_chunks - 1, sorted + chunks());
  const float bound = sorted[most_chunks - 1];
  std::copy(none_.begin(), none_.end(), keys);
  float least = infinity;
  for (std::size_t c = 0; c < chunks();) {  // runs of chunks
    std::size_t end = c;
    while (end < chunks() && near[end] <= bound) ++end;
    if (end > c)
      least = std::min(least, some(c * chunk_panels, std::min(end * chunk_panels, panels)));
    c = end + 1;
  }
  return least;
}

void Centroids::keys(float* keys, const float* queries, std::size_t n, bool with_norms) const {
  constexpr std::size_t together = 16, some_panels = 32, some = some_panels * byte_panel_rows;
  std::vector<std::uint8_t> bytes(together * dim_);
  std::vector<std::int32_t> dots(together * some);
  const std::vector<float>& terms = with_norms ? norms_ : zeros_;
  float factors[together];
  for (std::size_t first = 0; first < n; first += together) {
    const std::size_t count = std::min(together, n - first);
    for (std::size_t i = 0; i < count; ++i)
      factors[i] =
          2 * scale_ * kernels_.to_bytes(&bytes[i * dim_], queries + (first + i) * dim_, dim_, 128);
    for (std::size_t column = 0; column < terms.size(); column += some) {
      const std::size_t width = std::min(some, terms.size() - column);
      kernels_.dots_panels(dots.data(), some, bytes.data(), dim_, count,
                           panels_.data() + column * dim_, width / byte_panel_rows, dim_);
      for (std::size_t i = 0; i < count; ++i) {
        float* out = keys + (first + i) * terms.size() + column;
        const std::int32_t *dot = &dots[i * some], *offset = &offsets_[column];
        const float *term = &terms[column], factor = factors[i];
        for (std::size_t c = 0; c < width; ++c)
          out[c] = term[c] - factor * static_cast<float>(dot[c] - offset[c]);
      }
    }
  }
}

void Centroids::assign(std::uint32_t* nearest, float* distances, const float* rows,
                       std::size_t n) const {
  std::vector<std::uint8_t> bytes(some_rows * dim_);
  std::vector<kernels::LaneMinima> minima(some_rows);
  float factors[some_rows], steps[some_rows];
  for (std::size_t first = 0; first < n; first += some_rows) {
    const std::size_t count = std::min(some_rows, n - first);
    for (std::size_t i = 0; i < count; ++i) {
      steps[i] = kernels_.to_bytes(&bytes[i * dim_], rows + (first + i) * dim_, dim_, 128);
      factors[i] = 2 * scale_ * steps[i];
      std::fill_n(minima[i].key, byte_panel_rows, infinity);
      std::fill_n(minima[i].column, byte_panel_rows, 0u);
    }
    kernels_.nearest(minima.data(), bytes.data(), dim_, factors, count, panels_.data(),
                     norms_.data(), offsets_.data(), 0, norms_.size() / byte_panel_rows, dim_);
    for (std::size_t i = 0; i < count; ++i) {
      // Rounding moves a key by about this much (one deviation); six tell near ties.
      const float* row = rows + (first + i) * dim_;
      const float norm = squared(row, dim_);
      const float noise = 2 * std::sqrt(norm * (steps[i] * steps[i] + scale_ * scale_) / 12);
      const float* key = minima[i].key;
      const float limit = *std::min_element(key, key + byte_panel_rows) + 6 * noise;
      std::uint32_t ties[byte_panel_rows];
      float exact[byte_panel_rows];
      std::size_t found = 0;
      for (std::size_t l = 0; l < byte_panel_rows; ++l)
        if (key[l] <= limit && minima[i].column[l] < count_)
          ties[found++] = id(minima[i].column[l]);
      if (found == 1 && distances == nullptr) {
        nearest[first + i] = ties[0];
        continue;
      }
      kernels_.l2_at[0](exact, row, values_.data(), dim_ * sizeof(float), ties, found, dim_);
      const std::size_t best =
          static_cast<std::size_t>(std::min_element(exact, exact + found) - exact);
      nearest[first + i] = ties[best];
      if (distances != nullptr) distances[first + i] = exact[best];
    }
  }
}

void Centroids::assign(std::uint32_t* nearest, float* distances, const float* rows, std::size_t n,
                       ThreadPool* pool) const {
  if (pool == nullptr) return assign(nearest, distances, rows, n);
  pool->parallel_for(n, 16 * some_rows, [&](std::size_t begin, std::size_t end, int) {
    assign(nearest + begin, distances == nullptr ? nullptr : distances + begin, rows + begin * dim_,
           end - begin);
  });
}

}  // namespace hearth::vectors
