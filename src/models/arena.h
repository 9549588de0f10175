// Arena: memory for the activations of one step, kept from step to step.
#pragma once

#include <cstddef>
#include <memory>
#include <new>
#include <span>
#include <type_traits>
#include <vector>

#include "base/guarded.h"
#include "tensor/view.h"

namespace hearth::models {

// Hands out memory in order and takes all of it back at once.  What was handed out stays where it
// is until then.  Used by one thread at a time.
class Arena {
 public:
  // Everything taken after mark() is returned by release() of it.
  struct Mark {
    std::size_t block = 0, used = 0;
  };
  Mark mark() const { return {block_, used_}; }
  void release(Mark mark) {
    block_ = mark.block;
    used_ = mark.used;
  }

  // Contents undefined.
  template <typename T>
  std::span<T> take(std::size_t count) {
    static_assert(std::is_trivially_copyable_v<T> && alignof(T) <= alignment);
    return {reinterpret_cast<T*>(bytes(count * sizeof(T))), count};
  }
  View view(std::size_t rows, std::size_t dim) {
    return {take<float>(rows * dim).data(), rows, dim};
  }

 private:
  static constexpr std::size_t alignment = 64, block_bytes = 1 << 20;
  struct Free {
    void operator()(std::byte* memory) const {
      ::operator delete(memory, std::align_val_t(alignment));
    }
  };
  struct Block {
    std::unique_ptr<std::byte, Free> memory;
    std::size_t size;
  };

  std::byte* bytes(std::size_t count) {
    const std::size_t size = (count + alignment - 1) / alignment * alignment;
    while (block_ < blocks_.size() && blocks_[block_].size - used_ < size) {
      ++block_;
      used_ = 0;
    }
    if (block_ == blocks_.size()) {
      const std::size_t room = size > block_bytes ? size : block_bytes;
      blocks_.push_back({std::unique_ptr<std::byte, Free>(static_cast<std::byte*>(
                             ::operator new(room, std::align_val_t(alignment)))),
                         room});
      used_ = 0;
    }
    std::byte* at = blocks_[block_].memory.get() + used_;
    used_ += size;
    return at;
  }

  std::vector<Block> blocks_;
  std::size_t block_ = 0, used_ = 0;
};

// Arenas that no step uses now.  Thread-safe.
class ArenaPool {
 public:
  // One arena, empty, given back at the brace.
  class Lease {
   public:
    explicit Lease(ArenaPool& pool) : pool_(pool) {
      arena_ = pool.idle_.with([](auto& idle) {
        if (idle.empty()) return std::make_unique<Arena>();
        auto last = std::move(idle.back());
        idle.pop_back();
        return last;
      });
      arena_->release({});
    }
    ~Lease() {
      pool_.idle_.with([&](auto& idle) { idle.push_back(std::move(arena_)); });
    }
    Lease(const Lease&) = delete;
    Lease& operator=(const Lease&) = delete;
    Arena& arena() const { return *arena_; }

   private:
    ArenaPool& pool_;
    std::unique_ptr<Arena> arena_;
  };

 private:
  Guarded<std::vector<std::unique_ptr<Arena>>> idle_;
};

}  // namespace hearth::models
