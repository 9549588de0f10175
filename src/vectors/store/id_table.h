// IdTable: from a document's id to its row, eight bytes an entry: the ids themselves stay where the
// documents are.
#pragma once

#include <cstdint>
#include <functional>
#include <string_view>
#include <vector>

#include "base/check.h"
#include "vectors/index.h"
#include "vectors/store/log.h"

namespace hearth::vectors {

// Used by one writer at a time, with no reader beside it.
class IdTable {
 public:
  // id_of: the id of a row in the table.
  using IdOf = std::function<std::string_view(Row)>;

  Row find(std::string_view id, const IdOf& id_of) const {
    if (slots_.empty()) return no_row;
    const std::uint32_t hash = hash_of(id);
    for (std::size_t i = hash & (slots_.size() - 1);; i = (i + 1) & (slots_.size() - 1)) {
      const Slot& slot = slots_[i];
      if (slot.row == no_row) return no_row;
      if (slot.row != erased && slot.hash == hash && id_of(slot.row) == id) return slot.row;
    }
  }
  // `before`: the row that the id has now, or no_row.
  void set(std::string_view id, Row before, Row row) {
    if (before != no_row) {
      slot_of(id, before).row = row;
      return;
    }
    if ((used_ + 1) * 2 > slots_.size()) grow();
    insert({hash_of(id), row});
    ++used_;
  }
  void erase(std::string_view id, Row row) { slot_of(id, row).row = erased; }
  std::size_t memory_bytes() const { return slots_.capacity() * sizeof(Slot); }

 private:
  struct Slot {
    std::uint32_t hash = 0;
    Row row = no_row;
  };
  static constexpr Row erased = no_row - 1;

  static std::uint32_t hash_of(std::string_view id) {
    const std::size_t hash = std::hash<std::string_view>()(id);
    return static_cast<std::uint32_t>(hash ^ hash >> 32);
  }
  Slot& slot_of(std::string_view id, Row row) {
    for (std::size_t i = hash_of(id) & (slots_.size() - 1);; i = (i + 1) & (slots_.size() - 1)) {
      HEARTH_CHECK(slots_[i].row != no_row);  // the row is in the table
      if (slots_[i].row == row) return slots_[i];
    }
  }
  void insert(Slot slot) {
    std::size_t i = slot.hash & (slots_.size() - 1);
    while (slots_[i].row != no_row) i = (i + 1) & (slots_.size() - 1);
    slots_[i] = slot;
  }
  void grow() {
    std::vector<Slot> old = std::move(slots_);
    std::size_t kept = 0;
    for (const Slot& slot : old) kept += slot.row != no_row && slot.row != erased;
    std::size_t size = 64;
    while (size < (kept + 1) * 4) size *= 2;
    slots_.assign(size, Slot{});
    for (const Slot& slot : old)
      if (slot.row != no_row && slot.row != erased) insert(slot);
    used_ = kept;
  }

  std::vector<Slot> slots_;
  std::size_t used_ = 0;  // erased ones too
};

}  // namespace hearth::vectors
