// Steps: which rows go into the model. What comes of them: stepper_answers.cpp.
#include "runtime/stepper.h"

#include <fmt/core.h>

#include <algorithm>

#include "models/adapter.h"
#include "runtime/step_stop.h"

namespace hearth {
namespace {

Error no_memory(const Sequence& sequence, const KvCache& cache) {
  return Error(
      ErrorKind::exhausted,
      fmt::format("a sequence of {} tokens needs {} pages of keys and values, of {}",
                  sequence.tokens.size(), pages_for(sequence.tokens.size()), cache.total()));
}

}  // namespace

std::string Stepper::cache_salt(const GenerateRequest& asked) {
  std::string salt = asked.cache_salt;
  if (asked.adapters)
    for (const AdapterUse& use : *asked.adapters)
      salt += fmt::format("\n{} {}", use.adapter->key, use.scale);
  return salt;
}

Stepper::Stepper(const Model& model, const ops::Context& context, const StepperOptions& options)
    : model_(model),
      context_(context),
      store_(options.store),
      measures_steps_(options.measures_steps),
      cache_(model.kv_layout().page_bytes, options.kv_pages, model.kv_layout().state_bytes,
             options.states),
      scheduler_(cache_, {.step_tokens = options.step_tokens,
                          .max_running = options.max_running,
                          .lone_step_tokens = options.lone_step_tokens,
                          .guessing_rows = options.guessing_rows}),
      scratch_(static_cast<std::size_t>(context.pool == nullptr ? 1 : context.pool->threads())) {
  if (const auto& small = options.draft_model)
    draft_model_.emplace(
        small, context, options.kv_pages, options.step_tokens,
        static_cast<double>(small->info().weight_bytes) /
            static_cast<double>(std::max<std::uint64_t>(model.info().weight_bytes, 1)));
  else if (model.guesses())
    mtp_.emplace(model, context);
}

void Stepper::add(std::unique_ptr<ActiveRequest> request) {
  const std::string salt = cache_salt(request->asked);
  const PrefixNode root = cache_.root(salt, request->deterministic, request->tier);
  StoredPrefix stored{.store = store_, .root = {}};
  if (!request->rows.empty()) stored.store = nullptr;  // pictures are not kept on the disk
  if (stored.store != nullptr)
    stored.root = store_->root(salt, request->deterministic, request->tier);
  request->usage.prompt_tokens = static_cast<std::int64_t>(request->asked.prompt.size());
  request->choices.push_back(std::make_unique<Sequence>(
      *request, 0, SequencePages(cache_, root, stored), model_.tokenizer()));
  scheduler_.add(*request->choices.front());
  requests_.push_back(std::move(request));
}

void Stepper::step(std::stop_token leaving) {
  const auto begin = Clock::now();
  drop_stopped();
  guess(leaving);
  Plan plan = scheduler_.plan();
  if (plan.stuck != nullptr) {
    const Error error = no_memory(*plan.stuck, cache_);
    end(plan.stuck->request, FinishReason::error, &error);
  }
  while (!plan.slices.empty()) run(take_tier(plan), leaving);
  remove_finished();
  counts_.busy_seconds += seconds(begin, Clock::now());
}

// Moves the slices of the first one's tier out of the plan: rows of different tiers are computed
// apart.
Plan Stepper::take_tier(Plan& plan) {
  const ops::Tier tier = plan.slices.front().sequence->request.tier;
  const auto rest = std::ranges::stable_partition(
      plan.slices, [&](const Slice& slice) { return slice.sequence->request.tier == tier; });
  Plan part;
  part.slices.assign(plan.slices.begin(), rest.begin());
  plan.slices.erase(plan.slices.begin(), rest.begin());
  return part;
}

void Stepper::run(const Plan& plan, const std::stop_token& leaving) {
  context_.tier = plan.slices.front().sequence->request.tier;
  const auto begin = Clock::now();
  const Status status = forward(plan, leaving);
  const bool only_generates = std::ranges::all_of(
      plan.slices, [](const Slice& slice) { return slice.sequence->generates(); });
  if (measures_steps_ && only_generates && status.ok())
    scheduler_.saw_step(tokens_.size(), seconds(begin, Clock::now()));
  if (status.ok())
    answer(plan);
  else
    give_up(plan, status.error(), leaving);
  ++counts_.steps;
}

void Stepper::cancel_all() {
  for (const auto& request : requests_) end(*request, FinishReason::cancelled);
  remove_finished();
}

void Stepper::drop_stopped() {
  for (const auto& request : requests_)
    if (request->asked.stop_token.stop_requested()) end(*request, FinishReason::cancelled);
}

// ---- Before the model: rows in, and what is wanted of them. ----

Status Stepper::forward(const Plan& plan, std::stop_token leaving) {
  tokens_.clear();
  places_.clear();
  sequences_.clear();
  adapters_.clear();
  inputs_.clear();
  before_.clear();
  output_rows_.clear();
  outputs_.clear();
  context_.deterministic = false;
  StepStop stop(std::move(leaving));
  const auto now = Clock::now();
  for (const Slice& slice : plan.slices) {
    ActiveRequest& request = slice.sequence->request;
    if (request.admitted == Clock::time_point{}) request.admitted = now;
    context_.deterministic = context_.deterministic || request.deterministic;
    stop.add(request.asked.stop_token);
    append_rows(slice);
  }
  collect_adapters(plan);
  stop.arm();
  TRY(read_pictures(plan, stop.token()));

  const std::size_t size = output_rows_.size() * model_.info().vocabulary;
  if (size > logits_size_) {
    logits_ = std::make_unique_for_overwrite<float[]>(size);
    logits_size_ = size;
  }
  if (mtp_) hidden_.resize(tokens_.size() * model_.info().dim);
  return model_.forward(context_,
                        {.tokens = tokens_,
                         .places = places_,
                         .sequences = sequences_,
                         .output_rows = output_rows_,
                         .inputs = inputs_,
                         .adapters = adapters_,
                         .before = before_,
                         .hidden = hidden_},
                        {logits_.get(), size}, stop.token());
}

void Stepper::append_rows(const Slice& slice) {
  Sequence& sequence = *slice.sequence;
  const ActiveRequest& request = sequence.request;
  const auto index = static_cast<std::uint32_t>(sequences_.size());
  sequences_.push_back({sequence.pages.data()});
  sequences_.back().state = sequence.pages.state();
  sequences_.back().guesses = static_cast<std::uint32_t>(sequence.drafts.size());
  sequences_.back().certain = sequence.pages.certain_state();
  const std::size_t begin = sequence.pages.computed();
  if (mtp_) before_.push_back(sequence.mtp_state.at(begin));
  for (std::size_t position = begin; position < begin + slice.rows; ++position) {
    const std::size_t next = position + 1;
    std::optional<std::size_t> scored;
    if (request.asked.prompt_logprobs && next < request.asked.prompt.size() &&
        next >= request.scored)
      scored = next;
    if (scored || (next == sequence.tokens.size() && request.max_tokens > 0)) {
      outputs_.push_back({.sequence = &sequence, .row = output_rows_.size(), .scored = scored});
      output_rows_.push_back(static_cast<std::uint32_t>(tokens_.size()));
    }
    if (next > sequence.tokens.size())
      output_rows_.push_back(static_cast<std::uint32_t>(tokens_.size()));  // behind a draft
    const Token token = next > sequence.tokens.size()
                            ? sequence.drafts[position - sequence.tokens.size()]
                            : sequence.tokens[position];
    tokens_.push_back(is_picture_row(token) ? Token{0} : token);
    places_.push_back({index, static_cast<std::uint32_t>(position)});
  }
}

void Stepper::collect_adapters(const Plan& plan) {
  const auto uses = [](const Slice& slice) -> std::span<const AdapterUse> {
    const auto& asked = slice.sequence->request.asked.adapters;
    return asked ? std::span<const AdapterUse>(*asked) : std::span<const AdapterUse>();
  };
  if (std::ranges::all_of(plan.slices, [&](const Slice& slice) { return uses(slice).empty(); }))
    return;
  for (const Slice& slice : plan.slices) adapters_.push_back(uses(slice));
}

// What every row is told beside its token, where one of the prompts holds pictures.
Status Stepper::read_pictures(const Plan& plan, const std::stop_token& stop) {
  if (std::ranges::all_of(plan.slices,
                          [](const Slice& slice) { return slice.sequence->request.rows.empty(); }))
    return Done{};
  for (const auto& [sequence, count] : plan.slices) {
    PromptRows& rows = sequence->request.rows;
    const std::size_t begin = sequence->pages.computed();
    TRY(rows.encode(context_, model_, begin, begin + count, stop));
    for (std::size_t position = begin; position < begin + count; ++position) {
      RowInput input;
      input.place.fill(static_cast<std::uint32_t>(position));
      inputs_.push_back(rows.empty() ? input : rows.at(position));
    }
  }
  return Done{};
}

// A step stops early only when nobody wants it; everybody in it is dropped before the next.
void Stepper::give_up(const Plan& plan, const Error& error, const std::stop_token& leaving) {
  const bool nobody = std::ranges::all_of(plan.slices, [](const Slice& slice) {
    return slice.sequence->request.asked.stop_token.stop_requested();
  });
  if (error.kind() == ErrorKind::cancelled && (nobody || leaving.stop_requested())) return;
  for (const Slice& slice : plan.slices) end(slice.sequence->request, FinishReason::error, &error);
}

}  // namespace hearth
