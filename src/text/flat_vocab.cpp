#include "text/flat_vocab.h"

#include <algorithm>
#include <bit>
#include <limits>

namespace hearth {

bool FlatVocab::same(std::size_t slot, std::string_view text) const {
  return std::memcmp(bytes_.data() + starts_[slot], text.data(), text.size()) == 0;
}

// The slot of the key, or the free slot where it would go.
std::size_t FlatVocab::place(std::uint64_t key, std::uint32_t size, std::string_view text,
                             std::uint64_t hash) const {
  const std::uint8_t* const tags = tags_.data();
  const std::uint8_t tag = tag_of(hash);
  for (std::size_t i = hash & mask_;; i = (i + 1) & mask_) {
    if (tags[i] == 0) return i;
    if (tags[i] != tag) continue;
    const Slot& slot = slots_.data()[i];
    if (slot.key == key && slot.size == size && (size <= 8 || same(i, text))) return i;
  }
}

void FlatVocab::occupy(std::size_t slot, Slot content, std::uint64_t hash) {
  slots_[slot] = content;
  tags_[slot] = tag_of(hash);
}

Token FlatVocab::find(std::string_view key, std::uint64_t hash) const {
  if (slots_.empty() || key.size() > longest_) return no_token;
  const std::uint64_t word = key.size() <= 8 ? load_short(key.data(), key.size()) : hash;
  const std::size_t slot = place(word, static_cast<std::uint32_t>(key.size()), key, hash);
  return tags_.data()[slot] == 0 ? no_token : slots_.data()[slot].id;
}

bool FlatVocab::insert(std::string_view key, Token id) {
  if ((size_ + 1) * 2 > slots_.size()) grow(std::max<std::size_t>(16, slots_.size() * 2));
  if (key.size() > std::numeric_limits<std::uint32_t>::max() - bytes_.size()) return false;
  const std::uint64_t hash = hash_bytes(key);
  const std::uint64_t word = key.size() <= 8 ? load_short(key.data(), key.size()) : hash;
  const auto size = static_cast<std::uint32_t>(key.size());
  const std::size_t slot = place(word, size, key, hash);
  if (tags_[slot] != 0) return false;
  occupy(slot, {word, size, id}, hash);
  if (size > 8) {
    starts_[slot] = static_cast<std::uint32_t>(bytes_.size());
    bytes_.insert(bytes_.end(), key.begin(), key.end());
  }
  ++size_;
  ids_ = std::max(ids_, static_cast<std::size_t>(id) + 1);
  longest_ = std::max(longest_, key.size());
  return true;
}

void FlatVocab::reserve(std::size_t keys) {
  const std::size_t slots = std::bit_ceil(std::max<std::size_t>(16, keys * 2));
  if (slots > slots_.size()) grow(slots);
}

void FlatVocab::grow(std::size_t slots) {
  const std::vector<Slot> old = std::move(slots_);
  const std::vector<std::uint32_t> old_starts = std::move(starts_);
  const std::vector<std::uint8_t> old_tags = std::move(tags_);
  slots_.assign(slots, Slot{0, 0, no_token});
  tags_.assign(slots, 0);
  starts_.assign(slots, 0);
  mask_ = slots - 1;
  for (std::size_t i = 0; i < old.size(); ++i) {
    const Slot& slot = old[i];
    if (old_tags[i] == 0) continue;
    const std::uint64_t hash = slot.size > 8 ? slot.key : hash_short(slot.key, slot.size);
    std::size_t at = hash & mask_;
    while (tags_[at] != 0) at = (at + 1) & mask_;
    occupy(at, slot, hash);
    starts_[at] = old_starts[i];
  }
}

}  // namespace hearth
