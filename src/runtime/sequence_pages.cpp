#include "runtime/sequence_pages.h"

#include <algorithm>
#include <utility>

#include "base/check.h"

namespace hearth {
namespace {

constexpr std::size_t page_tokens = ops::kv_page_tokens;

}  // namespace

SequencePages::SequencePages(SequencePages&& other) noexcept
    : cache_(other.cache_),
      root_(other.root_),
      node_(other.node_),
      pages_(std::exchange(other.pages_, {})),
      data_(std::exchange(other.data_, {})),
      computed_(std::exchange(other.computed_, 0)) {}

SequencePages::~SequencePages() {
  for (std::size_t i = pages_.size(); i-- > 0;) cache_->release(pages_[i]);
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
  const auto match = cache_->find(node_, tokens.first(tokens.size() - 1).subspan(computed_));
  for (const PageIndex page : match.pages) push(page);
  node_ = match.node;
  computed_ += match.pages.size() * page_tokens;
  if (!match.partial) return computed_ - before;

  if (const auto own = cache_->take()) {
    cache_->copy(*own, *match.partial);
    push(*own);
    computed_ += match.partial_tokens;
  }
  cache_->release(*match.partial);
  return computed_ - before;
}

std::size_t SequencePages::reserve(std::size_t end) {
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
  std::size_t whole = computed_ / page_tokens;
  computed_ += rows;
  HEARTH_CHECK(computed_ <= tokens.size() && computed_ <= pages_.size() * page_tokens);
  for (; (whole + 1) * page_tokens <= computed_; ++whole) {
    const auto known =
        cache_->publish(pages_[whole], node_, tokens.subspan(whole * page_tokens, page_tokens));
    set(whole, known.page);
    node_ = known.node;
  }
}

void SequencePages::give_back(std::span<const Token> tokens) {
  const std::size_t whole = computed_ / page_tokens;
  // A page that a fork shares is still being written.
  if (computed_ % page_tokens != 0 && !cache_->is_shared(pages_[whole]))
    cache_->publish(pages_[whole], node_,
                    tokens.subspan(whole * page_tokens, computed_ % page_tokens));
  for (std::size_t i = pages_.size(); i-- > 0;) cache_->release(pages_[i]);
  pages_.clear();
  data_.clear();
  computed_ = 0;
  node_ = root_;
}

SequencePages SequencePages::fork() const {
  SequencePages copy(*cache_, root_);
  for (const PageIndex page : pages_) {
    cache_->retain(page);
    copy.push(page);
  }
  copy.node_ = node_;
  copy.computed_ = computed_;
  return copy;
}

}  // namespace hearth
