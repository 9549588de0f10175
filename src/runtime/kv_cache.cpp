#include "runtime/kv_cache.h"

#include <algorithm>

#include "base/check.h"

namespace hearth {
namespace {

template <typename A, typename B>
bool is_before(PrefixNode a_parent, const A& a, PrefixNode b_parent, const B& b) {
  if (a_parent != b_parent) return a_parent < b_parent;
  return std::ranges::lexicographical_compare(a, b);
}

std::size_t common(std::span<const Token> a, std::span<const Token> b) {
  return static_cast<std::size_t>(std::ranges::mismatch(a, b).in1 - a.begin());
}

// Of a page of `tokens` after `parent`; never 0.
std::uint64_t hash_of(PrefixNode parent, std::span<const Token> tokens) {
  std::uint64_t hash = parent;
  for (const Token token : tokens) {
    hash = (hash ^ static_cast<std::uint32_t>(token)) * 0x9E3779B97F4A7C15u;
    hash ^= hash >> 29;
  }
  return hash | 1;
}

}  // namespace

bool KvCache::Order::operator()(const Key& a, const Key& b) const {
  return is_before(a.parent, std::span(a.tokens).first(a.count), b.parent,
                   std::span(b.tokens).first(b.count));
}
bool KvCache::Order::operator()(const Key& a, const Prefix& b) const {
  return is_before(a.parent, std::span(a.tokens).first(a.count), b.parent, b.tokens);
}
bool KvCache::Order::operator()(const Prefix& a, const Key& b) const {
  return is_before(a.parent, a.tokens, b.parent, std::span(b.tokens).first(b.count));
}

KvCache::KvCache(std::size_t page_bytes, std::uint32_t max_pages, std::size_t state_bytes,
                 std::uint32_t max_states)
    : pool_(page_bytes, max_pages), states_(state_bytes, max_states) {}

PrefixNode KvCache::root(std::string_view salt, bool deterministic, ops::Tier tier) {
  if (roots_.size() >= roots_kept_) forget_empty_roots();
  auto [place, is_new] = roots_.try_emplace({std::string(salt), deterministic, tier}, 0);
  if (is_new) place->second = ++last_node_;
  return place->second;
}

// A sequence that still goes on from a forgotten root publishes what nobody will find; those pages
// leave as the oldest idle ones do.
void KvCache::forget_empty_roots() {
  std::erase_if(roots_, [&](const auto& root) {
    const auto place = tree_.lower_bound(Prefix{root.second, {}});
    return place == tree_.end() || place->first.parent != root.second;
  });
  roots_kept_ = std::max<std::size_t>(1024, 2 * roots_.size());
}

std::optional<PageIndex> KvCache::take() {
  if (free_.empty()) {
    if (const auto made = pool_.make()) {
      pages_.emplace_back();
      free_.push_back(*made);
    } else if (oldest_ != none) {
      const PageIndex page = oldest_;
      leave_idle(page);
      forget(page);
      free_.push_back(page);
    } else {
      return std::nullopt;
    }
  }
  const PageIndex page = free_.back();
  free_.pop_back();
  pages_[page].users = 1;
  return page;
}

void KvCache::retain(PageIndex page) {
  if (pages_[page].users++ == 0) leave_idle(page);
}

void KvCache::release(PageIndex page) {
  HEARTH_CHECK(pages_[page].users > 0);
  if (--pages_[page].users > 0) return;
  if (pages_[page].node != 0)
    make_idle(page);
  else
    free_.push_back(page);
}

void KvCache::cut_to_state(Match& match, PrefixNode begin) {
  while (!match.pages.empty() && !states_.holds(match.node)) {
    release(match.pages.back());
    match.pages.pop_back();
    match.node = match.pages.empty() ? begin : pages_[match.pages.back()].node;
  }
}

KvCache::Match KvCache::find(PrefixNode node, std::span<const Token> tokens) {
  Match match{.pages = {}, .node = node, .partial = {}};
  while (tokens.size() >= ops::kv_page_tokens) {
    const auto place = tree_.find(Prefix{match.node, tokens.first(ops::kv_page_tokens)});
    if (place == tree_.end()) break;
    retain(place->second);
    match.pages.push_back(place->second);
    match.node = pages_[place->second].node;
    tokens = tokens.subspan(ops::kv_page_tokens);
  }
  const auto rest = tokens;
  if (states_.is_needed()) {
    match.end = end_of(match, rest);
    const std::size_t found = match.pages.size();
    cut_to_state(match, node);
    if (match.pages.size() < found) match.end = PrefixEnd::checkpoint;
    return match;
  }
  tokens = tokens.first(std::min(tokens.size(), ops::kv_page_tokens));
  const auto after = tree_.lower_bound(Prefix{match.node, tokens});
  const auto consider = [&](Tree::iterator place) {
    if (place->first.parent != match.node) return;
    const std::size_t shared =
        common(tokens, std::span(place->first.tokens).first(place->first.count));
    if (shared <= match.partial_tokens) return;
    match.partial = place->second;
    match.partial_tokens = shared;
  };
  if (after != tree_.end()) consider(after);
  if (after != tree_.begin()) consider(std::prev(after));
  if (match.partial) retain(*match.partial);
  match.end = end_of(match, rest);
  return match;
}

// `rest`: the tokens behind the match's whole pages.
PrefixEnd KvCache::end_of(const Match& match, std::span<const Token> rest) const {
  if (rest.size() == match.partial_tokens) return PrefixEnd::whole;
  if (rest.size() >= ops::kv_page_tokens) {
    const std::uint64_t hash = hash_of(match.node, rest.first(ops::kv_page_tokens));
    if (forgotten_[hash % forgotten_.size()] == hash) return PrefixEnd::evicted;
  }
  if (match.partial) {
    const bool is_its_end = pages_[*match.partial].place->first.count == match.partial_tokens;
    return is_its_end ? PrefixEnd::is_new : PrefixEnd::differs;
  }
  const auto child = tree_.lower_bound(Prefix{match.node, {}});
  const bool goes_on = child != tree_.end() && child->first.parent == match.node;
  return goes_on ? PrefixEnd::differs : PrefixEnd::is_new;
}

std::uint32_t KvCache::count_in_use(PrefixNode node, std::span<const Token> tokens) const {
  std::uint32_t count = 0;
  for (; tokens.size() >= ops::kv_page_tokens; tokens = tokens.subspan(ops::kv_page_tokens)) {
    const auto place = tree_.find(Prefix{node, tokens.first(ops::kv_page_tokens)});
    if (place == tree_.end() || pages_[place->second].users == 0) break;
    node = pages_[place->second].node;
    ++count;
  }
  return count;
}

KvCache::Published KvCache::publish(PageIndex page, PrefixNode parent,
                                    std::span<const Token> tokens) {
  const bool is_whole = tokens.size() == ops::kv_page_tokens;
  auto place = tree_.lower_bound(Prefix{parent, tokens});
  const auto holds = [&](const Key& key) {
    return key.parent == parent && common(tokens, key.tokens) >= tokens.size() &&
           key.count >= tokens.size();
  };
  if (place != tree_.end() && holds(place->first)) {  // the same, or more of it
    if (place->second == page) return {page, pages_[page].node};
    if (is_whole) retain(place->second);
    const Published known{is_whole ? place->second : page, pages_[place->second].node};
    if (is_whole) release(page);
    return known;
  }
  if (place != tree_.begin()) {  // a shorter part of the same is of no more use
    const auto shorter = std::prev(place);
    const auto held = std::span(shorter->first.tokens).first(shorter->first.count);
    if (shorter->first.parent == parent && common(held, tokens) == held.size() &&
        pages_[shorter->second].users == 0) {
      const PageIndex idle_page = shorter->second;
      leave_idle(idle_page);
      forget(idle_page);
      free_.push_back(idle_page);
    }
  }
  Key key{.parent = parent, .count = static_cast<std::uint32_t>(tokens.size()), .tokens = {}};
  std::ranges::copy(tokens, key.tokens.begin());
  pages_[page].place = tree_.emplace(key, page).first;
  pages_[page].node = ++last_node_;
  return {page, last_node_};
}

void KvCache::make_idle(PageIndex page) {
  pages_[page].older = newest_;
  pages_[page].newer = none;
  (newest_ == none ? oldest_ : pages_[newest_].newer) = page;
  newest_ = page;
  ++idle_;
}

void KvCache::leave_idle(PageIndex page) {
  Page& self = pages_[page];
  (self.older == none ? oldest_ : pages_[self.older].newer) = self.newer;
  (self.newer == none ? newest_ : pages_[self.newer].older) = self.older;
  self.older = self.newer = none;
  --idle_;
}

void KvCache::forget(PageIndex page) {
  const Key& key = pages_[page].place->first;
  if (key.count == ops::kv_page_tokens) {
    const std::uint64_t hash = hash_of(key.parent, key.tokens);
    forgotten_[hash % forgotten_.size()] = hash;
  }
  tree_.erase(pages_[page].place);
  if (states_.is_needed()) states_.forget(pages_[page].node);
  pages_[page].node = 0;
}

}  // namespace hearth
