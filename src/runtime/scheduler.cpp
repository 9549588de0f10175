#include "runtime/scheduler.h"

#include <algorithm>

#include "base/check.h"

namespace hearth {
namespace {

constexpr std::size_t page_tokens = ops::kv_page_tokens;

// Prompts get at least this part of a step, whatever else generates.
constexpr std::size_t least_prompt_share = 8;

void insert_by_age(std::vector<Sequence*>& list, Sequence& sequence) {
  const auto place = std::ranges::find_if(
      list, [&](const Sequence* other) { return sequence.is_older_than(*other); });
  list.insert(place, &sequence);
}

bool may_adopt(const Sequence& sequence) {
  return !sequence.request.asked.prompt_logprobs ||
         sequence.request.scored >= sequence.request.asked.prompt.size();
}

std::size_t most_rows(const Sequence& sequence) {
  return may_adopt(sequence) ? sequence.pending() : std::min(sequence.pending(), max_scored_rows);
}

// The tokens of the page that the sequence is filling; empty when it will not fill it.
std::span<const Token> page_in_progress(const Sequence& sequence) {
  const std::size_t begin = sequence.pages.computed() / page_tokens * page_tokens;
  const std::span tokens(sequence.tokens);
  if (begin + page_tokens > tokens.size()) return {};
  return tokens.subspan(begin, page_tokens);
}

// The rows of a step that has room for so many: drafts that find none, or that the state could not
// take back, are left out.
std::size_t with_drafts(Sequence& sequence, std::size_t room) {
  const std::size_t certain = std::min(sequence.pending(), room);
  if (sequence.drafts.size() > room - certain) sequence.drafts.resize(room - certain);
  if (!sequence.drafts.empty() && !sequence.pages.begin_guesses()) sequence.drafts.clear();
  return certain + sequence.drafts.size();
}

}  // namespace

void Scheduler::add(Sequence& sequence) { insert_by_age(waiting_, sequence); }

void Scheduler::add_running(Sequence& sequence) { insert_by_age(running_, sequence); }

void Scheduler::remove(Sequence& sequence) {
  std::erase(waiting_, &sequence);
  std::erase(running_, &sequence);
  sequence.pages.give_back(sequence.tokens);
}

Plan Scheduler::plan() {
  admit();
  give_rows();
  Plan plan;
  for (std::size_t i = 0; i < running_.size(); ++i) {
    Sequence& sequence = *running_[i];
    if (rows_[i] == 0) continue;
    const std::size_t computed = sequence.pages.computed();
    const PromptRows& pictures = sequence.request.rows;
    const auto reach = [&] {
      const std::size_t wanted = pictures.whole_end(computed + rows_[i]);
      const std::size_t end = sequence.pages.reserve(wanted);
      return end == wanted ? end : pictures.whole_end_before(computed, end);
    };
    std::size_t reached = reach();
    while (reached == computed && running_.size() > i + 1) {
      preempt_youngest();
      reached = reach();
    }
    if (reached > computed) {
      plan.slices.push_back({&sequence, with_drafts(sequence, reached - computed)});
    } else if (i > 0) {
      preempt_youngest();  // that is this one
    } else {
      plan.stuck = &sequence;
    }
  }
  std::ranges::stable_partition(plan.slices,
                                [](const Slice& slice) { return slice.sequence->generates(); });
  return plan;
}

void Scheduler::admit() {
  std::uint32_t width = 0;
  for (const Sequence* sequence : running_) width += sequence->width();
  while (!waiting_.empty()) {
    Sequence& next = *waiting_.front();
    if (!running_.empty() && (width + next.width() > limits_.max_running || !has_room_for(next)))
      return;
    waiting_.erase(waiting_.begin());
    insert_by_age(running_, next);
    width += next.width();
  }
}

// Enough for its tokens, for what running sequences still lack for theirs, and one page for each.
bool Scheduler::has_room_for(const Sequence& next) const {
  std::size_t needed = pages_for(next.tokens.size() + 1) + running_.size();
  if (may_adopt(next))
    needed -= std::min<std::size_t>(needed, cache_.count_in_use(next.pages.node(), next.tokens));
  for (const Sequence* sequence : running_) {
    const std::size_t wanted = pages_for(sequence->tokens.size() + 1);
    needed += wanted - std::min(wanted, sequence->pages.count());
  }
  return needed <= cache_.total() - cache_.used();
}

Scheduler::GuessingRoom Scheduler::guessing_room() const {
  std::size_t generating = 0;
  for (const Sequence* sequence : running_) generating += sequence->generates();
  if (generating == 0) return {};
  const std::size_t share = limits_.guessing_rows / generating;
  return {.most = share > 0 ? share - 1 : 0,
          .costs = {.row = step_cost_.of_row(generating) * static_cast<double>(generating),
                    .step_seconds = step_cost_.of_step(generating),
                    .takes_back = cache_.states().is_needed()}};
}

void Scheduler::give_rows() {
  rows_.assign(running_.size(), 0);
  std::vector<const Sequence*> older;  // that are computing their prompts
  std::size_t rows = 0;
  for (std::size_t i = 0; i < running_.size(); ++i) {
    Sequence& sequence = *running_[i];
    if (!sequence.generates() && may_adopt(sequence))
      sequence.adopted += sequence.pages.adopt(sequence.tokens);
    if (sequence.generates()) {
      rows_[i] = sequence.pending() + sequence.drafts.size();
      rows += rows_[i];
    } else if (!sequence.pages.has_more_stored() && !waits_for_older(sequence, older)) {
      rows_[i] = most_rows(sequence);
    }
  }
  if (rows == 0 && limits_.lone_step_tokens > 0) return share_rows(limits_.lone_step_tokens);
  const std::size_t left = limits_.step_tokens - std::min<std::size_t>(limits_.step_tokens, rows);
  share_rows(std::max<std::size_t>({left, limits_.step_tokens / least_prompt_share, 1}));
}

// Cuts the rows of sequences that compute prompts down to `budget`: equal shares, what one does
// not need goes to the others.  Where there are fewer rows than sequences they take turns.
void Scheduler::share_rows(std::size_t budget) {
  std::vector<std::size_t> sharing;
  for (std::size_t i = 0; i < running_.size(); ++i)
    if (rows_[i] > 0 && !running_[i]->generates()) sharing.push_back(i);
  if (sharing.empty()) return;
  ++turn_;
  std::ranges::rotate(sharing,
                      sharing.begin() + static_cast<std::ptrdiff_t>(turn_ % sharing.size()));
  std::vector<std::size_t> given(rows_.size(), 0);
  for (bool again = true; budget > 0 && again;) {
    again = false;
    const std::size_t share = std::max<std::size_t>(1, budget / sharing.size());
    for (const std::size_t i : sharing) {
      const std::size_t more = std::min({share, rows_[i] - given[i], budget});
      given[i] += more;
      budget -= more;
      again = again || more > 0;
    }
  }
  for (const std::size_t i : sharing) rows_[i] = given[i];
}

// Whether an older sequence is computing the very page that this one needs next: once it is
// complete this one adopts it.
bool Scheduler::waits_for_older(Sequence& sequence, std::vector<const Sequence*>& older) const {
  const auto page = page_in_progress(sequence);
  if (page.empty()) return false;
  const bool needs_it_whole = sequence.pages.computed() % page_tokens == 0 &&
                              sequence.pending() > page_tokens && may_adopt(sequence);
  if (needs_it_whole)
    for (const Sequence* other : older)
      if (other->pages.node() == sequence.pages.node() &&
          std::ranges::equal(page_in_progress(*other), page))
        return true;
  older.push_back(&sequence);
  return false;
}

void Scheduler::preempt_youngest() {
  HEARTH_CHECK(!running_.empty());
  Sequence& youngest = *running_.back();
  running_.pop_back();
  rows_.pop_back();
  youngest.pages.give_back(youngest.tokens);
  if (!youngest.request.is_forked) youngest.adopted = 0;
  insert_by_age(waiting_, youngest);
  ++preemptions_;
}

}  // namespace hearth
