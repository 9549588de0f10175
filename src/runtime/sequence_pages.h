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

  // Guesses: positions computed behind the certain ones of a step, in the order of these calls.
  // Before the step: whether they could be taken back.
  bool begin_guesses();
  // Where the step copies the state before its guesses to; nullptr: it makes none, or needs none.
  std::byte* certain_state() const { return certain_ ? cache_->states().data(*certain_) : nullptr; }
  // Behind advance(), which counts the certain rows alone: the next of the guesses is right.
  void right_guess(std::span<const Token> tokens);
  // No more of the `count` are.  A state that has read a wrong one goes back to where it was before
  // them all, and the right ones are not computed() yet.
  void end_guesses(std::span<const Token> tokens, std::size_t count);
  // How many positions behind computed() were right guesses, which only the state lacks.
  std::size_t taken_back() const { return taken_back_; }

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
  void drop_certain();
  // Of a sequence that has one: within a step with guesses that is not what the step goes on with.
  StateIndex state_of_computed() const { return certain_ ? *certain_ : *state_; }
  void move(std::span<const Token> tokens, std::size_t rows, bool of_prompt);
  void remember_state(bool ends_prompt);

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
  std::optional<StateIndex> certain_;  // within a step with guesses: the state before them
  std::size_t right_ = 0;              // of these guesses
  std::size_t taken_back_ = 0;
  PrefixNode passing_ = 0;  // where a copy of the state was made that the next one replaces
};

// Pages that `tokens` positions take.
constexpr std::size_t pages_for(std::size_t tokens) {
  return (tokens + ops::kv_page_tokens - 1) / ops::kv_page_tokens;
}

}  // namespace hearth
