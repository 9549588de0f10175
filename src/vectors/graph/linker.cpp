#include "vectors/graph/linker.h"

#include <algorithm>

namespace hearth::vectors {
namespace {

constexpr std::size_t most_degree = 256;

bool nearer(const Found& a, const Found& b) {
  return a.distance != b.distance ? a.distance < b.distance : a.slot < b.slot;
}

}  // namespace

template <typename F>
void Linker::each(std::size_t n, std::size_t chunk, F&& body) {
  if (options_.team == nullptr || n <= chunk) {
    for (std::size_t i = 0; i < n; ++i) body(i, *scratch_[0]);
    return;
  }
  options_.team->parallel_for(n, chunk, [&](std::size_t begin, std::size_t end, int worker) {
    for (std::size_t i = begin; i < end; ++i) body(i, *scratch_[static_cast<std::size_t>(worker)]);
  });
}

const std::uint8_t* Linker::query_of(Slot slot, std::vector<std::uint8_t>& space) const {
  if (arrays_.shape.metric != Metric::inner_product) return arrays_.code(slot);
  std::vector<float> row(arrays_.shape.dim);
  arrays_.copy_row(row.data(), slot);
  space.resize(arrays_.codec.stride);
  arrays_.codec.encode_query(space.data(), row.data());
  return space.data();
}

// A candidate is taken unless one taken before is nearer to it than it is to the origin of the
// distances.  Source: Malkov and Yashunin 2018, algorithm 4, without filling up.
std::size_t Linker::choose(std::span<const Found> candidates, std::size_t most,
                           Slot* chosen) const {
  constexpr std::size_t step = 8;  // distances computed before looking at them
  std::int32_t distances[step];
  std::vector<std::uint8_t> space;
  std::size_t n = 0;
  for (const Found& candidate : candidates) {
    if (n == most) break;
    const std::uint8_t* query = query_of(candidate.slot, space);
    bool taken = true;
    for (std::size_t first = 0; first < n && taken; first += step) {
      const std::size_t count = std::min(step, n - first);
      arrays_.code_distances(distances, query, chosen + first, count);
      for (std::size_t i = 0; i < count; ++i) taken &= distances[i] >= candidate.distance;
    }
    if (taken) chosen[n++] = candidate.slot;
  }
  return n;
}

void Linker::link_one(Slot slot, Entry entry, const std::vector<bool>& dead, Scratch& scratch) {
  std::vector<std::uint8_t> space;
  const std::uint8_t* query = query_of(slot, space);
  const int level_of_slot = arrays_.level_of(slot);
  Found at{code_distance(arrays_, query, entry.slot), entry.slot};
  for (int level = entry.level; level > level_of_slot; --level)
    at = walk_down(arrays_, scratch, query, at, level);
  std::vector<Slot> from{at.slot};
  std::vector<Found> candidates;
  Slot chosen[most_degree];
  for (int level = std::min(level_of_slot, entry.level); level >= 0; --level) {
    search_level(arrays_, scratch, query, from, level, options_.breadth);
    candidates.clear();
    from.clear();
    for (std::size_t i = 0; i < scratch.pool.size(); ++i) {
      const Found found = scratch.pool[i];
      from.push_back(found.slot);
      if (found.slot != slot && !dead[found.slot]) candidates.push_back(found);
    }
    const std::size_t n = choose(candidates, arrays_.shape.m, chosen);
    arrays_.at(slot, level).assign({chosen, n});
    if (from.size() > 8) from.resize(8);
  }
}

void Linker::insert(std::span<const Slot> slots, Entry entry, const std::vector<bool>& dead) {
  if (entry.slot == no_slot) return;
  each(slots.size(), 8,
       [&](std::size_t i, Scratch& scratch) { link_one(slots[i], entry, dead, scratch); });
  for (int level = entry.level; level >= 0; --level) link_back(slots, level);
}

// The new slots enter the lists of those they chose: from here on readers may meet them.
void Linker::link_back(std::span<const Slot> slots, int level) {
  std::vector<std::uint64_t> pairs;  // target, source
  for (const Slot slot : slots) {
    if (arrays_.level_of(slot) < level) continue;
    const Links links = arrays_.at(slot, level);
    for (std::size_t i = 0; i < links.degree() && links[i] != no_slot; ++i)
      pairs.push_back(std::uint64_t{links[i]} << 32 | slot);
  }
  std::sort(pairs.begin(), pairs.end());
  std::vector<std::size_t> starts;
  std::vector<Slot> sources(pairs.size());
  for (std::size_t i = 0; i < pairs.size(); ++i) {
    sources[i] = static_cast<Slot>(pairs[i]);
    if (i == 0 || pairs[i] >> 32 != pairs[i - 1] >> 32) starts.push_back(i);
  }
  const std::size_t targets = starts.size();
  starts.push_back(pairs.size());
  each(targets, 32, [&](std::size_t i, Scratch&) {
    merge(static_cast<Slot>(pairs[starts[i]] >> 32), level,
          std::span(sources).subspan(starts[i], starts[i + 1] - starts[i]));
  });
}

void Linker::merge(Slot target, int level, std::span<const Slot> more) {
  Links links = arrays_.at(target, level);
  std::vector<Slot> ids(links.degree());
  const std::size_t had = links.copy(ids.data());
  ids.resize(had);
  for (const Slot slot : more)
    if (slot != target && std::find(ids.begin(), ids.end(), slot) == ids.end()) ids.push_back(slot);
  if (ids.size() > links.degree()) return shorten(target, level, ids);
  for (std::size_t i = had; i < ids.size(); ++i) links.set(i, ids[i]);
}

// Replaces the list of `slot` by the best of the candidates.
void Linker::shorten(Slot slot, int level, std::span<const Slot> candidates) {
  std::vector<std::uint8_t> space;
  std::vector<std::int32_t> distances(candidates.size());
  arrays_.code_distances(distances.data(), query_of(slot, space), candidates.data(),
                         candidates.size());
  std::vector<Found> sorted(candidates.size());
  for (std::size_t i = 0; i < candidates.size(); ++i) sorted[i] = {distances[i], candidates[i]};
  std::sort(sorted.begin(), sorted.end(), nearer);
  Slot chosen[most_degree];
  Links links = arrays_.at(slot, level);
  links.assign({chosen, choose(sorted, links.degree(), chosen)});
}

void Linker::repair_one(Slot slot, int level, const std::vector<bool>& dead) {
  Slot ids[most_degree], beyond[most_degree];
  const Links links = arrays_.at(slot, level);
  const std::size_t n = links.copy(ids);
  if (std::none_of(ids, ids + n, [&](Slot id) { return dead[id]; })) return;
  std::vector<Slot> candidates;
  for (std::size_t i = 0; i < n; ++i) {
    if (!dead[ids[i]]) {
      candidates.push_back(ids[i]);
      continue;
    }
    const std::size_t m = arrays_.at(ids[i], level).copy(beyond);
    for (std::size_t j = 0; j < m; ++j)
      if (beyond[j] != slot && !dead[beyond[j]]) candidates.push_back(beyond[j]);
  }
  std::sort(candidates.begin(), candidates.end());
  candidates.erase(std::unique(candidates.begin(), candidates.end()), candidates.end());
  shorten(slot, level, candidates);
}

Status Linker::repair(std::size_t used, const std::vector<bool>& dead, std::stop_token stop) {
  constexpr std::size_t stretch = 1u << 16;  // slots between two looks at `stop`
  for (std::size_t first = 0; first < used; first += stretch) {
    if (stop.stop_requested()) return Error(ErrorKind::cancelled, "stopped");
    each(std::min(stretch, used - first), 256, [&](std::size_t i, Scratch&) {
      const Slot slot = static_cast<Slot>(first + i);
      if (dead[slot]) return;
      for (int level = arrays_.level_of(slot); level >= 0; --level) repair_one(slot, level, dead);
    });
  }
  return Done{};
}

std::size_t Linker::reconnect(std::size_t used, Entry entry, const std::vector<bool>& dead) {
  if (entry.slot == no_slot) return 0;
  std::vector<bool> reached(used);
  std::vector<Slot> open;
  const auto spread = [&](Slot from) {
    reached[from] = true;
    open.push_back(from);
    Slot ids[most_degree];
    while (!open.empty()) {
      const Slot slot = open.back();
      open.pop_back();
      const std::size_t n = arrays_.at(slot, 0).copy(ids);
      for (std::size_t i = 0; i < n; ++i)
        if (!reached[ids[i]]) {
          reached[ids[i]] = true;
          open.push_back(ids[i]);
        }
    }
  };
  spread(entry.slot);
  std::size_t lost = 0;
  for (std::size_t i = 0; i < used; ++i) {
    const Slot slot = static_cast<Slot>(i);
    if (reached[slot] || dead[slot]) continue;
    ++lost;
    // Its nearest reachable slots are asked to link to it, without a contest: the last link of the
    // first list with a twin or with room gives way.
    Scratch& scratch = *scratch_[0];
    std::vector<std::uint8_t> space;
    search_level(arrays_, scratch, query_of(slot, space), {&entry.slot, 1}, 0, options_.breadth);
    for (std::size_t j = 0; j < scratch.pool.size(); ++j) {
      const Slot near = scratch.pool[j].slot;
      if (dead[near] || near == slot) continue;
      Links links = arrays_.at(near, 0);
      Slot ids[most_degree];
      const std::size_t n = links.copy(ids);
      if (n == links.degree() && j + 1 < scratch.pool.size()) continue;
      links.set(std::min(n, links.degree() - 1), slot);
      break;
    }
    spread(slot);
  }
  return lost;
}

}  // namespace hearth::vectors
