// KvCache: hands pages of keys and values to sequences and remembers the prefixes they hold.
//
// A page is free, in use (counted references), or idle: nobody uses it, but it holds a known prefix
// and may be found again until its memory is needed.  Full pages of a prefix are shared; a part of
// a page is only ever copied, because whoever goes on from there writes into it.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <map>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <tuple>
#include <utility>
#include <vector>

#include "ops/attention.h"
#include "runtime/kv_pool.h"
#include "runtime/prefix_end.h"
#include "runtime/state_pool.h"
#include "text/tokenizer.h"

namespace hearth {

// A known prefix of whole pages, or the root of a family of prefixes.  Never used again once its
// page is gone, so that no two prefixes are ever taken for one another.
using PrefixNode = std::uint64_t;

// Used by one thread.
class KvCache {
 public:
  KvCache(std::size_t page_bytes, std::uint32_t max_pages, std::size_t state_bytes = 0,
          std::uint32_t max_states = 0);

  // Where prefixes of this salt begin; those of deterministic steps are kept apart from others, and
  // those of every tier.
  PrefixNode root(std::string_view salt, bool deterministic, ops::Tier tier = ops::Tier::accurate);

  // A page for one user, its bytes arbitrary but finite; the idle page unused for longest gives way
  // when none is free.  Nothing: all pages are in use.
  std::optional<PageIndex> take();
  void retain(PageIndex page);
  void release(PageIndex page);
  bool is_shared(PageIndex page) const { return pages_[page].users > 1; }
  std::byte* data(PageIndex page) const { return pool_.data(page); }
  void copy(PageIndex to, PageIndex from) const { pool_.copy(to, from); }

  struct Match {
    std::vector<PageIndex> pages;      // whole pages, retained for the caller
    PrefixNode node;                   // what they hold together
    std::optional<PageIndex> partial;  // a page that goes on with `partial_tokens`, retained
    std::size_t partial_tokens = 0;
    PrefixEnd end = PrefixEnd::is_new;  // why it goes no further
  };
  // The longest known beginning of `tokens`, going on from `node`; where the model has states, the
  // longest that ends with a copy of one, in whole pages.
  Match find(PrefixNode node, std::span<const Token> tokens);
  // How many whole pages of that beginning somebody uses: sharing them takes no memory.
  std::uint32_t count_in_use(PrefixNode node, std::span<const Token> tokens) const;

  struct Published {
    PageIndex page;
    PrefixNode node;
  };
  // Makes it known that `page` holds 1 to 32 `tokens` after `parent`.  Where that is known already
  // the page that holds it is retained and returned, and `page` released.
  Published publish(PageIndex page, PrefixNode parent, std::span<const Token> tokens);

  StatePool& states() { return states_; }
  const StatePool& states() const { return states_; }

  std::uint32_t total() const { return pool_.max_pages(); }
  std::uint32_t used() const {
    return pool_.made() - idle_ - static_cast<std::uint32_t>(free_.size());
  }
  std::uint32_t idle() const { return idle_; }

 private:
  struct Key {
    PrefixNode parent;
    std::uint32_t count;
    std::array<Token, ops::kv_page_tokens> tokens;
  };
  struct Prefix {
    PrefixNode parent;
    std::span<const Token> tokens;
  };
  // By parent, then by tokens as words are in a dictionary: neighbours share the most.
  struct Order {
    using is_transparent = void;
    bool operator()(const Key& a, const Key& b) const;
    bool operator()(const Key& a, const Prefix& b) const;
    bool operator()(const Prefix& a, const Key& b) const;
  };
  using Tree = std::map<Key, PageIndex, Order>;
  struct Page {
    std::uint32_t users = 0;
    PrefixNode node = 0;  // 0: holds nothing known
    Tree::iterator place;
    PageIndex older = none, newer = none;  // in the list of idle pages
  };
  static constexpr PageIndex none = ~PageIndex{0};

  void make_idle(PageIndex page);
  void leave_idle(PageIndex page);
  void forget(PageIndex page);
  void forget_empty_roots();
  void cut_to_state(Match& match, PrefixNode begin);
  PrefixEnd end_of(const Match& match, std::span<const Token> rest) const;

  KvPool pool_;
  StatePool states_;
  std::vector<Page> pages_;
  std::vector<PageIndex> free_;
  Tree tree_;
  std::map<std::tuple<std::string, bool, ops::Tier>, PrefixNode> roots_;
  std::size_t roots_kept_ = 1024;
  // Hashes of whole pages that had to go, by their last bits: for end_of() alone.
  std::vector<std::uint64_t> forgotten_ = std::vector<std::uint64_t>(1u << 13);
  PrefixNode last_node_ = 0;
  PageIndex oldest_ = none, newest_ = none;
  std::uint32_t idle_ = 0;
};

}  // namespace hearth
