// The file of a graph.  Described in docs/formats/vectors-hnsw.md.
#include <fmt/core.h>

#include <cmath>

#include "vectors/checked_file.h"
#include "vectors/graph/hnsw_writer.h"

namespace hearth::vectors {
namespace {

constexpr std::uint32_t version = 2, oldest_version = 1;  // 1: rows are always f32

template <typename T>
void put(CheckedWriter& out, const T* values, std::size_t n) {
  out.align();
  out.array(std::span<const T>(values, n));
}

// Arrays are written never, but kept as what could be: see Arrays::file.
template <typename T>
Status take(ByteReader& in, T*& pointer, std::uint64_t count, std::uint64_t each) {
  TRY(skip_alignment(in));
  const std::uint64_t n = TRY(checked_mul(count, each));
  pointer = const_cast<T*>(TRY(take_array<T>(in, n)).data());
  return Done{};
}

struct Header {
  HnswSpec spec;
  std::uint64_t used, blocks, entry;
  kernels::RowType row_type = kernels::RowType::f32;
};

Error bad(std::string_view what) { return Error(ErrorKind::corrupt, std::string(what)); }

Result<Header> read_header(ByteReader& in) {
  Header header{};
  const auto written = TRY(in.value<std::uint32_t>());
  if (written < oldest_version || written > version)
    return Error(ErrorKind::unsupported, fmt::format("version {}", written));
  const auto metric = TRY(in.value<std::uint32_t>());
  if (metric > static_cast<std::uint32_t>(Metric::cosine)) return bad("an unknown metric");
  header.spec.metric = static_cast<Metric>(metric);
  header.spec.dim = TRY(in.value<std::uint64_t>());
  header.spec.m = TRY(in.value<std::uint64_t>());
  header.spec.ef_construction = TRY(in.value<std::uint64_t>());
  header.used = TRY(in.value<std::uint64_t>());
  header.blocks = TRY(in.value<std::uint64_t>());
  header.entry = TRY(in.value<std::uint64_t>());
  if (written > 1) {
    const auto type = TRY(in.value<std::uint32_t>());
    if (type > static_cast<std::uint32_t>(kernels::RowType::f16))
      return bad("an unknown kind of rows");
    header.row_type = static_cast<kernels::RowType>(type);
  }
  if (header.used > most_slots || header.blocks > 1u << 28 || header.blocks == 0)
    return bad("more slots than an index holds");
  return header;
}

Status check_links(const Arrays& arrays, Slot slot, int level) {
  const Links links = arrays.at(slot, level);
  for (std::size_t i = 0; i < links.degree() && links[i] != no_slot; ++i)
    if (links[i] >= arrays.capacity || arrays.level_of(links[i]) < level)
      return bad("a link to nowhere");
  return Done{};
}

Status check_slots(const Arrays& arrays, Entry entry) {
  for (std::size_t i = 0; i < arrays.capacity; ++i) {
    const Slot slot = static_cast<Slot>(i);
    const std::size_t block = arrays.upper[slot] >> 4;
    const auto levels = static_cast<std::size_t>(arrays.level_of(slot));
    if (levels > 0 && (block == 0 || block + levels > arrays.upper_capacity))
      return bad("upper links outside of their array");
  }
  for (std::size_t i = 0; i < arrays.capacity; ++i)
    for (int level = arrays.level_of(static_cast<Slot>(i)); level >= 0; --level)
      TRY(check_links(arrays, static_cast<Slot>(i), level));
  const bool none = entry.slot == no_slot;
  if (!none && (entry.slot >= arrays.capacity || entry.level != arrays.level_of(entry.slot)))
    return bad("an entry that is no slot");
  return Done{};
}

}  // namespace

Status Hnsw::save(const std::string& path) const {
  const std::lock_guard lock(writing_);
  const Writer& w = *writer_;
  const Arrays& arrays = *w.arrays;
  const std::size_t used = used_;
  CheckedWriter out = TRY(CheckedWriter::create(path));
  out.array(std::span<const char>(magic));
  out.value(version);
  out.value(static_cast<std::uint32_t>(spec_.metric));
  for (const std::uint64_t number : {spec_.dim, spec_.m, spec_.ef_construction, used, w.blocks})
    out.value(number);
  out.value(entry_.load());
  out.value(static_cast<std::uint32_t>(arrays.row_type));
  out.value(arrays.codec.scale);
  std::vector<float> offsets = arrays.codec.offsets;
  offsets.resize(spec_.dim);
  put(out, offsets.data(), offsets.size());
  out.value(static_cast<std::uint64_t>(tuning_.rows()));
  for (std::size_t c = 0; c < BreadthTable::counts.size(); ++c)
    for (const float recall : tuning_.recall(c)) out.value(recall);
  std::vector<Row> owners(used);  // a dead slot is nobody's
  for (std::size_t i = 0; i < used; ++i) {
    const Slot slot = static_cast<Slot>(i);
    const Row row = arrays.owner(slot);
    owners[i] = map_.find(row) == slot ? row : no_row;
  }
  put(out, arrays.codes, used * Codec::stride_for(spec_.dim));
  put(out, arrays.rows, used * arrays.row_bytes());
  put(out, arrays.links, used * 2 * spec_.m);
  put(out, owners.data(), used);
  put(out, arrays.upper, used);
  put(out, arrays.upper_links, w.blocks * spec_.m);
  return out.finish();
}

Status Hnsw::read(ByteReader& in, Arrays& arrays, std::uint64_t used, std::uint64_t blocks) {
  arrays.capacity = used;
  arrays.upper_capacity = blocks;
  Codec& codec = arrays.codec;
  codec = {spec_.metric, spec_.dim, Codec::stride_for(spec_.dim), {}, 1};
  codec.scale = TRY(in.value<float>());
  if (!(codec.scale > 0) || !std::isfinite(codec.scale)) return bad("a scale of codes");
  float* offsets = nullptr;
  TRY(take(in, offsets, spec_.dim, 1));
  codec.offsets.assign(offsets, offsets + spec_.dim);
  tuning_.set_rows(TRY(in.value<std::uint64_t>()));
  for (std::size_t c = 0; c < BreadthTable::counts.size(); ++c) {
    std::array<float, BreadthTable::breadths.size()> recall;
    for (float& value : recall) value = TRY(in.value<float>());
    tuning_.set(c, recall);
  }
  TRY(take(in, arrays.codes, used, codec.stride));
  TRY(take(in, arrays.rows, used, arrays.row_bytes()));
  TRY(take(in, arrays.links, used, 2 * spec_.m));
  TRY(take(in, arrays.row_of, used, 1));
  TRY(take(in, arrays.upper, used, 1));
  TRY(take(in, arrays.upper_links, blocks, spec_.m));
  if (in.remaining() != 0) return bad("bytes after the last array");
  TRY(check_slots(arrays, entry()));
  return claim_rows(arrays);
}

// Slots that are nobody's may still be linked: they count as dead.
Status Hnsw::claim_rows(const Arrays& arrays) {
  writer_->dead.resize(arrays.capacity);
  for (std::size_t i = 0; i < arrays.capacity; ++i) {
    const Slot slot = static_cast<Slot>(i);
    const Row row = arrays.row_of[slot];
    if (row == no_row) {
      writer_->dead[slot] = true;
      ++dead_;
      continue;
    }
    if (map_.find(row) != no_slot) return bad("a row that is there twice");
    map_.set(row, slot);
    ++live_;
  }
  return Done{};
}

Result<std::unique_ptr<Index>> Hnsw::open(const std::string& path, Residence residence) {
  const CheckedFile checked = TRY(open_checked(path, magic));
  ByteReader in(checked.body);
  auto opened = [&]() -> Result<std::unique_ptr<Index>> {
    const Header header = TRY(read_header(in));
    TRY(check_spec(header.spec));
    std::unique_ptr<Hnsw> index(new Hnsw(header.spec));
    auto arrays = std::make_unique<Arrays>();
    arrays->shape = {header.spec.dim, header.spec.metric, header.spec.m};
    arrays->row_type = header.row_type;
    arrays->distances = distances_for(header.spec.metric, header.row_type);
    arrays->file = checked.file;
    index->entry_ = header.entry;
    TRY(index->read(in, *arrays, header.used, header.blocks));
    if (residence == Residence::loaded)
      arrays = TRY(
          arrays->grown(header.row_type, arrays->capacity, arrays->upper_capacity, header.used));
    Writer& w = *index->writer_;
    w.blocks = header.blocks;
    w.linked = header.used;
    index->used_ = header.used;
    index->arrays_ = arrays.get();
    w.arrays = std::move(arrays);
    return std::unique_ptr<Index>(std::move(index));
  }();
  if (!opened) return std::move(opened).error().within(path);
  return opened;
}

}  // namespace hearth::vectors
