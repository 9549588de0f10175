// Large memory, straight from the operating system, in pages of 2 MiB where it gives them.
#pragma once

#include <cstddef>
#include <span>

#include "base/result.h"

namespace hearth {

// Zeroed memory, aligned to at least 64 bytes (to 2 MiB when larger than that).  Movable.
class PageBuffer {
 public:
  PageBuffer() = default;
  static Result<PageBuffer> allocate(std::size_t bytes);
  ~PageBuffer() { release(); }
  PageBuffer(PageBuffer&& other) noexcept : data_(other.data_), size_(other.size_) {
    other.data_ = nullptr;
    other.size_ = 0;
  }
  PageBuffer& operator=(PageBuffer&& other) noexcept;

  std::byte* data() const { return data_; }
  std::size_t size() const { return size_; }

 private:
  void release();

  std::byte* data_ = nullptr;
  std::size_t size_ = 0;
};

// Has `bytes`, which lie in a mapping of a file, read from the disk meanwhile.
void ask_for_file_pages(std::span<const std::byte> bytes);

// Gives back the memory behind the whole pages inside `bytes`, which lie in a read-only mapping of
// a file: they are read from the file again when touched.
void drop_file_pages(std::span<const std::byte> bytes);

}  // namespace hearth
