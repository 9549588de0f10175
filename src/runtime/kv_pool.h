// KvPool: the memory of all sequences' keys and values, in pages of one size.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <vector>

namespace hearth {

using PageIndex = std::uint32_t;

// Takes memory in slabs as pages are made and keeps it.  Pages are 64-byte aligned and begin as
// zeros.  Used by one thread.
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
  struct Free {
    void operator()(std::byte* slab) const;
  };

  std::size_t page_bytes_;
  std::uint32_t max_pages_, pages_per_slab_, made_ = 0;
  std::vector<std::unique_ptr<std::byte, Free>> slabs_;
};

}  // namespace hearth
