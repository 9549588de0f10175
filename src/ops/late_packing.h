// LatePacking: matrices that are multiplied as they are stored before they are repacked.
//
// Repacked weights are as large as the file, and it takes long until the system has cleared so much
// memory.  The first step of a model packs what it multiplies into its caches instead, and throws
// it away; the panels that stay are made before the second one, or while nobody asks for anything.
#pragma once

#include <atomic>
#include <condition_variable>
#include <cstddef>
#include <mutex>
#include <span>
#include <thread>
#include <vector>

#include "ops/matrix.h"

namespace hearth::ops {

// Thread-safe once start() was called.  Goes before the matrices that were prepared with it.
class LatePacking {
 public:
  // Some panels of one matrix.
  struct Piece {
    Matrix::Packed* packed;
    std::size_t begin, end;
  };
  // Pieces that one thread packs, since their memory begins in the same large page.
  using Pieces = std::vector<Piece>;

  ~LatePacking();

  void add(std::vector<Pieces> pieces);  // before start()
  // No more comes.  After some idle time a thread begins to pack.
  void start();

  // Says that a step is about to multiply with the matrices.  Before the second one all are packed.
  void before_step(Context& ctx);

 private:
  bool pack_one();

  std::vector<Pieces> pieces_;
  std::atomic<std::size_t> next_{0}, done_{0};
  std::atomic<bool> has_stepped_{false};
  std::mutex mutex_;  // of waiting
  std::condition_variable_any leaves_;
  std::jthread idle_;  // last: it goes first
};

}  // namespace hearth::ops
