#include <fmt/core.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cerrno>
#include <cstdint>
#include <cstring>
#include <utility>

#include "base/pages.h"

namespace hearth {
namespace {

constexpr std::size_t huge_page = 2u << 20;

std::size_t up_to(std::size_t value, std::size_t multiple) {
  return (value + multiple - 1) / multiple * multiple;
}

}  // namespace

Result<PageBuffer> PageBuffer::allocate(std::size_t bytes) {
  PageBuffer buffer;
  if (bytes == 0) return buffer;
  const Error none(ErrorKind::exhausted, fmt::format("no memory for {} bytes", bytes));
  if (bytes > SIZE_MAX / 2) return none;
  const std::size_t page = static_cast<std::size_t>(::sysconf(_SC_PAGESIZE));
  const bool huge = bytes >= huge_page;
  const std::size_t size = up_to(bytes, page), spare = huge ? huge_page : 0;
  void* mapped =
      ::mmap(nullptr, size + spare, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (mapped == MAP_FAILED) return none;
  const auto start = reinterpret_cast<std::uintptr_t>(mapped);
  const std::uintptr_t aligned = huge ? up_to(start, huge_page) : start;
  if (aligned != start) ::munmap(mapped, aligned - start);
  if (const std::size_t after = start + spare - aligned; after != 0)
    ::munmap(reinterpret_cast<void*>(aligned + size), after);
  buffer.data_ = reinterpret_cast<std::byte*>(aligned);
  buffer.size_ = size;
#ifdef MADV_HUGEPAGE
  if (huge) ::madvise(buffer.data_, size, MADV_HUGEPAGE);
#endif
  return buffer;
}

PageBuffer& PageBuffer::operator=(PageBuffer&& other) noexcept {
  if (this == &other) return *this;
  release();
  data_ = std::exchange(other.data_, nullptr);
  size_ = std::exchange(other.size_, 0);
  return *this;
}

void PageBuffer::release() {
  if (data_ != nullptr) ::munmap(data_, size_);
  data_ = nullptr;
  size_ = 0;
}

void ask_for_file_pages(std::span<const std::byte> bytes) {
  const std::size_t page = static_cast<std::size_t>(::sysconf(_SC_PAGESIZE));
  const auto start = reinterpret_cast<std::uintptr_t>(bytes.data());
  const std::uintptr_t first = start / page * page;
  ::madvise(reinterpret_cast<void*>(first), start + bytes.size() - first, MADV_WILLNEED);
}

void drop_file_pages(std::span<const std::byte> bytes) {
  const std::size_t page = static_cast<std::size_t>(::sysconf(_SC_PAGESIZE));
  const auto start = reinterpret_cast<std::uintptr_t>(bytes.data());
  const std::uintptr_t first = up_to(start, page);
  const std::uintptr_t last = (start + bytes.size()) / page * page;
  if (first < last) ::madvise(reinterpret_cast<void*>(first), last - first, MADV_DONTNEED);
}

}  // namespace hearth
