#include "vectors/flat/flat_rows.h"

#include <algorithm>
#include <cstring>

namespace hearth::vectors {

constexpr std::size_t first_capacity = 64;

std::vector<ChunkView> FlatSnapshot::views() const {
  std::vector<ChunkView> list;
  list.reserve(chunks.size());
  for (std::size_t c = 0; c < chunks.size(); ++c) list.push_back(view(c));
  return list;
}

std::size_t FlatSnapshot::memory_bytes() const {
  std::size_t bytes = places->memory_bytes();
  for (std::size_t c = 0; c < chunks.size(); ++c) {
    bytes += chunks[c]->data.size() + chunks[c]->capacity * sizeof(Row);
    if (dead[c] != nullptr) bytes += dead[c]->size() * 8;
  }
  return bytes;
}

// The next snapshot while it is made: a copy of the current one whose bits are copied before they
// are changed.
class FlatRows::Draft {
 public:
  explicit Draft(const FlatSnapshot& current) : next(current), own_(current.chunks.size()) {}

  void kill(Slot place) {
    const std::size_t chunk = place / chunk_rows, i = place % chunk_rows;
    DeadBits& bits = own_bits(chunk);
    bits[i / 64] |= std::uint64_t{1} << (i % 64);
    --next.live;
  }

  // Where the next row goes.  Nothing is seen before the snapshot is published.
  Result<std::byte*> append(Row row) {
    const std::size_t chunk = next.count / chunk_rows, i = next.count % chunk_rows;
    if (chunk == next.chunks.size() || i == next.chunks[chunk]->capacity) TRY(grow(chunk, i));
    // Only this writer knows of the places beyond `count`.
    Chunk& last = const_cast<Chunk&>(*next.chunks[chunk]);
    last.rows[i] = row;
    ++next.count;
    ++next.live;
    return last.data.data() + i * next.stride;
  }

  FlatSnapshot next;

 private:
  DeadBits& own_bits(std::size_t chunk) {
    own_.resize(next.chunks.size());
    if (own_[chunk] == nullptr) {
      own_[chunk] = next.dead[chunk] != nullptr ? std::make_shared<DeadBits>(*next.dead[chunk])
                                                : std::make_shared<DeadBits>(chunk_rows / 64);
      next.dead[chunk] = own_[chunk];
    }
    return *own_[chunk];
  }

  // A chunk of twice the capacity, with the first `used` places copied.
  Status grow(std::size_t chunk, std::size_t used) {
    auto grown = std::make_shared<Chunk>();
    grown->capacity = chunk > 0 ? chunk_rows : std::clamp(2 * used, first_capacity, chunk_rows);
    grown->data = TRY(PageBuffer::allocate(grown->capacity * next.stride));
    grown->rows.resize(grown->capacity);
    if (chunk < next.chunks.size()) {
      const Chunk& old = *next.chunks[chunk];
      std::memcpy(grown->data.data(), old.data.data(), used * next.stride);
      std::copy_n(old.rows.begin(), used, grown->rows.begin());
      next.chunks[chunk] = std::move(grown);
    } else {
      next.chunks.push_back(std::move(grown));
      next.dead.emplace_back();
    }
    return Done{};
  }

  std::vector<std::shared_ptr<DeadBits>> own_;
};

FlatRows::FlatRows(std::size_t stride) : places_(std::make_shared<RowPlaces>()) {
  FlatSnapshot empty;
  empty.places = places_;
  empty.stride = stride;
  publish(std::move(empty));
}

void FlatRows::publish(FlatSnapshot snapshot) {
  auto next = std::make_shared<const FlatSnapshot>(std::move(snapshot));
  current_.with([&](auto& current) { current.swap(next); });  // the old one ends outside the lock
}

Status FlatRows::add(std::span<const Row> rows,
                     const std::function<void(std::size_t, std::byte*)>& write) {
  Draft draft(*snapshot());
  std::vector<std::pair<Row, Slot>> before;  // to undo if memory runs out
  before.reserve(rows.size());
  for (std::size_t i = 0; i < rows.size(); ++i) {
    const Slot old = places_->find(rows[i]);
    const auto place = draft.append(rows[i]);
    if (!place.ok()) {
      for (std::size_t j = before.size(); j-- > 0;) places_->set(before[j].first, before[j].second);
      return place.error();
    }
    write(i, *place);
    if (old != no_place) draft.kill(old);
    before.emplace_back(rows[i], old);
    places_->set(rows[i], static_cast<Slot>(draft.next.count - 1));
  }
  publish(std::move(draft.next));
  return Done{};
}

void FlatRows::remove(std::span<const Row> rows) {
  Draft draft(*snapshot());
  for (const Row row : rows) {
    const Slot place = places_->find(row);
    if (place == no_place) continue;
    draft.kill(place);
    places_->set(row, no_place);
  }
  publish(std::move(draft.next));
}

Status FlatRows::compact() {
  const auto old = snapshot();
  FlatSnapshot empty;
  auto places = std::make_shared<RowPlaces>();
  empty.places = places;
  empty.stride = old->stride;
  Draft draft(empty);
  for (const ChunkView& chunk : old->views())
    for (std::size_t i = 0; i < chunk.count; ++i) {
      if (chunk.is_dead(i)) continue;
      std::byte* place = TRY(draft.append(chunk.rows[i]));
      std::memcpy(place, chunk.data + i * chunk.stride, chunk.stride);
      places->set(chunk.rows[i], static_cast<Slot>(draft.next.count - 1));
    }
  places_ = places;
  publish(std::move(draft.next));
  return Done{};
}

bool FlatRows::with_row(Row row, const std::function<void(const std::byte*)>& use) const {
  for (;;) {
    const auto now = snapshot();
    const Slot place = now->places->find(row);
    if (place == no_place) return false;
    if (place >= now->count) continue;  // added since: the next snapshot has it
    const Chunk& chunk = *now->chunks[place / chunk_rows];
    use(chunk.data.data() + place % chunk_rows * now->stride);
    return true;
  }
}

}  // namespace hearth::vectors
