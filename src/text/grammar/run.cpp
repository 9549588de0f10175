#include "text/grammar/run.h"

#include <algorithm>
#include <array>

namespace hearth::grammar {
namespace {

constexpr std::size_t max_steps = 96;  // that are followed one by one
constexpr std::size_t max_wide = 32;   // at one byte of a wide character
constexpr int max_attempts = 48, max_returns = 8;

const std::vector<ByteSequence>& wide_sequences() {
  static const std::vector<ByteSequence> list = utf8_sequences(CharSet(0x80, last_point));
  return list;
}

// Bytes that the program does not tell apart.
struct ByteClass {
  std::uint8_t byte;  // one of them
  Symbols symbols;
  bool has_control = false;  // of several classes each has some of this symbol
};

std::vector<ByteClass> byte_classes(const Program& program) {
  std::vector<ByteClass> classes;
  std::array<int, 256> places;
  places.fill(-1);
  for (unsigned byte = 0; byte < 256; ++byte) {
    int& place = places[program.classes[byte]];
    if (place < 0) {
      place = static_cast<int>(classes.size());
      classes.push_back({static_cast<std::uint8_t>(byte), {}});
    }
    ByteClass& one = classes[static_cast<std::size_t>(place)];
    if (byte >= 128)
      one.symbols.set(symbol_wide).set(symbol_broken);
    else if (const std::size_t symbol = symbol_of(static_cast<std::uint8_t>(byte));
             symbol == symbol_control)
      one.has_control = true;
    else
      one.symbols.set(symbol);
  }
  return classes;
}

// Whether every text of some symbols can be read, and if not, for which symbol.
class Attempt {
 public:
  Attempt(Reading& reading, std::span<const ByteClass> classes, SituationId start,
          const TokenTrie& trie, const Symbols& symbols)
      : reading_(reading), classes_(classes), trie_(trie), symbols_(symbols) {
    seen_.push_back({start, 0, {}, false});
  }

  // Symbols to try without; none: `run` holds.
  Symbols follow(Run& run) {
    run = {symbols_, unlimited, false, {}, 0};
    bool is_chain = true, is_full = false, may_end = false;
    for (std::size_t i = 0; i < seen_.size(); ++i) {
      const Reached here = seen_[i];
      if (here.characters >= run.characters) continue;
      if (i >= max_steps || (!here.is_far && here.characters > max_counted_characters)) {
        run.characters = here.characters;
        is_full = false;
        continue;
      }
      const std::size_t before = seen_.size();
      has_gone_back_ = false;
      const Symbols missing = symbols_ & ~expand(i);
      if (is_confused_) return symbols_;
      run.leaving |= readable_;
      may_end = may_end || (i > 0 && reading_.may_end(here.at));
      if (missing.any()) {
        seen_.resize(before);
        if (i == 0) return missing;
        if (missing == symbols_ && here.by == symbols_) {
          run.characters = here.characters;
          is_full = true;
          continue;
        }
        return weight(here.by) < weight(missing) ? here.by : missing;
      }
      const bool is_step = seen_.size() == i + 2 && !has_gone_back_;
      is_chain = is_chain && is_step && !reading_.may_end(here.at);
      if (is_step) skip_alike(here.at, seen_.back());
    }
    run.is_all = is_chain && is_full && !reading_.may_end(seen_.back().at);
    for (const Reached& reached : seen_)
      run.greatest_count = std::max(run.greatest_count, reading_.greatest_count(reached.at));
    if (may_end) run.leaving.set();
    run.leaving &= ~symbols_;
    return {};
  }

  // What can be read at the start.
  Symbols first() { return expand(0); }

 private:
  struct Reached {
    SituationId at;
    std::uint32_t characters;
    Symbols by;           // the last of them
    bool is_far = false;  // steps that are alike have been skipped
  };

  std::size_t weight(const Symbols& symbols) const {
    std::size_t sum = 0;
    for_each(symbols, [&](std::size_t symbol) { sum += trie_.uses(symbol); });
    return sum;
  }

  // In the middle of a counted repeat each time is like the one before: goes on with the last of
  // them, before leaving is allowed for the first time or the repeat is full.
  void skip_alike(SituationId from, Reached& to) {
    const auto before = reading_.places(from), after = reading_.places(to.at);
    if (before.size() != after.size() || reading_.may_end(to.at)) return;
    const Program& program = reading_.program();
    std::uint32_t skipped = unlimited;
    std::vector<Place> later(after.begin(), after.end());
    for (std::size_t i = 0; i < later.size(); ++i) {
      const Place a = before[i], b = after[i];
      if (b.state != a.state || b.stack != a.stack) return;
      if (b == a && program.states[b.state].loop == 0) continue;
      if (b.count != a.count + 1) return;
      const Program::Loop& loop = reading_.loop_of(b.state);
      const std::uint32_t full = loop.max == unlimited ? loop.min : loop.max;
      const std::uint32_t goal = b.count < loop.min ? loop.min - 1 : full;
      if (b.count == loop.min || goal <= b.count + 1) return;
      skipped = std::min(skipped, goal - 1 - b.count);
    }
    if (skipped == unlimited) return;
    for (Place& place : later)
      if (program.states[place.state].loop != 0) place.count += skipped;
    to.characters += skipped;
    to.at = reading_.at(later);
    to.is_far = true;
  }

  // Which symbols can be read at seen_[i]; what they lead to joins seen_.
  Symbols expand(std::size_t i) {
    const SituationId from = seen_[i].at;
    const std::uint32_t characters = seen_[i].characters;
    is_far_ = seen_[i].is_far;
    Symbols found;
    bool has_control = true;
    readable_ = {};
    for (const ByteClass& one : classes_) {
      const SituationId next = reading_.after(from, one.byte);
      if (next == dead) {
        has_control = has_control && !one.has_control;
        continue;
      }
      readable_ |= one.symbols;
      Symbols read = one.symbols & symbols_ & ~wide_or_broken();
      if (one.has_control) {
        readable_.set(symbol_control);
        read[symbol_control] = symbols_[symbol_control];
      }
      if (read.none()) continue;
      found |= read;
      reach(next, characters + 1, read);
    }
    if (!has_control) found.reset(symbol_control);
    if (symbols_[symbol_wide] && reads_wide(from, characters + 1)) found.set(symbol_wide);
    return found;
  }

  static Symbols wide_or_broken() { return Symbols().set(symbol_wide).set(symbol_broken); }

  bool reads_wide(SituationId from, std::uint32_t characters) {
    const std::size_t before = seen_.size();
    for (const ByteSequence& sequence : wide_sequences())
      if (!reads_wide(from, characters, sequence)) {
        seen_.resize(before);
        return false;
      }
    return true;
  }

  bool reads_wide(SituationId from, std::uint32_t characters, const ByteSequence& sequence) {
    const auto& classes = reading_.program().classes;
    at_ = {from};
    for (int i = 0; i < sequence.size; ++i) {
      next_.clear();
      const auto [low, high] = sequence.bytes[i];
      for (const SituationId at : at_)
        for (unsigned byte = low; byte <= high; ++byte) {
          if (byte > low && classes[byte] == classes[byte - 1]) continue;
          const SituationId next = reading_.after(at, static_cast<std::uint8_t>(byte));
          if (next == dead || next_.size() > max_wide) return false;
          if (std::ranges::find(next_, next) == next_.end()) next_.push_back(next);
        }
      std::swap(at_, next_);
    }
    for (const SituationId at : at_) reach(at, characters, Symbols().set(symbol_wide));
    return true;
  }

  void reach(SituationId at, std::uint32_t characters, const Symbols& by) {
    if (last_ >= seen_.size() || seen_[last_].at != at) {
      const auto found = std::ranges::find(seen_, at, &Reached::at);
      last_ = static_cast<std::size_t>(found - seen_.begin());
      if (found == seen_.end()) seen_.push_back({at, characters, {}, is_far_});
    }
    has_gone_back_ = has_gone_back_ || seen_[last_].characters != characters;
    is_confused_ = is_confused_ || seen_[last_].characters > characters;
    seen_[last_].by |= by;
  }

  Reading& reading_;
  const std::span<const ByteClass> classes_;
  const TokenTrie& trie_;
  const Symbols symbols_;
  Symbols readable_;  // at the situation that was expanded last, of all symbols
  std::vector<Reached> seen_;
  std::size_t last_ = 0;        // of seen_ that was reached
  bool has_gone_back_ = false;  // to what fewer characters lead to
  bool is_far_ = false;
  bool is_confused_ = false;  // fewer characters lead there than those that were counted
  std::vector<SituationId> at_, next_;
};

}  // namespace

Run find_run(Reading& reading, SituationId start, const TokenTrie& trie) {
  const std::vector<ByteClass> classes = byte_classes(reading.program());
  const auto attempt = [&](const Symbols& symbols) {
    return Attempt(reading, classes, start, trie, symbols);
  };
  Symbols all;
  all.set();
  all.reset(symbol_broken);
  Symbols symbols = attempt(all).first(), tried;
  Run run;
  for (int i = 0; i < max_attempts && symbols.any(); ++i) {
    const Symbols out = attempt(symbols).follow(run);
    if (out.none()) break;
    symbols &= ~out;
    tried |= out;
    run = {};
  }
  if (run.symbols.none()) return run;
  // What went for the sake of another that went later.
  int returns = 0;
  for_each(tried, [&](std::size_t symbol) {
    if (returns++ >= max_returns) return;
    Run larger;
    Symbols more = run.symbols;
    more.set(symbol);
    if (attempt(more).follow(larger).none() && larger.characters >= run.characters) run = larger;
  });
  return run;
}

RunTokens split(const TokenTrie& trie, const Symbols& symbols, const Symbols& leaving) {
  RunTokens tokens;
  tokens.written = trie.written_with(symbols);
  const auto nodes = trie.nodes();
  struct Path {
    std::vector<RunTokens::Node>& list;
    std::vector<std::uint32_t> open = {};  // of the list, on the way to the next
  } left{tokens.left}, longer{tokens.longer};
  const auto close = [&](Path& path, std::uint32_t end) {
    auto& [list, open] = path;
    for (; !open.empty() && nodes[list[open.back()].node].end <= end; open.pop_back())
      list[open.back()].next = static_cast<std::uint32_t>(list.size());
  };
  const auto add = [&](Path& path, std::uint32_t node, bool leaves) {
    close(path, node);
    path.open.push_back(static_cast<std::uint32_t>(path.list.size()));
    path.list.push_back({node, 0, nodes[node].depth, nodes[node].byte, leaves});
  };
  for (std::uint32_t i = 0; i < nodes.size();) {
    const TokenTrie::Node& node = nodes[i];
    const std::size_t symbol = node.byte < 128 ? symbol_of(node.byte) : symbol_wide;
    const bool leaves = !symbols[symbol];
    const bool is_left = leaves ? leaving[symbol] : (node.tail & ~symbols & leaving).any();
    const bool is_long = node.longest > max_counted_characters;
    if (is_left) add(left, i, leaves);
    if (is_long) add(longer, i, leaves);
    i = leaves || (!is_left && !is_long) ? node.end : i + 1;
  }
  close(left, static_cast<std::uint32_t>(nodes.size()));
  close(longer, static_cast<std::uint32_t>(nodes.size()));
  return tokens;
}

}  // namespace hearth::grammar
