#include "ops/scratch.h"

#include <array>
#include <utility>

#include "base/pages.h"

namespace hearth::ops {

std::byte* scratch(Scratch which, std::size_t bytes) {
  thread_local std::array<PageBuffer, scratch_uses> buffers;
  PageBuffer& buffer = buffers[std::to_underlying(which)];
  if (buffer.size() < bytes) {
    buffer = PageBuffer();
    auto larger = PageBuffer::allocate(bytes + bytes / 4);
    HEARTH_CHECK(larger.ok());
    buffer = std::move(larger).value();
  }
  return buffer.data();
}

}  // namespace hearth::ops
