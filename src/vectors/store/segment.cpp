#include "vectors/store/segment.h"

#include <fmt/core.h>

#include <algorithm>

#include "base/bytes.h"
#include "base/crc32c.h"
#include "vectors/store/cold.h"
#include "vectors/store/encoding.h"

namespace hearth::vectors {
namespace {

constexpr std::string_view magic = "HEARTHSG";
constexpr std::uint32_t version = 1;
constexpr std::size_t chunk_bytes = 64 << 10;  // one checksum each
constexpr std::size_t alignment = 64;
constexpr std::size_t buffer_bytes = 1 << 20;
// At the file's end: magic, version, dim, store id, count, dead, places of four tables, chunks,
// checksum of the chunks' checksums, checksum of the footer before it.
constexpr std::size_t footer_bytes = 96;
constexpr std::size_t record_bytes = 16;  // lengths of id, text, metadata, 0
constexpr std::uint64_t max_hot_bytes = 1ull << 40;

template <typename T>
std::span<const T> table(std::span<const std::byte> bytes, std::uint64_t offset, std::size_t n) {
  return {reinterpret_cast<const T*>(bytes.data() + offset), n};
}

}  // namespace

// A document: lengths, its vector, and its id, text and metadata, from a multiple of 64 on.
Result<SegmentWriter> SegmentWriter::create(Files& files, const std::string& path, std::size_t dim,
                                            std::uint64_t store_id) {
  return SegmentWriter(TRY(files.create(path)), dim, store_id);
}

Status SegmentWriter::write(std::span<const std::byte> bytes) {
  while (!bytes.empty()) {
    const std::size_t room = chunk_bytes - written_ % chunk_bytes;
    const auto piece = bytes.first(std::min(room, bytes.size()));
    chunk_crc_ = crc32c(piece, chunk_crc_);
    buffer_.append(text_of(piece));
    written_ += piece.size();
    if (written_ % chunk_bytes == 0) {
      chunk_crcs_.push_back(chunk_crc_);
      chunk_crc_ = 0;
    }
    bytes = bytes.subspan(piece.size());
  }
  return buffer_.size() >= buffer_bytes ? flush() : Status(Done{});
}

Status SegmentWriter::flush() {
  TRY(file_->append(bytes_of(buffer_)));
  buffer_.clear();
  return Done{};
}

Status SegmentWriter::align() {
  static constexpr std::byte zeros[alignment] = {};
  return write(std::span(zeros).first((alignment - written_ % alignment) % alignment));
}

Status SegmentWriter::add(Row row, const DocumentView& document) {
  HEARTH_CHECK(rows_.empty() || rows_.back() < row);
  HEARTH_CHECK(document.vector.size() == dim_);
  TRY(align());
  rows_.push_back(row);
  offsets_.push_back(written_);
  std::string lengths;
  put(lengths, static_cast<std::uint32_t>(document.id.size()));
  put(lengths, static_cast<std::uint32_t>(document.text.size()));
  put(lengths, static_cast<std::uint32_t>(document.metadata.size()));
  put(lengths, std::uint32_t{0});
  TRY(write(bytes_of(lengths)));
  TRY(write(std::as_bytes(document.vector)));
  TRY(write(bytes_of(document.id)));
  TRY(write(bytes_of(document.text)));
  return write(bytes_of(document.metadata));
}

Status SegmentWriter::commit(std::span<const Row> dead) {
  TRY(align());
  const std::uint64_t rows_at = written_;
  TRY(write(std::as_bytes(std::span(rows_))));
  TRY(align());
  const std::uint64_t dead_at = written_;
  TRY(write(std::as_bytes(dead)));
  TRY(align());
  const std::uint64_t offsets_at = written_;
  TRY(write(std::as_bytes(std::span(offsets_))));
  TRY(align());
  const std::uint64_t data_bytes = written_;
  if (data_bytes % chunk_bytes != 0) chunk_crcs_.push_back(chunk_crc_);
  const std::uint32_t chunks_crc = crc32c(std::as_bytes(std::span(chunk_crcs_)));
  const auto crcs = std::as_bytes(std::span(chunk_crcs_));
  buffer_.append(text_of(crcs));

  std::string footer(magic);
  put(footer, version);
  put(footer, static_cast<std::uint32_t>(dim_));
  put(footer, store_id_);
  put(footer, std::uint64_t{rows_.size()});
  put(footer, std::uint64_t{dead.size()});
  put(footer, rows_at);
  put(footer, dead_at);
  put(footer, offsets_at);
  put(footer, data_bytes);
  put(footer, std::uint64_t{chunk_crcs_.size()});
  put(footer, chunks_crc);
  footer.resize(footer_bytes - sizeof(std::uint32_t));
  put(footer, crc32c(bytes_of(footer)));
  buffer_ += footer;
  written_ += crcs.size() + footer.size();
  TRY(flush());
  return file_->sync();
}

std::string_view name_of(Tier tier) {
  return tier == Tier::hot ? "hot" : tier == Tier::warm ? "warm" : "cold";
}

Segment::Segment() = default;
Segment::~Segment() = default;

Result<std::shared_ptr<const Segment>> Segment::open(Files& files, const std::string& path,
                                                     std::size_t dim, std::uint64_t store_id,
                                                     Tier tier) {
  std::shared_ptr<Segment> segment(new Segment());
  segment->path_ = path;
  segment->dim_ = dim;
  segment->tier_ = tier;
  if (tier == Tier::hot) {
    segment->held_ = TRY(files.read(path, max_hot_bytes));
    segment->bytes_ = bytes_of(segment->held_);
  } else {
    segment->file_ = TRY(files.map(path));
    segment->bytes_ = segment->file_->bytes();
  }
  const auto corrupt = [&](const Error& error) {
    return Error(error.kind() == ErrorKind::exhausted ? error.kind() : ErrorKind::corrupt,
                 error.message())
        .within(path);
  };
  if (!text_of(segment->bytes_).starts_with(cold_magic)) {
    Status read = segment->read_footer(store_id);
    if (!read.ok()) return corrupt(read.error());
    if (tier == Tier::cold) segment->tier_ = Tier::warm;
    return std::shared_ptr<const Segment>(std::move(segment));
  }
  auto cold = ColdDocuments::open(segment->bytes_, dim, store_id);
  if (!cold.ok()) return corrupt(cold.error());
  segment->tier_ = Tier::cold;
  segment->cold_ = std::move(*cold);
  segment->rows_ = segment->cold_->rows();
  segment->dead_ = segment->cold_->dead();
  return std::shared_ptr<const Segment>(std::move(segment));
}

Status Segment::read_footer(std::uint64_t store_id) {
  const auto corrupt = [](std::string message) { return Error(ErrorKind::corrupt, message); };
  if (bytes_.size() < footer_bytes) return corrupt("cut short");
  const auto footer = bytes_.last(footer_bytes);
  ByteReader in(footer);
  if (text_of(TRY(in.take(magic.size()))) != magic) return corrupt("not a segment, or cut short");
  const auto file_version = TRY(in.value<std::uint32_t>());
  if (file_version != version)
    return corrupt(fmt::format("version {}: this program reads {}", file_version, version));
  std::uint32_t crc;
  std::memcpy(&crc, footer.data() + footer_bytes - sizeof crc, sizeof crc);
  if (crc != crc32c(footer.first(footer_bytes - sizeof crc))) return corrupt("footer is damaged");
  if (TRY(in.value<std::uint32_t>()) != dim_) return corrupt("vectors of another length");
  if (TRY(in.value<std::uint64_t>()) != store_id) return corrupt("belongs to another collection");
  const auto count = TRY(in.value<std::uint64_t>());
  const auto dead = TRY(in.value<std::uint64_t>());
  const auto rows_at = TRY(in.value<std::uint64_t>());
  const auto dead_at = TRY(in.value<std::uint64_t>());
  const auto offsets_at = TRY(in.value<std::uint64_t>());
  data_bytes_ = TRY(in.value<std::uint64_t>());
  const auto chunks = TRY(in.value<std::uint64_t>());
  const auto chunks_crc = TRY(in.value<std::uint32_t>());

  const auto fits = [&](std::uint64_t at, std::uint64_t n, std::uint64_t size) {
    return at % alignment == 0 && at <= data_bytes_ && n <= (data_bytes_ - at) / size;
  };
  const std::uint64_t tables_bytes = bytes_.size() - footer_bytes;
  if (data_bytes_ > tables_bytes || chunks != (data_bytes_ + chunk_bytes - 1) / chunk_bytes ||
      chunks != (tables_bytes - data_bytes_) / sizeof(std::uint32_t) ||
      !fits(rows_at, count, sizeof(Row)) || !fits(dead_at, dead, sizeof(Row)) ||
      !fits(offsets_at, count, sizeof(std::uint64_t)))
    return corrupt("its tables do not fit the file");
  chunk_crcs_ = table<std::uint32_t>(bytes_, data_bytes_, chunks);
  if (crc32c(std::as_bytes(chunk_crcs_)) != chunks_crc) return corrupt("checksums are damaged");
  checked_ = std::vector<std::atomic<bool>>(chunks);
  TRY(check(rows_at, data_bytes_ - rows_at));
  rows_ = table<Row>(bytes_, rows_at, count);
  dead_ = table<Row>(bytes_, dead_at, dead);
  offsets_ = table<std::uint64_t>(bytes_, offsets_at, count);
  if (std::adjacent_find(rows_.begin(), rows_.end(), std::greater_equal<>()) != rows_.end())
    return corrupt("rows do not ascend");
  return Done{};
}

Status Segment::check(std::uint64_t offset, std::uint64_t size) const {
  if (size == 0) return Done{};
  if (offset > data_bytes_ || size > data_bytes_ - offset)
    return Error(ErrorKind::corrupt, fmt::format("{}: a document past the end", path_));
  for (std::uint64_t chunk = offset / chunk_bytes; chunk <= (offset + size - 1) / chunk_bytes;
       ++chunk) {
    if (checked_[chunk].load(std::memory_order_relaxed)) continue;
    const std::uint64_t begin = chunk * chunk_bytes;
    const std::uint64_t end = std::min<std::uint64_t>(begin + chunk_bytes, data_bytes_);
    if (crc32c(bytes_.subspan(begin, end - begin)) != chunk_crcs_[chunk])
      return Error(ErrorKind::corrupt,
                   fmt::format("{}: bytes {} to {} are damaged", path_, begin, end));
    checked_[chunk].store(true, std::memory_order_relaxed);
  }
  return Done{};
}

std::ptrdiff_t Segment::find(Row row) const {
  if (rows_.empty() || row < rows_.front() || row > rows_.back()) return -1;
  // Without holes the place is known.
  const std::size_t guess = row - rows_.front();
  if (guess < rows_.size() && rows_[guess] == row) return static_cast<std::ptrdiff_t>(guess);
  const auto found = std::lower_bound(rows_.begin(), rows_.end(), row);
  return found != rows_.end() && *found == row ? found - rows_.begin() : -1;
}

Result<std::string_view> Segment::id(std::size_t place) const {
  if (cold_) return cold_->id(place);
  return TRY(document(place)).id;
}

Result<DocumentView> Segment::document(std::size_t place) const {
  if (cold_) {
    auto view = cold_->document(place);
    if (!view.ok()) return Error(view.error()).within(path_);
    return view;
  }
  const std::uint64_t at = offsets_[place];
  const std::size_t vector_bytes = dim_ * sizeof(float);
  TRY(check(at, record_bytes + vector_bytes));
  ByteReader in(bytes_.subspan(at, data_bytes_ - at));
  const auto id_bytes = TRY(in.value<std::uint32_t>());
  const auto text_bytes = TRY(in.value<std::uint32_t>());
  const auto metadata_bytes = TRY(in.value<std::uint32_t>());
  TRY(in.skip(sizeof(std::uint32_t)));
  DocumentView view;
  view.vector = table<float>(bytes_, at + record_bytes, dim_);
  TRY(in.skip(vector_bytes));
  TRY(check(at,
            record_bytes + vector_bytes + std::uint64_t{id_bytes} + text_bytes + metadata_bytes));
  view.id = text_of(TRY(in.take(id_bytes)));
  view.text = text_of(TRY(in.take(text_bytes)));
  view.metadata = text_of(TRY(in.take(metadata_bytes)));
  return view;
}

}  // namespace hearth::vectors
