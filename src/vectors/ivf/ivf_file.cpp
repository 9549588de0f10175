// IVF indexes as files; docs/formats/vectors.md describes them.
#include <fmt/core.h>

#include <atomic>
#include <cmath>
#include <cstring>

#include "base/bytes.h"
#include "base/crc32c.h"
#include "base/files.h"
#include "base/thread_pool.h"
#include "kernels/search_select.h"
#include "vectors/ivf/ivf.h"

namespace hearth::vectors {
namespace {

constexpr std::uint32_t version = 3, oldest_version = 1;
constexpr std::size_t alignment = 64, trailer_bytes = 16;
constexpr std::uint32_t trailer_magic = 0x46564948;  // "HIVF"
constexpr std::uint64_t most_rows = 1ull << 32, most_file_segments = 255;

std::uint64_t aligned(std::uint64_t offset) {
  return (offset + alignment - 1) / alignment * alignment;
}

// The description at the end of a file, while it is written.
class Description {
 public:
  template <typename T>
  void value(T value) {
    array(std::span<const T>(&value, 1));
  }
  template <typename T>
  void array(std::span<const T> values) {
    const auto raw = std::as_bytes(values);
    bytes.insert(bytes.end(), raw.begin(), raw.end());
  }
  std::vector<std::byte> bytes;
};

// Arrays one after another, each at a multiple of 64.
class ArrayWriter {
 public:
  explicit ArrayWriter(DraftFile& file) : file_(file) {}

  Status write(std::span<const std::byte> bytes) {
    const std::byte zeros[alignment] = {};
    TRY(file_.write(std::span(zeros).first(aligned(size_) - size_)));
    size_ = aligned(size_) + bytes.size();
    return file_.write(bytes);
  }
  std::uint64_t size() const { return size_; }

 private:
  DraftFile& file_;
  std::uint64_t size_ = 0;
};

// The bytes of one list in an array of `stride` bytes for each row or block.
template <typename T>
std::span<const std::byte> part_of(std::span<const T> array, std::span<const std::uint32_t> starts,
                                   std::size_t list, std::size_t stride) {
  return std::as_bytes(array).subspan(starts[list] * stride,
                                      (starts[list + 1] - starts[list]) * stride);
}

struct ListChecksums {
  std::vector<std::uint32_t> codes, rows, floats;
};

std::uint32_t codes_checksum(const SegmentArrays& arrays, std::size_t groups, std::size_t list) {
  return crc32c(part_of(arrays.codes, arrays.blocks, list, kernels::block_bytes(groups)));
}
std::uint32_t rows_checksum(const Segment& segment, std::size_t list) {
  return crc32c(part_of(segment.arrays.rows, segment.arrays.starts, list, segment.row_bytes()));
}
std::uint32_t floats_checksum(const SegmentArrays& arrays, std::size_t dim, std::size_t list) {
  if (arrays.floats.empty()) return 0;
  return crc32c(part_of(arrays.floats, arrays.starts, list, dim * sizeof(float)));
}

// Checks rows and floats of a list when they are first touched.  Thread-safe.
class LazyChecker final : public Segment::Checker {
 public:
  LazyChecker(ListChecksums checksums, std::size_t dim)
      : checksums_(std::move(checksums)),
        dim_(dim),
        states_(std::make_unique<std::atomic<std::uint8_t>[]>(checksums_.rows.size())) {}

  bool check(const Segment& segment, std::size_t list) override {
    std::uint8_t known = states_[list].load(std::memory_order_acquire);
    if (known == unknown) {
      const bool whole = rows_checksum(segment, list) == checksums_.rows[list] &&
                         floats_checksum(segment.arrays, dim_, list) == checksums_.floats[list];
      known = whole ? sound : damaged;
      states_[list].store(known, std::memory_order_release);
    }
    return known == sound;
  }

 private:
  enum : std::uint8_t { unknown, sound, damaged };
  ListChecksums checksums_;
  std::size_t dim_;
  std::unique_ptr<std::atomic<std::uint8_t>[]> states_;
};

Status write_segment(ArrayWriter& out, Description& about, const SegmentView& view,
                     std::size_t dim) {
  const Segment& segment = *view.segment;
  const SegmentArrays& arrays = segment.arrays;
  TRY(out.write(std::as_bytes(arrays.codes)));
  TRY(out.write(std::as_bytes(arrays.ids)));
  TRY(out.write(std::as_bytes(arrays.rows)));
  TRY(out.write(std::as_bytes(arrays.floats)));
  about.value(static_cast<std::uint64_t>(segment.count()));
  about.value(static_cast<std::uint8_t>(!arrays.floats.empty()));
  about.array(arrays.starts);
  about.value(crc32c(std::as_bytes(arrays.ids)));
  const std::size_t lists = arrays.starts.size() - 1;
  ListChecksums sums;
  for (std::size_t l = 0; l < lists; ++l) {
    if (!segment.touch(l)) return Error(ErrorKind::corrupt, "a list does not fit its checksum");
    sums.codes.push_back(codes_checksum(arrays, segment.groups(), l));
    sums.rows.push_back(rows_checksum(segment, l));
    sums.floats.push_back(floats_checksum(arrays, dim, l));
  }
  about.array(std::span<const std::uint32_t>(sums.codes));
  about.array(std::span<const std::uint32_t>(sums.rows));
  about.array(std::span<const std::uint32_t>(sums.floats));
  about.value(static_cast<std::uint8_t>(view.dead != nullptr));
  if (view.dead != nullptr) about.array(std::span<const std::uint64_t>(*view.dead));
  return Done{};
}

void describe(Description& about, const Trained& trained) {
  about.value(trained.seed);
  about.value(trained.unit);
  about.array(std::span<const float>(trained.mean));
  about.value(static_cast<std::uint64_t>(trained.centroids.count()));
  about.array(std::span<const float>(trained.centroids.values()));
  trained.coder->save(about.bytes);
}

// In the order of the file.
std::vector<float*> numbers_of(GapModel& model) {
  std::vector<float*> numbers = {&model.first, &model.wide, &model.unit, &model.power, &model.rate};
  for (Features* each : {&model.typical, &model.weights, &model.batch_weights})
    for (float& x : *each) numbers.push_back(&x);
  return numbers;
}

void describe(Description& about, const Tuning& tuning) {
  about.value(tuning.typical_distance);
  about.value(static_cast<std::uint64_t>(tuning.rows));
  about.value(static_cast<std::uint64_t>(tuning.plans.size()));
  for (const TunedPlan& tuned : tuning.plans) {
    TunedPlan copy = tuned;
    for (const float x :
         {tuned.target, tuned.reached, tuned.lists, tuned.rows, tuned.plan.gap, tuned.plan.depth})
      about.value(x);
    for (float* x : numbers_of(copy.plan.model)) about.value(*x);
    about.value(static_cast<std::uint64_t>(tuned.plan.candidates));
    about.value(static_cast<std::uint64_t>(tuned.plan.exact));
    about.value(static_cast<std::uint64_t>(tuned.plan.chunks));
  }
}

// Late rows, those being sealed first; all of them live.
void live_rows(const FlatSnapshot* snapshot, std::vector<Row>& rows, std::vector<float>& vectors,
               std::size_t dim) {
  if (snapshot == nullptr) return;
  for (const ChunkView& chunk : snapshot->views())
    for (std::size_t i = 0; i < chunk.count; ++i) {
      if (chunk.is_dead(i)) continue;
      rows.push_back(chunk.rows[i]);
      const auto* x = reinterpret_cast<const float*>(chunk.data + i * chunk.stride);
      vectors.insert(vectors.end(), x, x + dim);
    }
}

}  // namespace

Status Ivf::save(const std::string& path) const {
  const auto now = state();
  DraftFile file = TRY(DraftFile::create(path));
  ArrayWriter out(file);
  TRY(out.write(bytes_of(magic)));
  TRY(out.write({}));

  Description about;
  about.value(version);
  about.value(static_cast<std::uint64_t>(spec_.dim));
  about.value(static_cast<std::uint8_t>(spec_.metric));
  about.value(static_cast<std::uint8_t>(spec_.code_bits));
  about.value(static_cast<std::uint8_t>(spec_.keep_floats));
  about.value(static_cast<std::uint8_t>(spec_.pq.bits));
  about.value(static_cast<std::uint64_t>(spec_.pq.segments));
  about.value(static_cast<std::uint64_t>(spec_.lists));
  about.value(static_cast<std::uint64_t>(spec_.train_at));
  about.value(static_cast<std::uint8_t>(now->trained != nullptr));
  if (now->trained != nullptr) describe(about, *now->trained);
  about.value(static_cast<std::uint8_t>(now->tuning != nullptr));
  if (now->tuning != nullptr) describe(about, *now->tuning);
  about.value(static_cast<std::uint64_t>(now->segments.size()));
  for (const SegmentView& view : now->segments) TRY(write_segment(out, about, view, spec_.dim));
  std::vector<Row> rows;
  std::vector<float> vectors;
  live_rows(now->sealing.get(), rows, vectors, spec_.dim);
  live_rows(now->tail.get(), rows, vectors, spec_.dim);
  about.value(static_cast<std::uint64_t>(rows.size()));
  about.array(std::span<const Row>(rows));
  about.array(std::span<const float>(vectors));

  const std::uint64_t size = about.bytes.size();
  const std::uint32_t checksum = crc32c(about.bytes);
  about.value(size);
  about.value(checksum);
  about.value(trailer_magic);
  TRY(out.write(about.bytes));
  return file.commit();
}

// Reads a file; a friend of Ivf, so that it can fill one.
struct IvfFile {
  std::shared_ptr<const MappedFile> file;
  Residence residence;
  const kernels::SearchKernels& kernels;
  std::uint64_t place = 0;    // behind the last array
  std::uint32_t written = 0;  // version of the file

  Error corrupt(std::string_view what) const {
    return Error(ErrorKind::corrupt, std::string(what));
  }

  // The next array; what lies between it and the last must be zeros.
  Result<std::span<const std::byte>> array(std::uint64_t size, std::uint64_t end) {
    const auto all = file->bytes();
    const std::uint64_t from = aligned(place);
    if (from > end || size > end - from) return corrupt("an array does not fit the file");
    for (std::uint64_t i = place; i < from; ++i)
      if (all[i] != std::byte{0}) return corrupt("something between the arrays");
    place = from + size;
    return all.subspan(from, size);
  }

  Result<IvfSpec> read_spec(ByteReader& in) {
    IvfSpec spec;
    written = TRY(in.value<std::uint32_t>());
    if (written < oldest_version || written > version)
      return Error(ErrorKind::unsupported, fmt::format("version {} of the file", written));
    spec.dim = TRY(in.value<std::uint64_t>());
    const auto metric = TRY(in.value<std::uint8_t>());
    spec.code_bits = TRY(in.value<std::uint8_t>());
    spec.keep_floats = TRY(in.value<std::uint8_t>()) != 0;
    spec.pq.bits = TRY(in.value<std::uint8_t>());
    spec.pq.segments = TRY(in.value<std::uint64_t>());
    spec.lists = TRY(in.value<std::uint64_t>());
    spec.train_at = TRY(in.value<std::uint64_t>());
    if (metric > 2) return corrupt("an unknown metric");
    spec.metric = static_cast<Metric>(metric);
    return spec;
  }

  Result<std::shared_ptr<const Trained>> read_trained(ByteReader& in, const IvfSpec& spec) {
    const auto seed = TRY(in.value<std::uint64_t>());
    const auto unit = TRY(in.value<float>());
    const auto floats = [&in](std::uint64_t count) -> Result<std::vector<float>> {
      const std::uint64_t size = TRY(checked_mul(count, sizeof(float)));
      const auto raw = TRY(in.take(size));
      std::vector<float> values(count);
      if (!raw.empty()) std::memcpy(values.data(), raw.data(), raw.size());
      if (!all_finite(values)) return Error(ErrorKind::corrupt, "a number is NaN or infinite");
      return values;
    };
    auto mean = TRY(floats(spec.dim));
    const auto lists = TRY(in.value<std::uint64_t>());
    if (lists == 0 || lists > most_clusters || !(unit > 0) || !std::isfinite(unit))
      return corrupt("impossible lists");
    const std::size_t padded =
        (spec.dim + kernels::panel_step - 1) / kernels::panel_step * kernels::panel_step;
    auto centroids = TRY(floats(lists * padded));
    const Metric metric = spec.metric == Metric::inner_product ? spec.metric : Metric::l2;
    auto trained = std::make_shared<Trained>(spec.dim, metric, seed, kernels, std::move(mean),
                                             std::move(centroids));
    trained->unit = unit;
    trained->coder = TRY(read_coder(in, padded, metric, kernels));
    return std::shared_ptr<const Trained>(std::move(trained));
  }

  Result<std::shared_ptr<const Tuning>> read_tuning(ByteReader& in) {
    auto tuning = std::make_shared<Tuning>();
    tuning->typical_distance = TRY(in.value<float>());
    tuning->rows = TRY(in.value<std::uint64_t>());
    const auto count = TRY(in.value<std::uint64_t>());
    const bool old = written < version;  // other plans: measured anew by the next maintain()
    const std::size_t unused_numbers = written == 1 ? 7 : 17;
    TRY(in.expect_records(count, old ? 16 + 4 * unused_numbers : 92));
    for (std::uint64_t i = 0; i < count; ++i) {
      if (old) {
        TRY(in.take(16 + 4 * unused_numbers));
        continue;
      }
      TunedPlan tuned{};
      std::vector<float*> numbers = {&tuned.target, &tuned.reached,  &tuned.lists,
                                     &tuned.rows,   &tuned.plan.gap, &tuned.plan.depth};
      for (float* x : numbers_of(tuned.plan.model)) numbers.push_back(x);
      float sum = 0;
      for (float* x : numbers) sum += * x = TRY(in.value<float>());
      tuned.plan.candidates = TRY(in.value<std::uint64_t>());
      tuned.plan.exact = TRY(in.value<std::uint64_t>());
      tuned.plan.chunks = TRY(in.value<std::uint64_t>());
      if (tuned.plan.candidates == 0 || tuned.plan.candidates > 1u << 20 || tuned.plan.exact == 0 ||
          tuned.plan.exact > tuned.plan.candidates || !std::isfinite(sum))
        return corrupt("an impossible plan");
      tuning->plans.push_back(tuned);
    }
    if (old) return std::shared_ptr<const Tuning>();
    return std::shared_ptr<const Tuning>(std::move(tuning));
  }

  // A copy in memory of what is in the file.
  template <typename T>
  Status load(Segment& segment, std::span<const T>& array) {
    segment.buffers.push_back(TRY(PageBuffer::allocate(array.size_bytes())));
    if (!array.empty())
      std::memcpy(segment.buffers.back().data(), array.data(), array.size_bytes());
    array = {reinterpret_cast<const T*>(segment.buffers.back().data()), array.size()};
    return Done{};
  }

  template <typename T>
  Status take(std::span<const T>& out, std::uint64_t count, std::uint64_t end) {
    const std::uint64_t size = TRY(checked_mul(count, sizeof(T)));
    const auto raw = TRY(array(size, end));
    out = {reinterpret_cast<const T*>(raw.data()), count};
    return Done{};
  }

  Status read_starts(ByteReader& in, Segment& segment, std::uint64_t rows, std::size_t lists) {
    segment.buffers.push_back(TRY(PageBuffer::allocate(2 * (lists + 1) * sizeof(std::uint32_t))));
    auto* starts = reinterpret_cast<std::uint32_t*>(segment.buffers.back().data());
    auto* blocks = starts + lists + 1;
    const auto raw = TRY(in.take((lists + 1) * sizeof(std::uint32_t)));
    std::memcpy(starts, raw.data(), raw.size());
    if (starts[0] != 0 || starts[lists] != rows) return corrupt("lists that do not add up");
    for (std::size_t l = 0; l < lists; ++l) {
      if (starts[l + 1] < starts[l]) return corrupt("lists out of order");
      constexpr auto block = static_cast<std::uint32_t>(kernels::block_vectors);
      blocks[l + 1] = blocks[l] + (starts[l + 1] - starts[l] + block - 1) / block;
    }
    segment.arrays.starts = {starts, lists + 1};
    segment.arrays.blocks = {blocks, lists + 1};
    return Done{};
  }

  Result<std::vector<std::uint32_t>> read_checksums(ByteReader& in, std::size_t lists) {
    const auto raw = TRY(in.take(lists * sizeof(std::uint32_t)));
    std::vector<std::uint32_t> sums(lists);
    if (!raw.empty()) std::memcpy(sums.data(), raw.data(), raw.size());
    return sums;
  }

  Result<SegmentView> read_segment(ByteReader& in, const Trained& trained, std::uint64_t end) {
    const auto count = TRY(in.value<std::uint64_t>());
    const auto has_floats = TRY(in.value<std::uint8_t>());
    if (count >= most_rows) return corrupt("too many rows");
    const std::size_t lists = trained.centroids.count(), groups = trained.coder->groups();
    auto segment = std::make_shared<Segment>(trained.padded(), trained.dim(), groups);
    SegmentArrays& arrays = segment->arrays;
    TRY(read_starts(in, *segment, count, lists));
    TRY(take(arrays.codes, arrays.blocks[lists] * kernels::block_bytes(groups), end));
    TRY(take(arrays.ids, count, end));
    TRY(take(arrays.rows, count * segment->row_bytes(), end));
    TRY(take(arrays.floats, has_floats != 0 ? count * trained.dim() : 0, end));
    const auto ids_checksum = TRY(in.value<std::uint32_t>());
    ListChecksums sums;
    sums.codes = TRY(read_checksums(in, lists));
    sums.rows = TRY(read_checksums(in, lists));
    sums.floats = TRY(read_checksums(in, lists));
    const Error damaged = corrupt("a list does not fit its checksum");
    if (crc32c(std::as_bytes(arrays.ids)) != ids_checksum) return damaged;
    for (std::size_t l = 0; l < lists; ++l)
      if (codes_checksum(arrays, groups, l) != sums.codes[l]) return damaged;
    // Every query needs them: in memory, in large pages.
    TRY(load(*segment, arrays.codes));
    TRY(load(*segment, arrays.ids));
    auto checker = std::make_unique<LazyChecker>(std::move(sums), trained.dim());
    if (residence == Residence::loaded) {
      for (std::size_t l = 0; l < lists; ++l)
        if (!checker->check(*segment, l)) return damaged;
      TRY(load(*segment, arrays.rows));
      TRY(load(*segment, arrays.floats));
    } else {
      segment->checker = std::move(checker);
      segment->file = file;
    }
    auto places = std::make_shared<RowPlaces>();
    for (std::size_t i = 0; i < count; ++i) places->set(arrays.ids[i], static_cast<Slot>(i));
    segment->places = std::move(places);
    return read_dead(in, std::move(segment));
  }

  Result<SegmentView> read_dead(ByteReader& in, std::shared_ptr<Segment> segment) {
    SegmentView view{std::move(segment), nullptr, 0};
    const std::size_t count = view.segment->count();
    view.live = count;
    if (TRY(in.value<std::uint8_t>()) == 0) return view;
    auto bits = std::make_shared<DeadBits>(count / 64 + 1);
    const auto raw = TRY(in.take(bits->size() * sizeof(std::uint64_t)));
    if (!raw.empty()) std::memcpy(bits->data(), raw.data(), raw.size());
    for (std::size_t i = 0; i < count; ++i) view.live -= (*bits)[i / 64] >> (i % 64) & 1;
    view.dead = std::move(bits);
    return view;
  }

  Status read_late(ByteReader& in, Ivf& ivf) {
    const auto count = TRY(in.value<std::uint64_t>());
    TRY(in.expect_records(count, sizeof(Row) + ivf.spec_.dim * sizeof(float)));
    std::vector<Row> rows(count);
    std::vector<float> vectors(count * ivf.spec_.dim);
    const auto raw_rows = TRY(in.take(rows.size() * sizeof(Row)));
    if (!raw_rows.empty()) std::memcpy(rows.data(), raw_rows.data(), raw_rows.size());
    const auto raw = TRY(in.take(vectors.size() * sizeof(float)));
    if (!raw.empty()) std::memcpy(vectors.data(), raw.data(), raw.size());
    if (in.remaining() != 0) return corrupt("bytes after the description");
    return ivf.add(rows, vectors);
  }

  Result<std::unique_ptr<Ivf>> read(ByteReader& in, std::uint64_t end, int threads) {
    IvfSpec spec = TRY(read_spec(in));
    spec.threads = threads;
    spec.kernels = &kernels;
    auto ivf = TRY(Ivf::create(spec));
    IvfState next = *ivf->state();
    if (TRY(in.value<std::uint8_t>()) != 0) next.trained = TRY(read_trained(in, spec));
    if (TRY(in.value<std::uint8_t>()) != 0) next.tuning = TRY(read_tuning(in));
    const auto segments = TRY(in.value<std::uint64_t>());
    if (segments > most_file_segments || (segments > 0 && next.trained == nullptr))
      return corrupt("impossible segments");
    for (std::uint64_t g = 0; g < segments; ++g)
      next.segments.push_back(TRY(read_segment(in, *next.trained, end)));
    if (aligned(place) != end) return corrupt("something behind the arrays");
    for (std::uint64_t i = place; i < end; ++i)
      if (file->bytes()[i] != std::byte{0}) return corrupt("something between the arrays");
    ivf->publish(std::move(next));
    TRY(read_late(in, *ivf));
    return ivf;
  }
};

Result<std::unique_ptr<Ivf>> Ivf::open(const std::string& path, Residence residence, int threads,
                                       const kernels::SearchKernels* kernels) {
  const auto file = TRY(MappedFile::open(path));
  const auto all = file->bytes();
  const auto refuse = [&](std::string_view what) {
    return Error(ErrorKind::corrupt, fmt::format("{}: {}", path, what));
  };
  if (all.size() < 2 * alignment + trailer_bytes || text_of(all.first(8)) != magic)
    return refuse("not an index of inverted lists");
  ByteReader trailer(all.last(trailer_bytes));
  const auto size = TRY(trailer.value<std::uint64_t>());
  const auto checksum = TRY(trailer.value<std::uint32_t>());
  const auto mark = TRY(trailer.value<std::uint32_t>());
  const std::uint64_t before = all.size() - trailer_bytes;
  if (mark != trailer_magic || size > before - alignment || (before - size) % alignment != 0)
    return refuse("cut off");
  const auto about = all.subspan(before - size, size);
  if (crc32c(about) != checksum) return refuse("the description does not fit its checksum");
  ByteReader in(about);
  IvfFile reader{file, residence, kernels != nullptr ? *kernels : kernels::best_search_kernels(),
                 8};
  auto ivf = reader.read(in, before - size, threads);
  if (!ivf.ok()) return std::move(ivf).error().within(path);
  return ivf;
}

}  // namespace hearth::vectors
