// KvPool: the memory of all sequences' keys and values, in pages of one size.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <vector>

#include "base/pages.h"

namespace hearth {

using PageIndex = std::uint32_t;

// Takes memory in slabs as pages are made and keeps it; the system gives it when it is first
// touched, in large pages where it can.  Pages are 64-byte aligned and begin as zeros.  Used by one
// thread.
class KvPool {
 public:
  KvPool(std::size_t page_bytes, std::uint32_t max_pages);

  // A page that did not exist before.  Nothing: all exist, or the system has no memory for more.
  std::optional<PageIndex> make();
  std::byte* data(PageIndex page) const;
  void copy(PageIndex to, PageIndex from) const;

  std::uint32_t made() const { return made_; }
  std::uint32_t max_pages() const { return max_pages_; }

 private:
  std::size_t page_bytes_;
  std::uint32_t max_pages_, pages_per_slab_, made_ = 0;
  std::vector<PageBuffer> slabs_;
};

}  // namespace hearth
