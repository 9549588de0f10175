// Context: what every operation runs with.
#pragma once

#include "base/thread_pool.h"
#include "ops/tier.h"
#include "tensor/view.h"

namespace hearth::kernels {
struct Kernels;  // kernels.h
}

namespace hearth::ops {

class Matrix;

// Sees what every matrix is multiplied with: measures a model, and slows it down.
class MatmulWatcher {
 public:
  virtual ~MatmulWatcher() = default;
  // Once per product, before it; from the thread that asked for it.
  virtual void saw(const Matrix& w, View x) = 0;
};

// Used by one thread at a time (the pool's loop is its own).
struct Context {
  const kernels::Kernels* kernels = nullptr;  // the table chosen for this machine or forced
  ThreadPool* pool = nullptr;
  Tier tier = Tier::accurate;
  // Every row of every result is computed by the same sequence of operations whatever else is in
  // the batch, whatever is cached and however many threads there are: one path per operation, no
  // choice by row count, no split of a sum over threads.
  bool deterministic = false;
  MatmulWatcher* watcher = nullptr;
};

}  // namespace hearth::ops
