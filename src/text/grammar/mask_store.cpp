#include "text/grammar/mask_store.h"

#include <algorithm>
#include <bit>

namespace hearth::grammar {
namespace {

constexpr std::size_t max_shared_bytes = 64u << 20;  // then all are forgotten
constexpr std::size_t max_few = 512;                 // tokens; more are kept as a set
constexpr std::size_t max_splits = 64;               // of some 100 KB, for runs that come again

// Some token below the node is not in the set.
bool is_undecided(const TokenTrie& trie, std::span<const std::uint64_t> set, std::uint32_t end) {
  const auto nodes = trie.nodes();
  for (std::uint32_t i = end + 1; i < nodes[end].end; ++i)
    if (nodes[i].token >= 0 && !has(set, nodes[i].token)) return true;
  return false;
}

template <typename Mask>
std::shared_ptr<const Mask> find_in(const std::map<std::string, std::shared_ptr<const Mask>>& kept,
                                    const std::string& key) {
  const auto found = kept.find(key);
  return found == kept.end() ? nullptr : found->second;
}

}  // namespace

PlaceMask make_mask(const TokenTrie& trie, std::vector<std::uint64_t> set,
                    const std::vector<std::uint32_t>& ends) {
  PlaceMask mask;
  for (const std::uint32_t end : ends)
    if (is_undecided(trie, set, end)) mask.ends.push_back(end);
  for (std::size_t word = 0; word < set.size() && mask.few.size() <= max_few; ++word)
    for (std::uint64_t bits = set[word]; bits != 0; bits &= bits - 1)
      mask.few.push_back(static_cast<Token>(word * 64) + std::countr_zero(bits));
  if (mask.few.size() <= max_few) return mask;
  mask.few = {};
  mask.set = std::move(set);
  return mask;
}

PlaceMask at_count(const CountedMask& mask, std::uint32_t least, std::uint32_t most,
                   const TokenTrie& trie) {
  const auto shorter = trie.up_to(std::min(most, max_counted_characters));
  std::vector<std::uint64_t> set(shorter.begin(), shorter.end());
  for (std::size_t i = 0; i < set.size(); ++i) set[i] &= mask.set[i];
  for (const auto& [token, times] : mask.fewer) {
    if (times > most) break;
    put(set, static_cast<Token>(token));
  }
  for (const auto& [token, times] : mask.leaving) {
    if (times >= least) break;
    set[token / 64] &= ~(std::uint64_t{1} << (token % 64));
  }
  std::vector<std::uint32_t> ends;
  for (const auto& [node, times] : mask.ends)
    if (least <= times && times <= most) ends.push_back(node);
  return make_mask(trie, std::move(set), ends);
}

std::shared_ptr<const PlaceMask> MaskStore::mask(const std::string& key) const {
  return kept_.with([&](const Kept& kept) { return find_in(kept.masks, key); });
}

std::shared_ptr<const CountedMask> MaskStore::counted(const std::string& key) const {
  return kept_.with([&](const Kept& kept) { return find_in(kept.counted, key); });
}

template <typename Mask>
void MaskStore::keep_in(ByKey<Mask> Kept::* place, const std::string& key,
                        std::shared_ptr<const Mask> mask) {
  kept_.with([&](Kept& kept) {
    if (kept.bytes > max_shared_bytes) {
      kept.masks.clear();
      kept.counted.clear();
      kept.bytes = 0;
    }
    kept.bytes += mask->bytes() + key.size();
    (kept.*place).emplace(key, std::move(mask));
  });
}

void MaskStore::keep(const std::string& key, std::shared_ptr<const PlaceMask> mask) {
  keep_in(&Kept::masks, key, std::move(mask));
}

void MaskStore::keep(const std::string& key, std::shared_ptr<const CountedMask> mask) {
  keep_in(&Kept::counted, key, std::move(mask));
}

std::shared_ptr<const RunTokens> MaskStore::split(const Symbols& symbols, const Symbols& leaving) {
  const std::string key = symbols.to_string() + leaving.to_string();
  auto tokens = kept_.with([&](const Kept& kept) { return find_in(kept.splits, key); });
  if (tokens) return tokens;
  tokens = std::make_shared<const RunTokens>(grammar::split(trie_, symbols, leaving));
  kept_.with([&](Kept& kept) {
    if (kept.splits.size() == max_splits) kept.splits.clear();
    kept.splits.emplace(key, tokens);
  });
  return tokens;
}

}  // namespace hearth::grammar
