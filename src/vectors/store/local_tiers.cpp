// Local collections: which segments are in memory, mapped, or in a database.
#include <algorithm>

#include "vectors/store/local_state.h"

namespace hearth::vectors {
namespace {

constexpr std::uint64_t min_hot_uses = 1000;  // of late: fewer are not worth the memory
constexpr std::uint64_t cold_bonus = 100;     // uses by which a cold one must lead to come back

}  // namespace

// Most used first; of those used alike, what is cold stays so, and newer ones come first.
std::vector<Tier> LocalCollection::wanted_tiers() const {
  std::vector<std::size_t> order(segments_.size());
  for (std::size_t i = 0; i < order.size(); ++i) order[i] = i;
  const auto weight = [&](std::size_t i) {
    const std::uint64_t uses = segments_[i]->uses();
    return segments_[i]->tier() == Tier::cold ? uses - std::min(uses, cold_bonus) : uses;
  };
  std::sort(order.begin(), order.end(), [&](std::size_t a, std::size_t b) {
    if (weight(a) != weight(b)) return weight(a) > weight(b);
    const bool a_is_cold = segments_[a]->tier() == Tier::cold;
    const bool b_is_cold = segments_[b]->tier() == Tier::cold;
    return a_is_cold != b_is_cold ? b_is_cold : a > b;
  });
  std::uint64_t hot_left = options_.hot_bytes, warm_left = options_.warm_bytes;
  std::vector<Tier> wanted(segments_.size(), Tier::cold);
  for (const std::size_t i : order) {
    const Segment& segment = *segments_[i];
    const bool is_cold = segment.tier() == Tier::cold;
    // It comes back only where it leads; there being room is not enough to write it anew.
    if (is_cold && weight(i) == 0) continue;
    const std::uint64_t least = segment.tier() == Tier::hot ? min_hot_uses / 4 : min_hot_uses;
    std::uint64_t* budget = nullptr;
    if (!is_cold && segment.uses() >= least && segment.bytes() <= hot_left)
      wanted[i] = Tier::hot, budget = &hot_left;
    else if (segment.bytes() <= warm_left)
      wanted[i] = Tier::warm, budget = &warm_left;
    if (budget) *budget -= segment.bytes();
  }
  return wanted;
}

Status LocalCollection::load_segment(std::size_t index, Tier tier) {
  const std::shared_ptr<const Segment> old = segments_[index];
  auto loaded = TRY(Segment::open(*files_, old->path(), made_with_.dim, store_id_, tier));
  loaded->set_uses(old->uses());
  const Lead lead(*this);
  const std::unique_lock lock(state_mutex_);
  segments_[index] = std::move(loaded);
  return Done{};
}

// The places of segments do not change while one is loaded, but do when one is written anew: then
// the rest waits for the next time.
Status LocalCollection::settle_tiers(std::stop_token stop) {
  const std::vector<Tier> wanted = wanted_tiers();
  for (std::size_t i = 0; i < wanted.size(); ++i) {
    if (stop.stop_requested()) return Error(ErrorKind::cancelled, "stopped");
    const Tier now = segments_[i]->tier();
    if (wanted[i] == now) continue;
    if (wanted[i] != Tier::cold && now != Tier::cold) {
      TRY(load_segment(i, wanted[i]));
      continue;
    }
    TRY(rewrite({i, i + 1}, wanted[i]));
    break;
  }
  for (const auto& segment : segments_) segment->set_uses(segment->uses() / 2);
  return Done{};
}

}  // namespace hearth::vectors
