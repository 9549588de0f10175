#include "ops/late_packing.h"

#include <algorithm>
#include <chrono>
#include <iterator>
#include <utility>

#include "ops/packed.h"

namespace hearth::ops {
namespace {

constexpr auto idle_time = std::chrono::seconds(1);

}  // namespace

LatePacking::~LatePacking() {
  idle_.request_stop();
  leaves_.notify_all();
}

void LatePacking::add(std::vector<Pieces> pieces) {
  std::ranges::move(pieces, std::back_inserter(pieces_));
}

void LatePacking::start() {
  if (pieces_.empty()) return;
  idle_ = std::jthread([this](const std::stop_token& leaving) {
    {
      std::unique_lock lock(mutex_);
      leaves_.wait_for(lock, leaving, idle_time, [] { return false; });
    }
    while (!leaving.stop_requested() && pack_one()) {
    }
  });
}

bool LatePacking::pack_one() {
  const std::size_t index = next_.fetch_add(1, std::memory_order_relaxed);
  if (index >= pieces_.size()) return false;
  for (const Piece& piece : pieces_[index]) {
    pack_panels(*piece.packed, piece.begin, piece.end);
    piece.packed->unpacked_pieces.fetch_sub(1, std::memory_order_release);
  }
  if (done_.fetch_add(1, std::memory_order_acq_rel) + 1 == pieces_.size()) done_.notify_all();
  return true;
}

void LatePacking::before_step(Context& ctx) {
  std::size_t done = done_.load(std::memory_order_acquire);
  if (done == pieces_.size() || !has_stepped_.exchange(true)) return;
  const std::size_t begun = std::min(next_.load(std::memory_order_relaxed), pieces_.size());
  ctx.pool->parallel_for(pieces_.size() - begun, 1,
                         [&](std::size_t, std::size_t, int) { pack_one(); });
  for (; (done = done_.load(std::memory_order_acquire)) != pieces_.size();)
    done_.wait(done, std::memory_order_acquire);
}

}  // namespace hearth::ops
