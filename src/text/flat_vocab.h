// FlatVocab: an immutable-after-building map from byte strings to token ids, made for speed.
#pragma once

#include <cstdint>
#include <cstring>
#include <string_view>
#include <vector>

#include "text/tokenizer.h"

namespace hearth {

constexpr Token no_token = -1;

inline std::uint64_t mix64(std::uint64_t a, std::uint64_t b) {
  __extension__ using Wide = unsigned __int128;
  const Wide product = static_cast<Wide>(a) * b;
  return static_cast<std::uint64_t>(product) ^ static_cast<std::uint64_t>(product >> 64);
}

inline std::uint64_t load64(const char* p) {
  std::uint64_t v;
  std::memcpy(&v, p, sizeof v);
  return v;
}

// Up to eight bytes as one number, the rest zero.
inline std::uint64_t load_short(const char* p, std::size_t size) {
  if (size >= 8) return load64(p);
  if (size >= 4) {
    std::uint32_t low, high;
    std::memcpy(&low, p, 4);
    std::memcpy(&high, p + size - 4, 4);
    return low | static_cast<std::uint64_t>(high) << (8 * (size - 4));
  }
  std::uint64_t v = 0;
  for (std::size_t i = 0; i < size; ++i)
    v |= static_cast<std::uint64_t>(static_cast<unsigned char>(p[i])) << (8 * i);
  return v;
}

// Source of the shape: wyhash (Wang Yi, public domain); two odd constants of dense bits.
inline std::uint64_t hash_short(std::uint64_t word, std::size_t size) {
  return mix64(word ^ 0xA0761D6478BD642F, 0xE7037ED1A0B428DB ^ size);
}
inline std::uint64_t hash_bytes(const char* p, std::size_t size) {
  if (size <= 8) return hash_short(load_short(p, size), size);
  std::uint64_t h = size;
  const char* const last = p + size - 8;
  for (; p < last; p += 8) h = hash_short(load64(p), h);
  return hash_short(load64(last), h);
}
inline std::uint8_t tag_of(std::uint64_t hash) { return static_cast<std::uint8_t>(hash >> 56 | 1); }
inline std::uint64_t hash_bytes(std::string_view text) {
  return hash_bytes(text.data(), text.size());
}

class FlatVocab {
 public:
  void reserve(std::size_t keys);
  // False, and nothing changes, when the key is there already or all keys together pass 4 GiB.
  bool insert(std::string_view key, Token id);

  Token find(std::string_view key) const { return find(key, hash_bytes(key)); }
  Token find(std::string_view key, std::uint64_t hash) const;  // no_token: absent
  bool contains(std::string_view key) const { return find(key) != no_token; }
  std::size_t size() const { return size_; }
  std::size_t ids() const { return ids_; }  // one past the largest id
  std::size_t longest_key_bytes() const { return longest_; }

 private:
  // Keys of at most eight bytes are kept in the slot itself; of longer ones, their hash.
  struct Slot {
    std::uint64_t key;
    std::uint32_t size;
    Token id;
  };
  void grow(std::size_t slots);
  std::size_t place(std::uint64_t key, std::uint32_t size, std::string_view text,
                    std::uint64_t hash) const;
  void occupy(std::size_t slot, Slot content, std::uint64_t hash);
  bool same(std::size_t slot, std::string_view text) const;

  // One byte of hash per slot, 0 where it is free: most keys that are absent are known by it, and
  // it fits a cache that the slots do not.
  std::vector<std::uint8_t> tags_;
  std::vector<Slot> slots_;
  std::vector<std::uint32_t> starts_;  // of long keys in bytes_, by slot
  std::vector<char> bytes_;
  std::size_t size_ = 0, ids_ = 0, longest_ = 0, mask_ = 0;
};

}  // namespace hearth
