#include "vectors/ivf/segment.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <numeric>

#include "base/half.h"

namespace hearth::vectors {

using kernels::block_bytes;
using kernels::block_vectors;
using kernels::code_byte;

void put_codes(std::uint8_t* block, std::size_t vector, const std::uint8_t* codes,
               std::size_t groups) {
  for (std::size_t g = 0; g < groups; g += 2) {
    std::uint8_t& byte = block[g / 4 * 64 + g / 2 % 2 * 32 + code_byte(vector)];
    byte = static_cast<std::uint8_t>(codes[g] | codes[g + 1] << 4);
  }
}

void take_codes(std::uint8_t* codes, const std::uint8_t* block, std::size_t vector,
                std::size_t groups) {
  for (std::size_t g = 0; g < groups; g += 2) {
    const std::uint8_t byte = block[g / 4 * 64 + g / 2 % 2 * 32 + code_byte(vector)];
    codes[g] = byte & 15;
    codes[g + 1] = byte >> 4;
  }
}

namespace {

constexpr std::size_t some_rows = 1024;
constexpr std::uint16_t half_infinity = 0x7C00;

std::uint16_t* terms_of(std::uint8_t* block, std::size_t groups) {
  return reinterpret_cast<std::uint16_t*>(block + groups * 16);
}

std::uint16_t clamped_half(float value) {
  return f32_to_f16(std::clamp(value, -65000.0f, 65000.0f));
}

// Arrays of a segment while it is filled.
struct Draft {
  std::shared_ptr<Segment> segment;
  std::uint32_t *starts = nullptr, *blocks = nullptr;
  std::uint8_t *codes = nullptr, *rows = nullptr;
  Row* ids = nullptr;
  float* floats = nullptr;
};

// sizes: rows of each list.
Result<Draft> allocate(const Trained& trained, std::span<const std::uint32_t> sizes, bool floats) {
  const std::size_t lists = sizes.size(), groups = trained.coder->groups();
  const std::size_t n = std::accumulate(sizes.begin(), sizes.end(), std::size_t{0});
  std::size_t blocks = 0;
  for (const std::uint32_t size : sizes) blocks += (size + block_vectors - 1) / block_vectors;
  Draft draft;
  draft.segment = std::make_shared<Segment>(trained.padded(), trained.dim(), groups);
  Segment& segment = *draft.segment;
  SegmentArrays& arrays = segment.arrays;
  const auto take = [&](auto& span, auto*& out, std::size_t count) -> Status {
    using T = std::remove_reference_t<decltype(*out)>;
    segment.buffers.push_back(TRY(PageBuffer::allocate(count * sizeof(T))));
    out = reinterpret_cast<T*>(segment.buffers.back().data());
    span = {out, count};
    return Done{};
  };
  TRY(take(arrays.starts, draft.starts, lists + 1));
  TRY(take(arrays.blocks, draft.blocks, lists + 1));
  TRY(take(arrays.codes, draft.codes, blocks * block_bytes(groups)));
  TRY(take(arrays.rows, draft.rows, n * segment.row_bytes()));
  TRY(take(arrays.ids, draft.ids, n));
  TRY(take(arrays.floats, draft.floats, floats ? n * trained.dim() : 0));
  for (std::size_t l = 0; l < lists; ++l) {
    draft.starts[l + 1] = draft.starts[l] + sizes[l];
    draft.blocks[l + 1] = draft.blocks[l] + static_cast<std::uint32_t>(
                                                (sizes[l] + block_vectors - 1) / block_vectors);
  }
  // Places that nobody has are infinitely far.
  for (std::size_t b = 0; b < blocks; ++b)
    std::fill_n(terms_of(draft.codes + b * block_bytes(groups), groups), block_vectors,
                half_infinity);
  return draft;
}

void finish(Draft& draft) {
  auto places = std::make_shared<RowPlaces>();
  for (std::size_t i = 0; i < draft.segment->count(); ++i)
    places->set(draft.ids[i], static_cast<Slot>(i));
  draft.segment->places = std::move(places);
}

std::uint8_t* block_of(const Draft& draft, std::size_t groups, std::size_t list,
                       std::size_t in_list) {
  return draft.codes + (draft.blocks[list] + in_list / block_vectors) * block_bytes(groups);
}

// The bytes of one residual.  What rounding r by e does to a distance, -2 e.(q - c), is mostly
// known: where q is near the row, q - c is near r.  That part, -2 e.r, is taken off; what stays is
// the rounding of what the query differs from the row.  A product has no such neighbourhood: there
// it is what the query differs from the centroid.
void encode_residual(std::uint8_t* row, const float* residual, const float* centroid,
                     std::size_t padded, Metric metric) {
  const auto [low, high] = std::minmax_element(residual, residual + padded);
  ResidualTerms terms{0, *low, (*high - *low) / 255};
  const float inverse = terms.scale > 0 ? 1 / terms.scale : 0;
  std::uint8_t* bytes = row + sizeof terms;
  double norm = 0, along = 0, rounded = 0, exact = 0;
  for (std::size_t j = 0; j < padded; ++j) {
    const int byte = static_cast<int>((residual[j] - terms.offset) * inverse + 0.5f);
    bytes[j] = static_cast<std::uint8_t>(std::min(byte, 255));
    const float r = terms.offset + terms.scale * static_cast<float>(bytes[j]);
    norm += static_cast<double>(residual[j]) * residual[j];
    along += static_cast<double>(r) * residual[j];
    rounded += static_cast<double>(r) * centroid[j];
    exact += static_cast<double>(residual[j]) * centroid[j];
  }
  const double first = metric == Metric::l2 ? 2 * (along + rounded) - norm : rounded - exact;
  terms.first = static_cast<float>(first);
  std::memcpy(row, &terms, sizeof terms);
}

// Everything the segment keeps of one row; `rotated` is overwritten.
class RowWriter {
 public:
  RowWriter(const Trained& trained, const Draft& draft)
      : trained_(trained), draft_(draft), codes_(trained.coder->groups()) {}

  void write(std::size_t list, std::size_t in_list, Row id, const float* vector, float* rotated) {
    const std::size_t padded = trained_.padded(), groups = codes_.size();
    const float* centroid = trained_.centroids.at(list);
    for (std::size_t j = 0; j < padded; ++j) rotated[j] -= centroid[j];
    const CodeTerms terms = trained_.coder->encode(codes_.data(), rotated, centroid);
    std::uint8_t* block = block_of(draft_, groups, list, in_list);
    const std::size_t lane = in_list % block_vectors;
    put_codes(block, lane, codes_.data(), groups);
    terms_of(block, groups)[lane] = clamped_half(terms.first / trained_.unit);
    terms_of(block, groups)[block_vectors + lane] = clamped_half(terms.second / trained_.unit);
    const std::size_t place = draft_.starts[list] + in_list;
    encode_residual(draft_.rows + place * draft_.segment->row_bytes(), rotated, centroid, padded,
                    trained_.metric);
    draft_.ids[place] = id;
    if (!draft_.segment->arrays.floats.empty())
      std::memcpy(draft_.floats + place * trained_.dim(), vector, trained_.dim() * sizeof(float));
  }

 private:
  const Trained& trained_;
  const Draft& draft_;
  std::vector<std::uint8_t> codes_;
};

template <typename F>
void in_parallel(ThreadPool* pool, std::size_t n, std::size_t chunk, F function) {
  if (pool != nullptr) return pool->parallel_for(n, chunk, function);
  for (std::size_t i = 0; i < n; i += chunk) function(i, std::min(n, i + chunk), 0);
}

std::vector<std::uint32_t> assign_all(const Trained& trained, const SegmentSource& source,
                                      ThreadPool* pool, const std::stop_token& stop) {
  std::vector<std::uint32_t> lists(source.count);
  in_parallel(pool, source.count, some_rows, [&](std::size_t begin, std::size_t end, int) {
    if (stop.stop_requested()) return;
    std::vector<float> rotated((end - begin) * trained.padded()), scratch(trained.dim());
    for (std::size_t i = begin; i < end; ++i)
      trained.rotate(&rotated[(i - begin) * trained.padded()], source.vector(i, scratch.data()));
    trained.centroids.assign(&lists[begin], nullptr, rotated.data(), end - begin);
  });
  return lists;
}

}  // namespace

Result<std::shared_ptr<Segment>> build_segment(const Trained& trained, const SegmentSource& source,
                                               bool keep_floats, ThreadPool* pool,
                                               std::stop_token stop) {
  const std::vector<std::uint32_t> lists = assign_all(trained, source, pool, stop);
  if (stop.stop_requested()) return Error(ErrorKind::cancelled, "stopped");
  std::vector<std::uint32_t> sizes(trained.centroids.count());
  for (const std::uint32_t list : lists) ++sizes[list];
  Draft draft = TRY(allocate(trained, sizes, keep_floats));
  std::vector<std::uint32_t> next(draft.starts, draft.starts + sizes.size());
  std::vector<std::uint32_t> order(source.count);
  for (std::size_t i = 0; i < source.count; ++i)
    order[next[lists[i]]++] = static_cast<std::uint32_t>(i);
  // Lists are whole in one chunk, so that no two threads write into one block.
  in_parallel(pool, sizes.size(), 16, [&](std::size_t begin, std::size_t end, int) {
    RowWriter writer(trained, draft);
    std::vector<float> rotated(trained.padded()), scratch(trained.dim());
    for (std::size_t l = begin; l < end && !stop.stop_requested(); ++l)
      for (std::size_t i = 0; i < sizes[l]; ++i) {
        const std::size_t from = order[draft.starts[l] + i];
        const float* vector = source.vector(from, scratch.data());
        trained.rotate(rotated.data(), vector);
        writer.write(l, i, source.id(from), vector, rotated.data());
      }
  });
  if (stop.stop_requested()) return Error(ErrorKind::cancelled, "stopped");
  finish(draft);
  return std::move(draft.segment);
}

Result<std::shared_ptr<Segment>> merge_segments(const Trained& trained,
                                                std::span<const SegmentView> segments) {
  std::vector<std::uint32_t> sizes(trained.centroids.count());
  bool floats = true;
  for (const SegmentView& view : segments) {
    floats = floats && !view.segment->arrays.floats.empty();
    const auto starts = view.segment->arrays.starts;
    for (std::size_t l = 0; l < sizes.size(); ++l) {
      if (!view.segment->touch(l))
        return Error(ErrorKind::corrupt, "a list does not fit its checksum");
      for (std::size_t p = starts[l]; p < starts[l + 1]; ++p) sizes[l] += !view.is_dead(p);
    }
  }
  Draft draft = TRY(allocate(trained, sizes, floats));
  const std::size_t groups = trained.coder->groups(), row_bytes = draft.segment->row_bytes();
  std::vector<std::uint8_t> codes(groups);
  for (std::size_t l = 0; l < sizes.size(); ++l) {
    std::size_t in_list = 0;
    for (const SegmentView& view : segments) {
      const SegmentArrays& from = view.segment->arrays;
      for (std::size_t p = from.starts[l]; p < from.starts[l + 1]; ++p) {
        if (view.is_dead(p)) continue;
        const std::size_t i = p - from.starts[l], to = draft.starts[l] + in_list;
        const std::uint8_t* old =
            from.codes.data() + (from.blocks[l] + i / block_vectors) * block_bytes(groups);
        std::uint8_t* block = block_of(draft, groups, l, in_list);
        const std::size_t lane = in_list++ % block_vectors, old_lane = i % block_vectors;
        take_codes(codes.data(), old, old_lane, groups);
        put_codes(block, lane, codes.data(), groups);
        const auto* terms = terms_of(const_cast<std::uint8_t*>(old), groups);
        terms_of(block, groups)[lane] = terms[old_lane];
        terms_of(block, groups)[block_vectors + lane] = terms[block_vectors + old_lane];
        std::memcpy(draft.rows + to * row_bytes, view.segment->row(p), row_bytes);
        draft.ids[to] = from.ids[p];
        if (floats)
          std::memcpy(draft.floats + to * trained.dim(), view.segment->exact(p),
                      trained.dim() * sizeof(float));
      }
    }
  }
  finish(draft);
  return std::move(draft.segment);
}

std::size_t Segment::list_of(std::size_t place) const {
  const auto found = std::upper_bound(arrays.starts.begin(), arrays.starts.end(), place);
  return static_cast<std::size_t>(found - arrays.starts.begin()) - 1;
}

std::size_t Segment::memory_bytes() const {
  std::size_t bytes = places->memory_bytes();
  for (const PageBuffer& buffer : buffers) bytes += buffer.size();
  return bytes;
}

std::size_t Segment::mapped_bytes() const { return file == nullptr ? 0 : file->bytes().size(); }

float exact_product(const Segment& segment, std::size_t place, const float* query, float sum) {
  constexpr std::size_t step = 16;
  ResidualTerms terms;
  std::memcpy(&terms, segment.row(place), sizeof terms);
  const std::uint8_t* bytes = segment.row(place) + sizeof terms;
  const std::size_t n = segment.row_bytes() - sizeof terms;
  float sums[step] = {};
  for (std::size_t i = 0; i < n; i += step)
    for (std::size_t l = 0; l < step; ++l)
      sums[l] += query[i + l] * static_cast<float>(bytes[i + l]);
  return terms.offset * sum + terms.scale * std::accumulate(sums, sums + step, 0.0f);
}

void decode_row(const Trained& trained, const Segment& segment, std::size_t place, float* vector) {
  if (const float* exact = segment.exact(place)) {
    std::memcpy(vector, exact, trained.dim() * sizeof(float));
    return;
  }
  ResidualTerms terms;
  std::memcpy(&terms, segment.row(place), sizeof terms);
  const std::uint8_t* bytes = segment.row(place) + sizeof terms;
  const float* centroid = trained.centroids.at(segment.list_of(place));
  std::vector<float> rotated(trained.padded());
  for (std::size_t j = 0; j < rotated.size(); ++j)
    rotated[j] = centroid[j] + terms.offset + terms.scale * static_cast<float>(bytes[j]);
  trained.undo(vector, rotated.data());
}

}  // namespace hearth::vectors
