// SequencePages: the pages of one sequence, and how far they are filled.
#pragma once

#include <cstddef>
#include <span>
#include <vector>

#include "runtime/kv_cache.h"
#include "runtime/prefix_store.h"

namespace hearth {

// Where the pages of a family of prefixes lie on the disk; none: nowhere.
struct StoredPrefix {
  PrefixStore* store = nullptr;
  PrefixStore::Id root{};
};

// Holds its pages until give_back() or destruction; the cache must outlive it.  `tokens` is always
// the whole sequence, of which the first computed() have keys and values.  Used by one thread.
class SequencePages {
 public:
  SequencePages(KvCache& cache, PrefixNode root, const StoredPrefix& stored = {})
      : cache_(&cache), stored_(stored), kept_id_(stored.root), root_(root), node_(root) {}
  SequencePages(SequencePages&& other) noexcept;
  SequencePages& operator=(SequencePages&&) = delete;
  ~SequencePages();

  std::size_t computed() const { return computed_; }
  std::size_t count() const { return pages_.size(); }
  std::span<std::byte* const> data() const { return data_; }
  PrefixNode node() const { return node_; }  // what the whole pages hold
  bool recurs() const { return cache_->states().is_needed(); }
  // What recurrent layers hold of the computed positions; nullptr: none is needed, or nothing is
  // reserved.
  std::byte* state() const { return state_ ? cache_->states().data(*state_) : nullptr; }

  // Goes on with what other sequences have computed, but for the last of `tokens`, whose logits
  // are wanted.  Does nothing inside a page.  Returns how many positions that spared.
  std::size_t adopt(std::span<const Token> tokens);
  // Why the adopt() that spared the most so far did not spare more.
  PrefixEnd prefix_end() const { return prefix_end_.value_or(PrefixEnd::is_new); }
  // The disk holds more than the last adopt() took, which others had waited for too long.
  bool has_more_stored() const { return has_more_stored_; }

  // Sees to it that positions up to `end` have pages that only this sequence writes.  Returns the
  // end that it could reach with the memory there is: at least computed(), at most `end`.  Where
  // there are states it stops where the last whole page ends, so that a copy can be made there.
  std::size_t reserve(std::size_t end);

  // `rows` more positions, reserved before, are computed.
  void advance(std::span<const Token> tokens, std::size_t rows);

  // Starts anew; what was computed stays findable while its memory is not needed.
  void give_back(std::span<const Token> tokens);

  // A second sequence that holds the same so far; the two share pages until one writes.  Where
  // there is no memory for its state it holds nothing.
  SequencePages fork() const;

 private:
  void push(PageIndex page);
  void set(std::size_t index, PageIndex page);
  bool read_stored(std::span<const Token> tokens);
  void keep_stored(std::span<const Token> tokens);
  bool take_state();
  void drop_state();
  void remember_state(std::size_t rows, std::size_t tokens);

  KvCache* cache_;
  StoredPrefix stored_;
  PrefixStore::Id kept_id_;  // of the first kept_ pages
  std::size_t kept_ = 0;     // pages that the disk was given
  bool has_more_stored_ = false;
  std::optional<PrefixEnd> prefix_end_;
  PrefixNode root_, node_;
  std::vector<PageIndex> pages_;
  std::vector<std::byte*> data_;
  std::size_t computed_ = 0;
  std::optional<StateIndex> state_;
  PrefixNode passing_ = 0;  // where a copy of the state was made that the next one replaces
};

// Pages that `tokens` positions take.
constexpr std::size_t pages_for(std::size_t tokens) {
  return (tokens + ops::kv_page_tokens - 1) / ops::kv_page_tokens;
}

}  // namespace hearth
