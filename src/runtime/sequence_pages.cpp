#include "runtime/sequence_pages.h"

#include <algorithm>
#include <utility>

#include "base/check.h"
#include "runtime/prompt_rows.h"

namespace hearth {
namespace {

constexpr std::size_t page_tokens = ops::kv_page_tokens;
constexpr std::size_t least_kept_pages = 4;         // shorter prompts are computed soon enough
constexpr std::size_t kept_state_tokens = 2048;     // from one lasting copy of a state to the next
constexpr std::size_t most_read_bytes = 64u << 20;  // in one step, which others wait for

}  // namespace

SequencePages::SequencePages(SequencePages&& other) noexcept
    : cache_(other.cache_),
      stored_(other.stored_),
      kept_id_(other.kept_id_),
      kept_(other.kept_),
      has_more_stored_(other.has_more_stored_),
      prefix_end_(other.prefix_end_),
      root_(other.root_),
      node_(other.node_),
      pages_(std::exchange(other.pages_, {})),
      data_(std::exchange(other.data_, {})),
      computed_(std::exchange(other.computed_, 0)),
      state_(std::exchange(other.state_, std::nullopt)),
      certain_(std::exchange(other.certain_, std::nullopt)),
      right_(other.right_),
      taken_back_(other.taken_back_),
      passing_(other.passing_) {}

SequencePages::~SequencePages() {
  drop_state();
  for (std::size_t i = pages_.size(); i-- > 0;) cache_->release(pages_[i]);
}

bool SequencePages::take_state() {
  if (!recurs() || state_) return true;
  state_ = cache_->states().take();
  return state_.has_value();
}

void SequencePages::drop_state() {
  drop_certain();
  if (state_) cache_->states().release(*state_);
  state_.reset();
}

void SequencePages::drop_certain() {
  if (certain_) cache_->states().release(*certain_);
  certain_.reset();
}

// Behind a whole page.  The copy that this one replaces is of no more use to anybody but those who
// left this text within the last pages.
void SequencePages::remember_state(bool ends_prompt) {
  if (!state_ || computed_ % page_tokens != 0) return;
  if (passing_ != 0) cache_->states().forget(passing_);
  cache_->states().remember(node_, state_of_computed());
  passing_ = ends_prompt || computed_ % kept_state_tokens == 0 ? 0 : node_;
}

void SequencePages::push(PageIndex page) {
  pages_.push_back(page);
  data_.push_back(cache_->data(page));
}

void SequencePages::set(std::size_t index, PageIndex page) {
  pages_[index] = page;
  data_[index] = cache_->data(page);
}

std::size_t SequencePages::adopt(std::span<const Token> tokens) {
  const std::size_t before = computed_;
  if (pages_.size() * page_tokens != computed_ || computed_ + 1 >= tokens.size()) return 0;
  auto wanted = tokens.first(tokens.size() - 1);
  if (!take_state()) return 0;
  auto match = cache_->find(node_, wanted.subspan(computed_));
  const std::size_t found = computed_ + match.pages.size() * page_tokens + match.partial_tokens;
  if (const std::size_t end = before_pictures(tokens, found); end != found) {
    for (const PageIndex page : match.pages) cache_->release(page);
    if (match.partial) cache_->release(*match.partial);
    if (!prefix_end_) prefix_end_ = PrefixEnd::picture;
    if (end <= computed_) return 0;
    wanted = tokens.first(end);
    match = cache_->find(node_, wanted.subspan(computed_));
    match.end = PrefixEnd::picture;
  }
  for (const PageIndex page : match.pages) push(page);
  node_ = match.node;
  computed_ += match.pages.size() * page_tokens;
  if (recurs()) {
    if (!match.pages.empty()) cache_->states().copy(*state_, *cache_->states().find(node_));
  } else if (read_stored(wanted)) {
    match.end = PrefixEnd::is_new;
    if (match.partial) cache_->release(*match.partial);
  } else if (match.partial) {
    if (const auto own = cache_->take()) {
      cache_->copy(*own, *match.partial);
      push(*own);
      computed_ += match.partial_tokens;
    }
    cache_->release(*match.partial);
  }
  if (!prefix_end_ || computed_ > before) prefix_end_ = match.end;
  return computed_ - before;
}

// Goes on with whole pages from the disk.  Whether there were any.
bool SequencePages::read_stored(std::span<const Token> tokens) {
  has_more_stored_ = false;
  if (stored_.store == nullptr || computed_ + page_tokens > tokens.size()) return false;
  PrefixStore& store = *stored_.store;
  const std::size_t before = computed_;
  PrefixStore::Id id = kept_id_;
  for (std::size_t page = kept_; page * page_tokens < computed_; ++page)
    id = PrefixStore::next(id, tokens.subspan(page * page_tokens, page_tokens));
  std::size_t bytes = 0;
  while (computed_ + page_tokens <= tokens.size()) {
    const auto held = tokens.subspan(computed_, page_tokens);
    id = PrefixStore::next(id, held);
    if (!store.holds(id)) break;
    has_more_stored_ = bytes >= most_read_bytes;
    if (has_more_stored_) break;
    const auto own = cache_->take();
    if (!own) break;
    if (!store.read(id, {cache_->data(*own), store.page_bytes()})) {
      cache_->release(*own);
      // What damaged this page may have damaged those behind it, which nobody reads before it.
      for (auto rest = tokens.subspan(computed_ + page_tokens); rest.size() >= page_tokens;
           rest = rest.subspan(page_tokens))
        store.forget(id = PrefixStore::next(id, rest.first(page_tokens)));
      break;
    }
    bytes += store.page_bytes();
    const auto known = cache_->publish(*own, node_, held);
    push(known.page);
    node_ = known.node;
    computed_ += page_tokens;
  }
  return computed_ > before;
}

void SequencePages::keep_stored(std::span<const Token> tokens) {
  const std::size_t whole = computed_ / page_tokens;
  if (stored_.store == nullptr || whole < least_kept_pages) return;
  for (; kept_ < whole; ++kept_) {
    kept_id_ = PrefixStore::next(kept_id_, tokens.subspan(kept_ * page_tokens, page_tokens));
    if (!stored_.store->holds(kept_id_))
      stored_.store->write(kept_id_, {data_[kept_], stored_.store->page_bytes()});
  }
}

std::size_t SequencePages::reserve(std::size_t end) {
  if (!take_state()) return computed_;
  const std::size_t border = end / page_tokens * page_tokens;
  if (recurs() && border > computed_ && border >= least_kept_pages * page_tokens) end = border;
  const std::size_t writing = computed_ / page_tokens;
  if (end > computed_ && writing < pages_.size() && cache_->is_shared(pages_[writing])) {
    const auto own = cache_->take();
    if (!own) return computed_;
    cache_->copy(*own, pages_[writing]);
    cache_->release(pages_[writing]);
    set(writing, *own);
  }
  while (pages_.size() * page_tokens < end) {
    const auto page = cache_->take();
    if (!page) return std::max(computed_, pages_.size() * page_tokens);
    push(*page);
  }
  return end;
}

void SequencePages::advance(std::span<const Token> tokens, std::size_t rows) {
  const std::size_t again = std::min(rows, taken_back_);
  taken_back_ -= again;
  move(tokens, rows, rows - again > 1);
}

bool SequencePages::begin_guesses() {
  right_ = 0;
  if (recurs() && !certain_) certain_ = cache_->states().take();
  return !recurs() || certain_.has_value();
}

void SequencePages::right_guess(std::span<const Token> tokens) {
  if (recurs())
    ++right_;
  else
    move(tokens, 1, false);
}

void SequencePages::end_guesses(std::span<const Token> tokens, std::size_t count) {
  if (!certain_) return;
  if (right_ < count) {
    std::swap(state_, certain_);
    taken_back_ = right_;
  }
  drop_certain();
  if (right_ == count) move(tokens, right_, false);
}

void SequencePages::move(std::span<const Token> tokens, std::size_t rows, bool of_prompt) {
  std::size_t whole = computed_ / page_tokens;
  computed_ += rows;
  HEARTH_CHECK(computed_ <= tokens.size() && computed_ <= pages_.size() * page_tokens);
  for (; (whole + 1) * page_tokens <= computed_; ++whole) {
    const auto known =
        cache_->publish(pages_[whole], node_, tokens.subspan(whole * page_tokens, page_tokens));
    set(whole, known.page);
    node_ = known.node;
  }
  keep_stored(tokens);
  remember_state(of_prompt && tokens.size() - computed_ < page_tokens);
}

void SequencePages::give_back(std::span<const Token> tokens) {
  const std::size_t whole = computed_ / page_tokens;
  // A page that a fork shares is still being written.
  if (computed_ % page_tokens != 0 && !recurs() && !cache_->is_shared(pages_[whole]))
    cache_->publish(pages_[whole], node_,
                    tokens.subspan(whole * page_tokens, computed_ % page_tokens));
  for (std::size_t i = pages_.size(); i-- > 0;) cache_->release(pages_[i]);
  drop_state();
  passing_ = 0;
  pages_.clear();
  data_.clear();
  computed_ = kept_ = taken_back_ = 0;
  kept_id_ = stored_.root;
  has_more_stored_ = false;
  prefix_end_.reset();
  node_ = root_;
}

SequencePages SequencePages::fork() const {
  SequencePages copy(*cache_, root_, stored_);
  if (!copy.take_state()) return copy;
  if (state_) cache_->states().copy(*copy.state_, state_of_computed());
  for (const PageIndex page : pages_) {
    cache_->retain(page);
    copy.push(page);
  }
  copy.node_ = node_;
  copy.computed_ = computed_;
  copy.kept_ = kept_;
  copy.kept_id_ = kept_id_;
  return copy;
}

}  // namespace hearth
