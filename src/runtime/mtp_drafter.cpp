#include "runtime/mtp_drafter.h"

#include <algorithm>
#include <chrono>

namespace hearth {
namespace {

// A layer of so many, and the output matrix, which is often worth a few.
double first_round(const ModelInfo& info) {
  constexpr double layers_of_output = 3;
  return (1 + layers_of_output) / std::max(layers_of_output + info.layers, 1.0);
}

// Of the token that a draft goes on behind.
std::size_t position_of(const MtpDrafter::Wish& wish) {
  return wish.tokens.size() - 1 + wish.draft.tokens.size();
}

}  // namespace

MtpDrafter::MtpDrafter(const Model& model, const ops::Context& context)
    : model_(model), context_(context), odds_(first_round(model.info())) {
  context_.deterministic = false;
}

// One token of every draft: the logits behind it, and what is made of it.
Status MtpDrafter::round(std::span<Wish* const> drafts, const std::stop_token& stop) {
  std::vector<Token> tokens;
  std::vector<ops::RowPlace> places;
  std::vector<ops::KvSequence> sequences;
  std::vector<const float*> before;
  for (const Wish* wish : drafts) {
    const auto index = static_cast<std::uint32_t>(sequences.size());
    const auto& guessed = wish->draft.tokens;
    tokens.push_back(guessed.empty() ? wish->tokens.back() : guessed.back());
    places.push_back({index, static_cast<std::uint32_t>(position_of(*wish))});
    sequences.push_back({wish->pages->data()});
    before.push_back(wish->before);
  }
  const ModelInfo& info = model_.info();
  logits_.resize(drafts.size() * info.vocabulary);
  hidden_.resize(drafts.size() * info.dim);
  return model_.guess(context_,
                      {.tokens = tokens,
                       .places = places,
                       .sequences = sequences,
                       .output_rows = {},
                       .before = before,
                       .hidden = hidden_},
                      logits_, stop);
}

Status MtpDrafter::draft(std::span<Wish> wishes, const GuessCosts& costs,
                         const std::stop_token& stop) {
  using Clock = std::chrono::steady_clock;
  std::vector<Wish*> drafts;
  if (!odds_.pays(costs, wishes.size())) return Done{};
  for (Wish& wish : wishes) drafts.push_back(&wish);
  const ModelInfo& info = model_.info();
  const double cost = odds_.round_cost(costs, drafts.size());
  for (;;) {
    std::erase_if(drafts, [](const Wish* wish) {  // where there is no memory
      const std::size_t end = position_of(*wish) + 1;
      return wish->pages->reserve(end) < end;
    });
    if (drafts.empty()) return Done{};
    const auto begin = Clock::now();
    TRY(round(drafts, stop));
    odds_.saw_round(std::chrono::duration<double>(Clock::now() - begin).count());
    std::vector<Wish*> going;
    before_.clear();
    before_.reserve(hidden_.size());
    for (std::size_t i = 0; i < drafts.size(); ++i) {
      const auto logits = std::span(logits_).subspan(i * info.vocabulary, info.vocabulary);
      if (!odds_.take(drafts[i]->draft, logits, costs, cost, drafts[i]->most)) continue;
      const auto made = std::span(hidden_).subspan(i * info.dim, info.dim);
      drafts[i]->before = before_.data() + before_.size();
      before_.insert(before_.end(), made.begin(), made.end());
      going.push_back(drafts[i]);
    }
    drafts = std::move(going);
  }
}

}  // namespace hearth
