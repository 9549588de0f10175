#include "vectors/flat/flat.h"

#include <fmt/core.h>

#include <cstring>
#include <mutex>

#include "base/thread_pool.h"
#include "kernels/search_select.h"
#include "vectors/checked_file.h"
#include "vectors/flat/batch.h"
#include "vectors/flat/flat_rows.h"
#include "vectors/flat/row_codec.h"
#include "vectors/top_hits.h"

namespace hearth::vectors {
namespace {

constexpr std::string_view magic = "HRTHFLAT";
constexpr std::uint32_t version = 1;
// Rows removed, as a share of all, from which their places are taken back.
constexpr double most_dead = 0.2;

class Flat final : public Index {
 public:
  explicit Flat(const FlatSpec& spec)
      : codec_(spec.dim, spec.metric, spec.storage,
               spec.kernels != nullptr ? *spec.kernels : kernels::best_search_kernels()),
        threads_(spec.threads),
        share_bytes_(spec.share_bytes),
        rows_(codec_.row_bytes()) {}

  Status add(std::span<const Row> rows, std::span<const float> vectors) override;
  void remove(std::span<const Row> rows) override {
    const std::lock_guard lock(writing_);
    rows_.remove(rows);
  }
  Result<std::vector<Hit>> search(std::span<const float> query,
                                  const SearchOptions& options) const override;
  Result<std::vector<std::vector<Hit>>> search_batch(std::span<const float> queries,
                                                     const SearchOptions& options) const override;
  Result<std::vector<float>> vector(Row row) const override;
  IndexInfo info() const override;
  Status maintain(std::stop_token stop) override;
  Status save(const std::string& path) const override;

  Status load(ByteReader& in, std::uint64_t count);

 private:
  Status check_queries(std::span<const float> queries) const;
  std::vector<float> prepared(std::span<const float> vectors) const;
  ThreadPool* pool() const;

  RowCodec codec_;
  int threads_;
  std::size_t share_bytes_;
  mutable std::once_flag has_pool_;
  mutable std::unique_ptr<ThreadPool> pool_;
  std::mutex writing_;
  FlatRows rows_;
};

// Null for one thread.  Threads are started when they are first wanted: most collections are small.
ThreadPool* Flat::pool() const {
  if (threads_ > 1)
    std::call_once(has_pool_, [&] { pool_ = std::make_unique<ThreadPool>(threads_); });
  return pool_.get();
}

// Vectors as they are kept: of length one if the metric is cosine.
std::vector<float> Flat::prepared(std::span<const float> vectors) const {
  std::vector<float> copy(vectors.begin(), vectors.end());
  if (codec_.metric() == Metric::cosine)
    for (std::size_t i = 0; i < copy.size(); i += codec_.dim())
      normalise(std::span(copy).subspan(i, codec_.dim()));
  return copy;
}

Status Flat::add(std::span<const Row> rows, std::span<const float> vectors) {
  if (vectors.size() != rows.size() * codec_.dim())
    return Error(ErrorKind::invalid, fmt::format("{} rows with {} numbers: needs {} for each",
                                                 rows.size(), vectors.size(), codec_.dim()));
  if (!all_finite(vectors)) return Error(ErrorKind::invalid, "a vector holds NaN or infinity");
  const std::lock_guard lock(writing_);
  std::vector<float> unit(codec_.dim());
  return rows_.add(rows, [&](std::size_t i, std::byte* place) {
    auto vector = vectors.subspan(i * codec_.dim(), codec_.dim());
    if (codec_.metric() == Metric::cosine) {
      std::copy(vector.begin(), vector.end(), unit.begin());
      normalise(unit);
      vector = unit;
    }
    codec_.encode(place, vector);
  });
}

Status Flat::check_queries(std::span<const float> queries) const {
  if (queries.size() % codec_.dim() != 0)
    return Error(ErrorKind::invalid,
                 fmt::format("a query of {} numbers: needs {}", queries.size(), codec_.dim()));
  if (!all_finite(queries)) return Error(ErrorKind::invalid, "a query holds NaN or infinity");
  return Done{};
}

Result<std::vector<Hit>> Flat::search(std::span<const float> query,
                                      const SearchOptions& options) const {
  TRY(check_queries(query));
  if (query.size() != codec_.dim())
    return Error(ErrorKind::invalid,
                 fmt::format("a query of {} numbers: needs {}", query.size(), codec_.dim()));
  const std::vector<float> unit = prepared(query);
  const RowQuery ready(codec_, unit);
  TopHits top(options.k, options.max_distance);
  const auto snapshot = rows_.snapshot();  // kept alive while it is read
  const std::size_t rows = options.filter == nullptr
                               ? snapshot->count
                               : std::min(snapshot->count, options.filter->allowed_rows);
  const bool is_shared = options.is_alone && rows * snapshot->stride >= share_bytes_;
  scan_rows(ready, *snapshot, options, is_shared ? pool() : nullptr, top);
  return std::move(top).take();
}

Result<std::vector<std::vector<Hit>>> Flat::search_batch(std::span<const float> queries,
                                                         const SearchOptions& options) const {
  TRY(check_queries(queries));
  const std::vector<float> unit = prepared(queries);
  const auto snapshot = rows_.snapshot();
  return flat_batch(codec_, *snapshot, unit, options, pool());
}

Result<std::vector<float>> Flat::vector(Row row) const {
  std::vector<float> result(codec_.dim());
  if (!rows_.with_row(row, [&](const std::byte* place) { codec_.decode(result, place); }))
    return Error(ErrorKind::not_found, fmt::format("row {} is not in the index", row));
  return result;
}

IndexInfo Flat::info() const {
  const auto snapshot = rows_.snapshot();
  IndexInfo info;
  info.kind = "flat";
  info.rows = snapshot->live;
  info.removed = snapshot->count - snapshot->live;
  info.memory_bytes = snapshot->memory_bytes();
  info.explanation = "every row is compared: exact, and fast enough while rows are few";
  return info;
}

Status Flat::maintain(std::stop_token) {
  const std::lock_guard lock(writing_);
  const auto snapshot = rows_.snapshot();
  const double dead = static_cast<double>(snapshot->count - snapshot->live);
  if (dead <= most_dead * static_cast<double>(snapshot->count)) return Done{};
  return rows_.compact();
}

Status Flat::save(const std::string& path) const {
  const auto snapshot = rows_.snapshot();
  CheckedWriter out = TRY(CheckedWriter::create(path));
  out.bytes(bytes_of(magic));
  out.value(version);
  out.value(static_cast<std::uint8_t>(codec_.metric()));
  out.value(static_cast<std::uint8_t>(codec_.storage()));
  out.value(std::uint16_t{0});
  out.value(static_cast<std::uint64_t>(codec_.dim()));
  out.value(static_cast<std::uint64_t>(snapshot->live));
  const auto each_live = [&](auto use) {
    for (const ChunkView& chunk : snapshot->views())
      for (std::size_t i = 0; i < chunk.count; ++i)
        if (!chunk.is_dead(i)) use(chunk, i);
  };
  each_live([&](const ChunkView& chunk, std::size_t i) { out.value(chunk.rows[i]); });
  out.align();
  each_live([&](const ChunkView& chunk, std::size_t i) {
    out.bytes({chunk.data + i * chunk.stride, chunk.stride});
  });
  return out.finish();
}

Status Flat::load(ByteReader& in, std::uint64_t count) {
  const auto rows = TRY(take_array<Row>(in, count));
  TRY(skip_alignment(in));
  const std::uint64_t size = TRY(checked_mul(count, codec_.row_bytes()));
  const auto data = TRY(in.take(size));
  if (in.remaining() != 0) return Error(ErrorKind::corrupt, "bytes after the last row");
  std::vector<float> vector(codec_.dim());
  for (std::size_t i = 0; i < count; ++i) {
    codec_.decode(vector, data.data() + i * codec_.row_bytes());
    if (!all_finite(vector)) return Error(ErrorKind::corrupt, "a vector holds NaN or infinity");
  }
  return rows_.add(rows, [&](std::size_t i, std::byte* place) {
    std::memcpy(place, data.data() + i * codec_.row_bytes(), codec_.row_bytes());
  });
}

Result<std::unique_ptr<Index>> read_flat(std::span<const std::byte> body, int threads,
                                         const kernels::SearchKernels* kernels) {
  ByteReader in(body);
  const auto found = TRY(in.value<std::uint32_t>());
  if (found != version)
    return Error(ErrorKind::unsupported, fmt::format("version {} of the file", found));
  const auto metric = TRY(in.value<std::uint8_t>());
  const auto storage = TRY(in.value<std::uint8_t>());
  TRY(in.skip(2));
  const auto dim = TRY(in.value<std::uint64_t>());
  const auto count = TRY(in.value<std::uint64_t>());
  if (metric > 2 || storage > 4) return Error(ErrorKind::corrupt, "an unknown metric or storage");
  if (dim == 0 || dim > most_flat_dim)
    return Error(ErrorKind::corrupt, fmt::format("{} dimensions", dim));
  auto flat = std::make_unique<Flat>(FlatSpec{.dim = dim,
                                              .metric = static_cast<Metric>(metric),
                                              .storage = static_cast<Storage>(storage),
                                              .threads = threads,
                                              .kernels = kernels});
  TRY(flat->load(in, count));
  return std::unique_ptr<Index>(std::move(flat));
}

}  // namespace

Result<std::unique_ptr<Index>> make_flat(const FlatSpec& spec) {
  if (spec.dim == 0 || spec.dim > most_flat_dim)
    return Error(ErrorKind::invalid,
                 fmt::format("{} dimensions: needs 1 to {}", spec.dim, most_flat_dim));
  return std::unique_ptr<Index>(std::make_unique<Flat>(spec));
}

std::unique_ptr<Index> make_flat(std::size_t dim, Metric metric) {
  return make_flat({.dim = dim, .metric = metric}).value();
}

Result<std::unique_ptr<Index>> open_flat(const std::string& path, int threads,
                                         const kernels::SearchKernels* kernels) {
  const CheckedFile file = TRY(open_checked(path, magic));
  auto index = read_flat(file.body, threads, kernels);
  if (!index.ok()) return std::move(index).error().within(path);
  return index;
}

}  // namespace hearth::vectors
