#include "runtime/kv_pool.h"

#include <algorithm>
#include <cstring>

#include "base/check.h"

namespace hearth {
namespace {

constexpr std::size_t alignment = 64;
constexpr std::size_t slab_bytes = 8u << 20;  // small enough that an idle model stays small

}  // namespace

KvPool::KvPool(std::size_t page_bytes, std::uint32_t max_pages)
    : page_bytes_((std::max<std::size_t>(page_bytes, 1) + alignment - 1) / alignment * alignment),
      max_pages_(max_pages),
      pages_per_slab_(
          static_cast<std::uint32_t>(std::clamp<std::size_t>(slab_bytes / page_bytes_, 1, 4096))) {}

std::optional<PageIndex> KvPool::make() {
  if (made_ == max_pages_) return std::nullopt;
  if (made_ % pages_per_slab_ == 0) {
    const std::uint32_t pages = std::min(pages_per_slab_, max_pages_ - made_);
    auto slab = PageBuffer::allocate(pages * page_bytes_);
    if (!slab) return std::nullopt;
    slabs_.push_back(*std::move(slab));
  }
  return made_++;
}

std::byte* KvPool::data(PageIndex page) const {
  HEARTH_CHECK(page < made_);
  return slabs_[page / pages_per_slab_].data() + page % pages_per_slab_ * page_bytes_;
}

void KvPool::copy(PageIndex to, PageIndex from) const {
  std::memcpy(data(to), data(from), page_bytes_);
}

}  // namespace hearth
