#include "text/grammar/reading.h"

#include <algorithm>
#include <utility>

namespace hearth::grammar {
namespace {

std::size_t mix(std::uint64_t a, std::uint64_t b, std::uint64_t c) {
  std::uint64_t hash = a * 0x9E3779B97F4A7C15u;
  hash = (hash ^ (hash >> 29) ^ b) * 0xBF58476D1CE4E5B9u;
  hash = (hash ^ (hash >> 32) ^ c) * 0x94D049BB133111EBu;
  return static_cast<std::size_t>(hash ^ (hash >> 31));
}

std::size_t hash_of(std::span<const Place> places, bool may_end) {
  std::size_t hash = may_end ? 1 : 2;
  for (const Place& place : places)
    hash = mix(hash, std::uint64_t{place.state} << 32 | place.count, place.stack);
  return hash;
}

// Finds the entry for which `is_it` holds, or gives a free slot a new one.  Entries are > 0.
template <typename Hash, typename IsIt, typename Make>
std::uint32_t find_or_make(std::vector<std::uint32_t>& table, std::size_t used, std::size_t hash,
                           const Hash& hash_entry, const IsIt& is_it, const Make& make) {
  if (table.size() < 4 * (used + 1)) {
    std::size_t size = 64;
    while (size < 8 * (used + 1)) size *= 2;
    std::vector<std::uint32_t> larger(size);
    for (const std::uint32_t entry : table) {
      if (entry == 0) continue;
      std::size_t slot = hash_entry(entry) & (size - 1);
      while (larger[slot] != 0) slot = (slot + 1) & (size - 1);
      larger[slot] = entry;
    }
    table = std::move(larger);
  }
  std::size_t slot = hash & (table.size() - 1);
  for (; table[slot] != 0; slot = (slot + 1) & (table.size() - 1))
    if (is_it(table[slot])) return table[slot];
  return table[slot] = make();
}

}  // namespace

Reading::Reading(std::shared_ptr<const Program> program, std::uint32_t free_loop)
    : program_(std::move(program)), free_loop_(free_loop) {
  clear();
}

std::size_t Reading::bytes() const {
  return rows_.size() * sizeof(SituationId) + places_.size() * sizeof(Place) +
         situations_.size() * (sizeof(Situation) + 8 * sizeof(std::uint32_t)) +
         frames_.size() * (sizeof(Frame) + 9 * sizeof(std::uint32_t));
}

void Reading::clear() {
  frames_.assign(1, {});
  returns_.assign(1, unknown);
  situations_.assign(2, {});
  rows_.assign(std::size_t{2} * program_->class_count, dead);
  places_.clear();
  frame_table_.clear();
  situation_table_.clear();
}

SituationId Reading::begin() {
  add({program_->starts[program_->root], 0, bottom});
  close();
  return intern();
}

SituationId Reading::at(Place place) { return at(std::span(&place, 1)); }

SituationId Reading::at(std::span<const Place> places) {
  for (const Place& place : places) add(place);
  return intern();
}

SituationId Reading::on_return(FrameId stack) {
  if (returns_[stack] != unknown) return returns_[stack];
  if (stack == bottom) {
    may_end_ = true;
  } else {
    const Frame frame = frames_[stack];
    add({frame.state, frame.count, frame.below});
    close();
  }
  const SituationId found = intern();
  return returns_[stack] = found;
}

// The least number of times that says all there is to know.
std::uint32_t Reading::counted(const Place& from, Action action) const {
  if (action == Action::reset) return 0;
  if (action == Action::keep) return from.count;
  const Program::Loop& loop = loop_of(from.state);
  return std::min(from.count + 1, loop.max == unlimited ? loop.min : loop.max);
}

void Reading::add(const Place& place) {
  if (open_.size() >= max_parallel) return;
  const std::size_t before = open_.size();
  const auto hash_at = [&](std::uint32_t entry) {
    return hash_of(std::span(&open_[entry - 1], 1), false);
  };
  // Few places are looked through as they are.
  constexpr std::size_t few = 16;
  if (before < few) {
    if (std::ranges::find(open_, place) == open_.end()) open_.push_back(place);
    return;
  }
  if (open_table_.empty())
    for (std::uint32_t i = 1; i <= before; ++i)
      find_or_make(
          open_table_, i, hash_at(i), hash_at, [](std::uint32_t) { return false; },
          [&] { return i; });
  find_or_make(
      open_table_, before + 1, hash_of(std::span(&place, 1), false), hash_at,
      [&](std::uint32_t entry) { return open_[entry - 1] == place; },
      [&] {
        open_.push_back(place);
        return static_cast<std::uint32_t>(open_.size());
      });
}

void Reading::move(const Place& from, StateId target, Action action) {
  const std::uint32_t count = program_->states[target].loop == 0 ? 0 : counted(from, action);
  add({target, count, from.stack});
}

bool Reading::is_full(const Place& place) const {
  return program_->states[place.state].is_head && place.count >= loop_of(place.state).max;
}

void Reading::leave(const Place& from) {
  const Program::State& state = program_->states[from.state];
  if (state.accepts) {
    if (from.stack == bottom) {
      may_end_ = true;
    } else {
      const Frame frame = frames_[from.stack];
      add({frame.state, frame.count, frame.below});
    }
  }
  for (const Program::Exit& exit : program_->exits_of(from.state)) {
    if (state.is_head) {
      const bool leaves = exit.action == Action::reset;
      if (leaves ? from.count < loop_of(from.state).min : is_full(from)) continue;
    }
    move(from, exit.target, exit.action);
  }
}

void Reading::call(const Place& from, const Program::Call& call) {
  FrameId stack = from.stack;
  if (!call.is_tail) {
    const std::uint32_t count =
        program_->states[call.target].loop == 0 ? 0 : counted(from, call.action);
    stack = push({call.target, count, from.stack});
    if (stack == bottom) return;
  }
  add({program_->starts[call.rule], 0, stack});
}

void Reading::close() {
  for (std::size_t i = 0; i < open_.size(); ++i) {
    const Place place = open_[i];
    leave(place);
    for (const Program::Call& c : program_->calls_of(place.state)) call(place, c);
  }
}

FrameId Reading::push(const Place& place) {
  const std::uint32_t depth = frames_[place.stack].depth + 1;
  if (depth > max_depth) return bottom;
  const auto hash_at = [&](std::uint32_t entry) {
    const Frame& frame = frames_[entry];
    return mix(frame.state, frame.count, frame.below);
  };
  return find_or_make(
      frame_table_, frames_.size(), mix(place.state, place.count, place.stack), hash_at,
      [&](std::uint32_t entry) {
        const Frame& frame = frames_[entry];
        return frame.state == place.state && frame.count == place.count &&
               frame.below == place.stack;
      },
      [&] {
        frames_.push_back({place.state, place.count, place.stack, depth, greatest_count(place)});
        returns_.push_back(unknown);
        return static_cast<std::uint32_t>(frames_.size() - 1);
      });
}

// The open places that read something become a situation.
SituationId Reading::intern() {
  std::erase_if(open_, [&](const Place& place) { return !program_->reads(place.state); });
  const bool may_end = std::exchange(may_end_, false);
  open_table_.clear();
  if (open_.empty() && !may_end) return dead;
  std::ranges::sort(open_);
  const auto hash_at = [&](std::uint32_t entry) {
    return hash_of(places(entry), situations_[entry].may_end);
  };
  const SituationId id = find_or_make(
      situation_table_, situations_.size(), hash_of(open_, may_end), hash_at,
      [&](std::uint32_t entry) {
        return situations_[entry].may_end == may_end && std::ranges::equal(places(entry), open_);
      },
      [&] {
        std::uint32_t greatest = 0;
        for (const Place& place : open_) greatest = std::max(greatest, greatest_count(place));
        situations_.push_back({static_cast<std::uint32_t>(places_.size()),
                               static_cast<std::uint32_t>(open_.size()), greatest, may_end});
        places_.insert(places_.end(), open_.begin(), open_.end());
        rows_.resize(rows_.size() + program_->class_count, unknown);
        return static_cast<std::uint32_t>(situations_.size() - 1);
      });
  open_.clear();
  return id;
}

SituationId Reading::find_after(SituationId from, std::uint8_t byte) {
  for (std::uint32_t i = 0; i < situations_[from].count; ++i) {
    const Place place = places_[situations_[from].first + i];
    for (const Program::Edge& edge : program_->edges_of(place.state))
      if (edge.low <= byte && byte <= edge.high) move(place, edge.target, edge.action);
  }
  close();
  const SituationId next = intern();
  rows_[std::size_t{from} * program_->class_count + program_->classes[byte]] = next;
  return next;
}

SituationId Reading::after_token(SituationId from, Token token) {
  for (std::uint32_t i = 0; i < situations_[from].count; ++i) {
    const Place place = places_[situations_[from].first + i];
    for (const Program::TokenEdge& edge : program_->tokens_of(place.state))
      if (edge.token == token) move(place, edge.target, edge.action);
  }
  close();
  return intern();
}

bool Reading::tidy(SituationId& keep) {
  if (situations_.size() < max_kept_states && frames_.size() < max_kept_frames) return false;
  const std::vector<Place> kept(places(keep).begin(), places(keep).end());
  const bool may_end = situations_[keep].may_end;
  const std::vector<Frame> frames = std::move(frames_);
  clear();
  for (const Place& place : kept) {
    std::vector<FrameId> chain;
    for (FrameId frame = place.stack; frame != bottom; frame = frames[frame].below)
      chain.push_back(frame);
    FrameId stack = bottom;
    for (std::size_t i = chain.size(); i-- > 0;)
      stack = push({frames[chain[i]].state, frames[chain[i]].count, stack});
    open_.push_back({place.state, place.count, stack});
  }
  may_end_ = may_end;
  keep = intern();
  return true;
}

}  // namespace hearth::grammar
