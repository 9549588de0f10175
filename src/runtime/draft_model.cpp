#include "runtime/draft_model.h"

#include <fmt/core.h>

#include <algorithm>
#include <chrono>

namespace hearth {

DraftModel::DraftModel(std::shared_ptr<const Model> model, const ops::Context& context,
                       std::uint32_t kv_pages, std::size_t step_tokens, double weight_share)
    : model_(std::move(model)),
      context_(context),
      step_tokens_(step_tokens),
      cache_(model_->kv_layout().page_bytes, kv_pages),
      odds_(weight_share) {
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

// Those that are worth a guess.
std::vector<DraftModel::Wish*> DraftModel::admit(std::span<Wish> wishes, const GuessCosts& costs) {
  std::vector<Wish*> worth;
  if (!odds_.pays(costs, wishes.size())) return worth;
  const std::size_t context = model_->info().context_length;
  for (Wish& wish : wishes)
    if (wish.most > 0 && (context == 0 || wish.tokens.size() + wish.most <= context))
      worth.push_back(&wish);
  return worth;
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
    tokens_.push_back(position < known ? wish.tokens[position]
                                       : wish.draft.tokens[position - known]);
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

Status DraftModel::draft(std::span<Wish> wishes, const GuessCosts& costs,
                         const std::stop_token& stop) {
  using Clock = std::chrono::steady_clock;
  std::vector<Wish*> drafts = admit(wishes, costs);
  const double round = odds_.round_cost(costs, drafts.size());
  const std::size_t vocabulary = model_->info().vocabulary;
  std::size_t budget = step_tokens_;
  for (std::size_t count = 0; !drafts.empty(); ++count) {
    tokens_.clear();
    places_.clear();
    sequences_.clear();
    output_rows_.clear();
    std::vector<Wish*> going;
    std::vector<std::pair<Wish*, std::size_t>> read;  // rows of the sequences themselves
    for (Wish* wish : drafts) {
      const std::size_t before = tokens_.size();
      bool is_whole = true;
      if (count == 0) {
        is_whole = read_on(*wish, budget);
        read.emplace_back(wish, tokens_.size() - before);
      } else {
        const std::size_t end = wish->tokens.size() + wish->draft.tokens.size();
        add_rows(*wish, end - 1, end);
      }
      if (!is_whole) continue;
      output_rows_.push_back(static_cast<std::uint32_t>(tokens_.size() - 1));
      going.push_back(wish);
    }
    const auto begin = Clock::now();
    TRY(forward(stop));
    const double seconds = std::chrono::duration<double>(Clock::now() - begin).count();
    if (tokens_.size() == going.size() && !going.empty()) odds_.saw_round(seconds);
    for (const auto& [wish, rows] : read) wish->reader->pages.advance(wish->tokens, rows);
    if (count > 0)
      for (Wish* wish : going) wish->reader->ahead.push_back(wish->draft.tokens.back());
    drafts.clear();
    for (std::size_t i = 0; i < going.size(); ++i) {
      const auto logits = std::span(logits_).subspan(i * vocabulary, vocabulary);
      if (odds_.take(going[i]->draft, logits, costs, round, going[i]->most))
        drafts.push_back(going[i]);
    }
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
