#include "vectors/graph/row_map.h"

#include <algorithm>

namespace hearth::vectors {

RowMap::Page::Page() {
  for (auto& slot : slots) slot.store(no_slot, std::memory_order_relaxed);
}

void RowMap::set(Row row, Slot slot) {
  const Directory& directory = grown_to(row / page_rows + 1);
  std::atomic<Page*>& place = directory.at[row / page_rows];
  Page* page = place.load(std::memory_order_relaxed);
  if (page == nullptr) {
    if (slot == no_slot) return;
    page = pages_.emplace_back(std::make_unique<Page>()).get();
    place.store(page, std::memory_order_release);
  }
  page->slots[row % page_rows].store(slot, std::memory_order_release);
}

const RowMap::Directory& RowMap::grown_to(std::size_t pages) {
  const Directory* old = directory_.load(std::memory_order_relaxed);
  if (old != nullptr && old->pages >= pages) return *old;
  auto grown = std::make_unique<Directory>();
  grown->pages = std::max<std::size_t>({pages, old == nullptr ? 0 : old->pages * 2, 16});
  grown->at = std::make_unique<std::atomic<Page*>[]>(grown->pages);
  for (std::size_t i = 0; old != nullptr && i < old->pages; ++i)
    grown->at[i].store(old->at[i].load(std::memory_order_relaxed), std::memory_order_relaxed);
  directory_.store(grown.get(), std::memory_order_release);
  return *directories_.emplace_back(std::move(grown));
}

std::size_t RowMap::memory_bytes() const {
  std::size_t bytes = pages_.size() * sizeof(Page);
  for (const auto& directory : directories_) bytes += directory->pages * sizeof(void*);
  return bytes;
}

}  // namespace hearth::vectors
