// What a step computed becomes tokens, events and the ends of requests.
#include <algorithm>

#include "runtime/stepper.h"

namespace hearth {
namespace {

// The constraint leaves nothing that could follow.
bool is_complete(const Sequence& sequence) {
  return sequence.constraint && sequence.constraint->must_end();
}

// Empty: all.
std::span<const std::uint64_t> allowed_tokens(Sequence& sequence, std::vector<std::uint64_t>& set) {
  if (!sequence.constraint || sequence.constraint->is_free()) return {};
  set.assign(sequence.constraint->words(), 0);
  sequence.constraint->allow(set);
  return set;
}

// A token that a list's items rule out is left out, and another one is drawn.
Result<Token> pick(Sequence& sequence, std::span<const float> logits, SamplerScratch& scratch) {
  const auto allowed = allowed_tokens(sequence, scratch.allowed);
  auto token = sequence.sampler.pick(sequence.tokens, logits, scratch, allowed);
  if (allowed.empty() || !token.ok() || !sequence.constraint->repeats(*token)) return token;
  do {
    const auto place = static_cast<std::size_t>(*token);
    scratch.allowed[place / 64] &= ~(std::uint64_t{1} << place % 64);
    token = sequence.sampler.pick(sequence.tokens, logits, scratch, allowed);
  } while (token.ok() && sequence.constraint->repeats(*token));
  if (token.ok() || token.error().kind() != ErrorKind::invalid) return token;
  return Error(ErrorKind::invalid,
               "uniqueItems: whatever comes next, an item of a list comes a second time");
}

}  // namespace

void Stepper::answer(const Plan& plan) {
  std::size_t end_row = 0;
  for (const auto& [sequence, rows] : plan.slices) {
    end_row += rows;
    sequence->pages.advance(sequence->tokens, rows - sequence->drafts.size());
    if (mtp_)
      sequence->mtp_state.begin(sequence->pages.computed(),
                                made_of(end_row - sequence->drafts.size() - 1));
    if (sequence->pending() == 0 && !sequence->request.is_forked) begin_answer(*sequence);
  }
  choose();
  for (Output& output : outputs_) output.scored ? deliver_scored(output) : deliver(output);
  follow_drafts();
  for (const auto& [sequence, rows] : plan.slices)
    if (sequence->pending() == 0 && sequence->request.max_tokens == 0)
      end(sequence->request, FinishReason::length);
}

// The prompt is computed: every choice goes on from the same logits.
void Stepper::begin_answer(Sequence& first) {
  ActiveRequest& request = first.request;
  request.is_forked = true;
  request.rows.release();
  request.answering = Clock::now();
  request.usage.cached_tokens = static_cast<std::int64_t>(first.adopted);
  request.usage.prefix_end = first.pages.prefix_end();
  ++counts_.prefix_ends[static_cast<std::size_t>(first.pages.prefix_end())];
  counts_.cached_tokens += first.adopted;
  counts_.prompt_tokens += request.asked.prompt.size();
  if (request.asked.prompt_logprobs && request.asked.prompt.size() == 1)
    report_scored(request, 0, {});
  const auto first_output = std::ranges::find_if(
      outputs_, [&](const Output& output) { return output.sequence == &first && !output.scored; });
  const std::size_t row = first_output == outputs_.end() ? 0 : first_output->row;
  for (int choice = 1; choice < request.asked.n; ++choice) {
    request.choices.push_back(
        std::make_unique<Sequence>(request, choice, first.pages.fork(), model_.tokenizer()));
    request.choices.back()->mtp_state = first.mtp_state;
    scheduler_.add_running(*request.choices.back());
    if (request.max_tokens > 0)
      outputs_.push_back({.sequence = request.choices.back().get(), .row = row, .scored = {}});
  }
}

void Stepper::choose() {
  auto range = [&](std::size_t begin, std::size_t end, int worker) {
    for (std::size_t i = begin; i < end; ++i)
      choose(outputs_[i], scratch_[static_cast<std::size_t>(worker)]);
  };
  if (context_.pool != nullptr && outputs_.size() > 1)
    context_.pool->parallel_for(outputs_.size(), 1, range);
  else
    range(0, outputs_.size(), 0);
}

void Stepper::choose(Output& output, SamplerScratch& scratch) const {
  Sequence& sequence = *output.sequence;
  const GenerateRequest& asked = sequence.request.asked;
  const std::size_t vocabulary = model_.info().vocabulary;
  const std::span<const float> logits(logits_.get() + output.row * vocabulary, vocabulary);
  if (output.scored)
    output.token = sequence.tokens[*output.scored];
  else
    output.token = pick(sequence, logits, scratch);
  if (!output.token.ok() || !(asked.logprobs || output.scored)) return;
  auto logprobs = log_probabilities(logits, *output.token, asked.top_logprobs, scratch);
  if (logprobs.ok())
    output.logprobs = std::move(*logprobs);
  else
    output.token = std::move(logprobs).error();
}

void Stepper::deliver(Output& output) {
  Sequence& sequence = *output.sequence;
  ActiveRequest& request = sequence.request;
  if (request.is_over) return;  // another choice of it failed
  if (!output.token.ok()) return end(request, FinishReason::error, &output.token.error());

  const Token token = *output.token;
  if (sequence.constraint)
    if (const Status taken = sequence.constraint->accept(token); !taken.ok())
      return end(request, FinishReason::error, &taken.error());
  ++request.usage.completion_tokens;
  ++counts_.completion_tokens;
  TextStream::Piece piece;
  Event event;
  if (is_end(sequence, token)) {
    piece = sequence.text.finish();
    event.finish = FinishReason::stop;
  } else {
    piece = sequence.text.add({.token = token,
                               .logprob = output.logprobs.logprob,
                               .bytes = text_of(sequence, token),
                               .alternatives = std::move(output.logprobs.alternatives)});
  }
  sequence.tokens.push_back(token);
  event.text = std::move(piece.text);
  event.tokens = std::move(piece.tokens);
  if (piece.stop) {
    event.finish = FinishReason::stop;
    event.stop_string = request.asked.stop[*piece.stop];
  } else if (!event.finish &&
             (is_complete(sequence) || sequence.generated() >= request.max_tokens)) {
    event.finish = is_complete(sequence) ? FinishReason::stop : FinishReason::length;
    TextStream::Piece rest = sequence.text.finish();
    event.text += rest.text;
    std::ranges::move(rest.tokens, std::back_inserter(event.tokens));
  }
  if (event.finish || !event.text.empty() || !event.tokens.empty())
    emit(sequence, std::move(event));
}

void Stepper::deliver_scored(const Output& output) {
  Sequence& sequence = *output.sequence;
  ActiveRequest& request = sequence.request;
  if (request.is_over) return;
  if (!output.token.ok()) return end(request, FinishReason::error, &output.token.error());
  if (*output.scored == 1) report_scored(request, 0, {});
  report_scored(request, *output.scored, output.logprobs);
  request.scored = *output.scored + 1;
}

void Stepper::report_scored(const ActiveRequest& request, std::size_t place,
                            const Logprobs& logprobs) const {
  const Token token = request.asked.prompt[place];
  Event event;
  event.is_prompt = true;
  event.tokens.push_back({.token = token,
                          .logprob = logprobs.logprob,
                          .bytes = std::string(model_.tokenizer().piece(token, true)),
                          .alternatives = logprobs.alternatives});
  request.on_event(event);
}

bool Stepper::is_end(const Sequence& sequence, Token token) const {
  const GenerateRequest& asked = sequence.request.asked;
  if (std::ranges::find(asked.stop_tokens, token) != asked.stop_tokens.end()) return true;
  return (!asked.ignore_end || sequence.constraint) && model_.tokenizer().ends_generation(token);
}

// What the token adds to the answer.  Right after the beginning of a text a vocabulary may drop
// the space that marks a word's beginning.
std::string Stepper::text_of(const Sequence& sequence, Token token) const {
  const Tokenizer& tokenizer = model_.tokenizer();
  const bool special = sequence.request.asked.show_special;
  std::string_view piece = tokenizer.piece(token, special);
  if (sequence.generated() == 0 && !sequence.constraint && piece.starts_with(' ') &&
      sequence.tokens.back() == tokenizer.special().bos &&
      tokenizer.decode(std::span(&token, 1), special) == piece.substr(1))
    piece.remove_prefix(1);
  return std::string(piece);
}

// ---- Events, and the end of a request. ----

void Stepper::emit(Sequence& sequence, Event event) {
  ActiveRequest& request = sequence.request;
  event.choice = sequence.choice;
  if (event.finish) {
    sequence.is_finished = true;
    scheduler_.remove(sequence);
    if (++request.finished == request.asked.n) close(request, *event.finish, event);
  }
  request.on_event(event);
}

// Ends every choice that is not finished.
void Stepper::end(ActiveRequest& request, FinishReason finish, const Error* error) {
  for (int choice = 0; choice < request.asked.n && !request.is_over; ++choice) {
    const auto place = static_cast<std::size_t>(choice);
    Sequence* const sequence =
        place < request.choices.size() ? request.choices[place].get() : nullptr;
    if (sequence == nullptr || !sequence->is_finished)
      end_choice(request, choice, sequence, finish, error);
  }
}

// sequence: nullptr for a choice that has not begun.
void Stepper::end_choice(ActiveRequest& request, int choice, Sequence* sequence,
                         FinishReason finish, const Error* error) {
  Event event;
  event.choice = choice;
  event.finish = finish;
  if (sequence != nullptr) {
    TextStream::Piece rest = sequence->text.finish();
    event.text = std::move(rest.text);
    event.tokens = std::move(rest.tokens);
    sequence->is_finished = true;
    scheduler_.remove(*sequence);
  }
  if (++request.finished == request.asked.n) {
    if (error != nullptr) event.error.emplace(*error);
    close(request, finish, event);
  }
  request.on_event(event);
}

void Stepper::close(ActiveRequest& request, FinishReason finish, Event& event) {
  request.is_over = true;
  const auto now = Clock::now();
  const bool is_admitted = request.admitted != Clock::time_point{};
  const bool is_answering = request.answering != Clock::time_point{};
  request.usage.queue_seconds = seconds(request.submitted, is_admitted ? request.admitted : now);
  request.usage.prefill_seconds = seconds(request.admitted, is_answering ? request.answering : now);
  request.usage.decode_seconds = seconds(request.answering, now);
  event.last = true;
  event.usage = request.usage;
  auto& counter = finish == FinishReason::cancelled ? counts_.cancelled
                  : finish == FinishReason::error   ? counts_.failed
                                                    : counts_.done;
  ++counter;
}

void Stepper::remove_finished() {
  std::erase_if(requests_, [](const auto& request) { return request->is_over; });
}

}  // namespace hearth
