#include "vectors/flat/pair_scan.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <vector>

#include "vectors/ivf/centroids.h"

namespace hearth::vectors {
namespace {

using kernels::byte_panel_rows;
using kernels::pair_rows;

constexpr float infinity = std::numeric_limits<float>::infinity();
constexpr float rounding = 1e-5f;  // of sums in f32, relative; far above what they have

double squared(const float* x, std::size_t n) {
  double s = 0;
  for (std::size_t i = 0; i < n; ++i) s += static_cast<double>(x[i]) * x[i];
  return s;
}

class PairScan {
 public:
  PairScan(const RowCodec& codec, const FlatSnapshot& rows, std::span<const float> queries,
           const RowFilter* filter, std::span<TopHits> top);

  void chunk(const ChunkView& view);

 private:
  bool l2() const { return codec_.metric() == Metric::l2; }
  void add_query(std::size_t q, const float* query);
  void quantise_rows(const ChunkView& view, std::size_t first, std::size_t count);
  void set_limit(std::size_t q);

  const RowCodec& codec_;
  const RowFilter* filter_;
  std::span<TopHits> top_;
  std::size_t dim_, padded_;
  std::vector<float> mean_;
  std::vector<RowQuery> exact_;
  std::vector<std::int8_t> panels_;
  // Of queries: step of the bytes, length of the rounded one, what is lost by rounding, what is
  // added to every distance, the part of a limit that does not change.
  std::vector<float> scales_, norms_, lost_, constants_, limits_;
  std::vector<std::int32_t> offsets_;
  // Of the rows at hand.
  std::vector<std::uint8_t> bytes_;
  std::vector<float> centred_;
  float terms_[pair_rows], factors_[pair_rows], slacks_[pair_rows];
  float longest_ = 0;  // row so far
  std::vector<kernels::PairHit> hits_;
};

PairScan::PairScan(const RowCodec& codec, const FlatSnapshot& rows, std::span<const float> queries,
                   const RowFilter* filter, std::span<TopHits> top)
    : codec_(codec),
      filter_(filter),
      top_(top),
      dim_(codec.dim()),
      padded_((dim_ + kernels::panel_step - 1) / kernels::panel_step * kernels::panel_step),
      mean_(dim_),
      bytes_(pair_rows * padded_),
      centred_(padded_) {
  // Any point near the middle will do: some rows' mean.
  const ChunkView first = rows.view(0);
  const std::size_t some = std::min<std::size_t>(first.count, 512);
  for (std::size_t i = 0; i < some; ++i) {
    const auto* row = reinterpret_cast<const float*>(first.data + i * first.stride);
    for (std::size_t j = 0; j < dim_; ++j) mean_[j] += row[j] / static_cast<float>(some);
  }
  const std::size_t panels = (top.size() + byte_panel_rows - 1) / byte_panel_rows;
  const std::size_t columns = panels * byte_panel_rows;
  panels_.resize(columns * padded_);
  for (auto* values : {&scales_, &norms_, &lost_, &constants_}) values->resize(columns);
  limits_.assign(columns, -infinity);
  offsets_.resize(columns);
  hits_.resize(pair_rows * columns);
  exact_.reserve(top.size());
  for (std::size_t q = 0; q < top.size(); ++q) add_query(q, queries.data() + q * dim_);
}

void PairScan::add_query(std::size_t q, const float* query) {
  exact_.emplace_back(codec_, std::span(query, dim_));
  std::fill(centred_.begin(), centred_.end(), 0.0f);
  double shift = 0;
  for (std::size_t j = 0; j < dim_; ++j) {
    centred_[j] = l2() ? query[j] - mean_[j] : query[j];
    shift += static_cast<double>(query[j]) * mean_[j];
  }
  std::vector<std::int8_t> bytes(padded_);
  scales_[q] = codec_.kernels().to_bytes(reinterpret_cast<std::uint8_t*>(bytes.data()),
                                         centred_.data(), padded_, 0);
  double rounded = 0, lost = 0;
  int sum = 0;
  std::int8_t* panel = panels_.data() + q / byte_panel_rows * byte_panel_rows * padded_;
  for (std::size_t j = 0; j < padded_; ++j) {
    panel[j / 4 * 4 * byte_panel_rows + q % byte_panel_rows * 4 + j % 4] = bytes[j];
    const double x = static_cast<double>(scales_[q]) * bytes[j];
    rounded += x * x;
    lost += (x - centred_[j]) * (x - centred_[j]);
    sum += bytes[j];
  }
  offsets_[q] = 128 * sum;
  norms_[q] = static_cast<float>(std::sqrt(rounded));
  lost_[q] = static_cast<float>(std::sqrt(lost));
  constants_[q] = l2() ? static_cast<float>(squared(centred_.data(), dim_))
                       : static_cast<float>((codec_.metric() == Metric::cosine ? 1 : 0) - shift);
}

// A pair is kept if its distance may be below the query's limit.
void PairScan::set_limit(std::size_t q) {
  const float times = l2() ? 2.0f : 1.0f;
  const float size = std::abs(constants_[q]) + (l2() ? longest_ : norms_[q]) * longest_;
  limits_[q] = top_[q].limit() - constants_[q] + times * lost_[q] * longest_ + rounding * size;
}

void PairScan::quantise_rows(const ChunkView& view, std::size_t first, std::size_t count) {
  const float times = l2() ? 2.0f : 1.0f;
  float longest = longest_;
  for (std::size_t i = 0; i < count; ++i) {
    const auto* row = reinterpret_cast<const float*>(view.data + (first + i) * view.stride);
    for (std::size_t j = 0; j < dim_; ++j) centred_[j] = row[j] - mean_[j];
    std::fill(centred_.begin() + static_cast<std::ptrdiff_t>(dim_), centred_.end(), 0.0f);
    std::uint8_t* bytes = &bytes_[i * padded_];
    const float scale = codec_.kernels().to_bytes(bytes, centred_.data(), padded_, 128);
    float norm[4] = {}, lost[4] = {};
    for (std::size_t j = 0; j < padded_; j += 4)
      for (std::size_t l = 0; l < 4; ++l) {
        const float x = centred_[j + l];
        const float e = x - scale * static_cast<float>(bytes[j + l] - 128);
        norm[l] += x * x;
        lost[l] += e * e;
      }
    const float square = norm[0] + norm[1] + norm[2] + norm[3];
    terms_[i] = l2() ? square : 0;
    factors_[i] = times * scale;
    slacks_[i] = times * std::sqrt(lost[0] + lost[1] + lost[2] + lost[3]) * (1 + rounding);
    longest = std::max(longest, std::sqrt(square) * (1 + rounding));
  }
  if (longest <= longest_) return;
  longest_ = longest;
  for (std::size_t q = 0; q < top_.size(); ++q) set_limit(q);
}

void PairScan::chunk(const ChunkView& view) {
  for (std::size_t first = 0; first < view.count; first += pair_rows) {
    const std::size_t count = std::min(pair_rows, view.count - first);
    quantise_rows(view, first, count);
    const kernels::PairScan scan = {.rows = bytes_.data(),
                                    .stride = padded_,
                                    .m = count,
                                    .terms = terms_,
                                    .factors = factors_,
                                    .slacks = slacks_,
                                    .panels = panels_.data(),
                                    .count = limits_.size() / byte_panel_rows,
                                    .dim = padded_,
                                    .scales = scales_.data(),
                                    .norms = norms_.data(),
                                    .limits = limits_.data(),
                                    .offsets = offsets_.data()};
    const std::size_t found = codec_.kernels().near_pairs(hits_.data(), &scan);
    for (std::size_t h = 0; h < found; ++h) {
      const std::size_t place = first + hits_[h].row, q = hits_[h].column;
      const Row row = view.rows[place];
      // The limit may have moved since the pair was found.
      if (q >= top_.size() || !(hits_[h].value < limits_[q])) continue;
      if (view.is_dead(place) || (filter_ != nullptr && !filter_->allows(row))) continue;
      float distance;
      exact_[q].distances(&distance, view.data + place * view.stride, nullptr, 1);
      const float before = top_[q].limit();
      top_[q].offer(row, distance);
      if (top_[q].limit() != before) set_limit(q);
    }
  }
}

}  // namespace

std::size_t pair_queries(std::size_t dim) {
  constexpr std::size_t cache = 512u << 10, most = 1024;
  return std::clamp(cache / dim / byte_panel_rows * byte_panel_rows, byte_panel_rows, most);
}

void scan_pairs(const RowCodec& codec, const FlatSnapshot& rows, std::span<const float> queries,
                const RowFilter* filter, std::span<TopHits> top) {
  PairScan scan(codec, rows, queries, filter, top);
  for (const ChunkView& view : rows.views()) scan.chunk(view);
}

}  // namespace hearth::vectors
