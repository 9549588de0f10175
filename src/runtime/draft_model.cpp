#include "runtime/draft_model.h"

#include <fmt/core.h>

#include <algorithm>
#include <chrono>
#include <cmath>

namespace hearth {
namespace {

// Guesses by their probability, and how often such are right before any was made.
constexpr float kind_ends[] = {0.2f, 0.4f, 0.6f, 0.8f, 0.9f, 0.95f, 0.99f};
constexpr double first_chances[] = {0.15, 0.3, 0.5, 0.65, 0.8, 0.88, 0.94, 0.98};
constexpr double first_chance = 0.7;      // of any
constexpr double first_weight = 4;        // tries that these count for
constexpr double forgetting = 0.98;       // with every try
constexpr double forgetting_idle = 0.99;  // with every draft that would not pay
constexpr double smoothing = 0.9;         // of the time of a round
constexpr float far_below = 12;           // logits so much below the greatest add nothing

std::size_t kind_of(float probability) {
  return static_cast<std::size_t>(std::ranges::upper_bound(kind_ends, probability) -
                                  std::begin(kind_ends));
}

}  // namespace

DraftModel::DraftModel(std::shared_ptr<const Model> model, const ops::Context& context,
                       std::uint32_t kv_pages, std::size_t step_tokens, double weight_share)
    : model_(std::move(model)),
      context_(context),
      step_tokens_(step_tokens),
      weight_share_(weight_share),
      cache_(model_->kv_layout().page_bytes, kv_pages) {
  context_.deterministic = false;
}

DraftReader DraftModel::begin(std::string_view salt) {
  return DraftReader(SequencePages(cache_, cache_.root(salt, false)));
}

std::uint64_t DraftModel::kv_bytes() const {
  return std::uint64_t{cache_.used() + cache_.idle()} * model_->kv_layout().page_bytes;
}

std::uint64_t DraftModel::kv_bytes_total() const {
  return std::uint64_t{cache_.total()} * model_->kv_layout().page_bytes;
}

double DraftModel::chance(const Record& record, double first) const {
  return (record.right + first * first_weight) / (record.tried + first_weight);
}

// A token of each draft, as a share of a step for one of them.
double DraftModel::round_cost(const DraftCosts& costs, std::size_t drafts) const {
  const bool is_known = round_seconds_ > 0 && costs.step_seconds > 0;
  const double round = is_known ? round_seconds_ / costs.step_seconds : weight_share_;
  return round / static_cast<double>(std::max<std::size_t>(drafts, 1));
}

void DraftModel::report(DraftReader& reader, std::size_t drafted, std::size_t right) {
  for (std::size_t i = 0; i < std::min({drafted, right + 1, reader.kinds.size()}); ++i)
    for (Record* record : {&records_[reader.kinds[i]], &all_}) {
      record->tried = record->tried * forgetting + 1;
      record->right = record->right * forgetting + (i < right ? 1 : 0);
    }
  reader.kinds.clear();
}

// Those that are worth a guess.
std::vector<DraftModel::Draft> DraftModel::admit(std::span<Wish> wishes, const DraftCosts& costs) {
  std::vector<Draft> drafts;
  const bool pays = chance(all_, first_chance) > round_cost(costs, wishes.size()) + costs.row;
  if (!pays) {
    all_.tried *= forgetting_idle;  // the texts may have changed
    all_.right *= forgetting_idle;
    return drafts;
  }
  const std::size_t context = model_->info().context_length;
  for (Wish& wish : wishes)
    if (wish.most > 0 && (context == 0 || wish.tokens.size() + wish.most <= context))
      drafts.push_back({.wish = &wish});
  return drafts;
}

// The rows of what the sequence holds and the model has not read.  False: there is more of it than
// one step reads, or no memory.
bool DraftModel::read_on(Wish& wish, std::size_t& budget) {
  DraftReader& reader = *wish.reader;
  SequencePages& pages = reader.pages;
  for (const Token token : reader.ahead) {
    if (pages.computed() + 1 >= wish.tokens.size() || wish.tokens[pages.computed()] != token) break;
    pages.advance(wish.tokens, 1);
  }
  reader.ahead.clear();
  if (wish.tokens.size() - pages.computed() > 1) pages.adopt(wish.tokens);
  const std::size_t begin = pages.computed();
  const std::size_t wanted = wish.tokens.size() + wish.most;
  const std::size_t room = pages.reserve(wanted);
  const std::size_t end = std::min({wish.tokens.size(), begin + budget, room});
  add_rows(wish, begin, end);
  budget -= end - begin;
  return end == wish.tokens.size() && room == wanted;
}

// Positions of the sequence with its draft behind it.
void DraftModel::add_rows(const Wish& wish, std::size_t begin, std::size_t end) {
  const auto index = static_cast<std::uint32_t>(sequences_.size());
  if (begin == end) return;
  sequences_.push_back({wish.reader->pages.data()});
  const std::size_t known = wish.tokens.size();
  for (std::size_t position = begin; position < end; ++position) {
    tokens_.push_back(position < known ? wish.tokens[position] : wish.drafts[position - known]);
    places_.push_back({index, static_cast<std::uint32_t>(position)});
  }
}

Status DraftModel::forward(const std::stop_token& stop) {
  if (tokens_.empty()) return Done{};
  const std::size_t size = output_rows_.size() * model_->info().vocabulary;
  if (logits_.size() < size) logits_.resize(size);
  return model_->forward(
      context_,
      {.tokens = tokens_, .places = places_, .sequences = sequences_, .output_rows = output_rows_},
      std::span(logits_).first(size), stop);
}

DraftModel::Guess DraftModel::likeliest(std::size_t output) const {
  const std::size_t vocabulary = model_->info().vocabulary;
  const auto logits = std::span(logits_).subspan(output * vocabulary, vocabulary);
  const auto best = std::ranges::max_element(logits);
  float sum = 0;
  for (const float logit : logits)
    if (logit > *best - far_below) sum += std::exp(logit - *best);
  return {static_cast<Token>(best - logits.begin()), 1 / sum};
}

// Whether the draft goes on: the token is worth its row, and another one its time.
bool DraftModel::take(Draft& draft, const Guess& guess, const DraftCosts& costs, double round) {
  Wish& wish = *draft.wish;
  draft.time += round;
  const std::size_t kind = kind_of(guess.probability);
  const double reached = draft.reached * chance(records_[kind], first_chances[kind]);
  if ((draft.expected + reached) / (draft.time + costs.row) <= draft.expected / draft.time)
    return false;
  wish.drafts.push_back(guess.token);
  wish.reader->kinds.push_back(kind);
  draft.reached = reached;
  draft.expected += reached;
  draft.time += costs.row;
  const double next = draft.expected + reached * chance(all_, first_chance);
  return wish.drafts.size() < wish.most &&
         next / (draft.time + round + costs.row) > draft.expected / draft.time;
}

Status DraftModel::draft(std::span<Wish> wishes, const DraftCosts& costs,
                         const std::stop_token& stop) {
  using Clock = std::chrono::steady_clock;
  std::vector<Draft> drafts = admit(wishes, costs);
  const double round = round_cost(costs, drafts.size());
  std::size_t budget = step_tokens_;
  for (std::size_t count = 0; !drafts.empty(); ++count) {
    tokens_.clear();
    places_.clear();
    sequences_.clear();
    output_rows_.clear();
    std::vector<Draft> going;
    std::vector<std::pair<Wish*, std::size_t>> read;  // rows of the sequences themselves
    for (Draft& draft : drafts) {
      Wish& wish = *draft.wish;
      const std::size_t before = tokens_.size();
      bool is_whole = true;
      if (count == 0) {
        wish.reader->kinds.clear();
        is_whole = read_on(wish, budget);
        read.emplace_back(&wish, tokens_.size() - before);
      } else {
        const std::size_t end = wish.tokens.size() + wish.drafts.size();
        add_rows(wish, end - 1, end);
      }
      if (!is_whole) continue;
      output_rows_.push_back(static_cast<std::uint32_t>(tokens_.size() - 1));
      going.push_back(draft);
    }
    const auto begin = Clock::now();
    TRY(forward(stop));
    const double seconds = std::chrono::duration<double>(Clock::now() - begin).count();
    if (tokens_.size() == going.size() && !going.empty())
      round_seconds_ =
          round_seconds_ == 0 ? seconds : smoothing * round_seconds_ + (1 - smoothing) * seconds;
    for (const auto& [wish, rows] : read) wish->reader->pages.advance(wish->tokens, rows);
    if (count > 0)
      for (const Draft& draft : going)
        draft.wish->reader->ahead.push_back(draft.wish->drafts.back());
    drafts.clear();
    for (std::size_t i = 0; i < going.size(); ++i)
      if (take(going[i], likeliest(i), costs, round)) drafts.push_back(going[i]);
  }
  return Done{};
}

Status check_draft_model(const Model& large, const Model& small) {
  const auto refuse = [&](std::string_view why) {
    return Error(ErrorKind::unsupported, fmt::format("{} cannot guess for {}: {}",
                                                     small.info().name, large.info().name, why));
  };
  if (small.info().kind != ModelKind::generator) return refuse("it does not generate");
  if (small.kv_layout().state_bytes > 0)
    return refuse("its recurrent layers cannot take a wrong guess back");
  const Tokenizer &ours = large.tokenizer(), &theirs = small.tokenizer();
  const Token shared = std::min(ours.size(), theirs.size());
  Token different = 0;
  for (Token token = 0; token < shared; ++token)
    different += ours.piece(token, true) != theirs.piece(token, true);
  // Families name some control tokens anew.
  if (different > shared / 100)
    return refuse(fmt::format("{} of {} tokens mean something else", different, shared));
  return Done{};
}

}  // namespace hearth
