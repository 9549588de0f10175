// Where each row is: a table in pages, read without locks while one writer changes it.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <vector>

#include "vectors/index.h"

namespace hearth::vectors {

using Slot = std::uint32_t;  // a place in the arrays of a graph
constexpr Slot no_slot = ~0u, most_slots = (1u << 31) - 1;

// Thread-safe for readers beside one writer.
class RowMap {
 public:
  Slot find(Row row) const {
    const Directory* directory = directory_.load(std::memory_order_acquire);
    const std::size_t index = row / page_rows;
    if (directory == nullptr || index >= directory->pages) return no_slot;
    const Page* page = directory->at[index].load(std::memory_order_acquire);
    return page == nullptr ? no_slot : page->slots[row % page_rows].load(std::memory_order_acquire);
  }
  void set(Row row, Slot slot);  // the writer's
  std::size_t memory_bytes() const;

 private:
  static constexpr std::size_t page_rows = 4096;
  struct Page {
    Page();
    std::atomic<Slot> slots[page_rows];
  };
  struct Directory {
    std::size_t pages;
    std::unique_ptr<std::atomic<Page*>[]> at;
  };

  const Directory& grown_to(std::size_t pages);

  std::atomic<const Directory*> directory_ = nullptr;
  std::vector<std::unique_ptr<Directory>> directories_;  // outgrown ones may still be read
  std::vector<std::unique_ptr<Page>> pages_;
};

}  // namespace hearth::vectors
