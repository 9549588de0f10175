#include "server/generation.h"

#include <fmt/core.h>

#include <algorithm>

#include "server/access/door.h"
#include "server/endpoints.h"
#include "server/interfaces.h"
#include "server/tool_messages.h"

namespace hearth::server {
namespace {

void add(Usage& sum, const Usage& part) {
  sum.prompt_tokens += part.prompt_tokens;
  sum.cached_tokens += part.cached_tokens;
  sum.prefix_end = part.prefix_end;
  sum.completion_tokens += part.completion_tokens;
  sum.guessed_tokens += part.guessed_tokens;
  sum.guessed_right += part.guessed_right;
  sum.queue_seconds += part.queue_seconds;
  sum.prefill_seconds += part.prefill_seconds;
  sum.decode_seconds += part.decode_seconds;
}

const std::vector<Adapters::Entry> no_adapters;

std::int64_t context_for(const Task& task, const Runner& runner) {
  const std::int64_t context = runner.context_tokens();
  return std::min(context, task.context_tokens.value_or(context));
}

}  // namespace

Generation::Generation(Service& service, Call call, Lease lease, Task task,
                       std::unique_ptr<Encoder> encoder, std::unique_ptr<ToolLoop> loop)
    : service_(service),
      call_(std::move(call)),
      lease_(std::move(lease)),
      task_(std::move(task)),
      asked_(task_.asked),
      context_tokens_(context_for(task_, *lease_->runner)),
      encoder_(std::move(encoder)),
      loop_(std::move(loop)),
      on_leaving_(call_.responder->stop(),
                  [source = cancel_]() mutable { source.request_stop(); }) {
  frame_.id = call_.request.id.substr(4);
  frame_.model = lease_->id;
  frame_.created = unix_seconds();
  frame_.began = call_.began;
  frame_.is_predicted = !asked_.generate.predicted.empty();
  for (const Prompt& prompt : task_.prompts)
    frame_.prompt_tokens += static_cast<std::int64_t>(prompt.tokens.size());
}

std::int64_t Generation::room_for(const Prompt& prompt) {
  const std::int64_t free = context_tokens_ - static_cast<std::int64_t>(prompt.tokens.size());
  if (!asked_.max_tokens) return std::min(task_.standard_max_tokens, free);
  if (*asked_.max_tokens <= free) return *asked_.max_tokens;
  frame_.lowered_max_tokens = std::min(free, frame_.lowered_max_tokens.value_or(free));
  return free;
}

Check Generation::submit(std::size_t index, const Prompt& prompt) {
  GenerateRequest request = asked_.generate;
  request.prompt = prompt.tokens;
  request.pictures = prompt.pictures;
  request.max_tokens = room_for(prompt);
  // The best is the likeliest per token.
  request.logprobs = request.logprobs || request.n > asked_.n;
  request.adapters = adapters_;
  request.cache_salt = call_.tenant;
  request.stop_token = cancel_.get_token();
  TRY(lease_->runner->submit(
      std::move(request),
      [self = shared_from_this(), index](const Event& event) { self->on_event(index, event); }));
  return Done{};
}

Check Generation::choose_adapters() {
  if (!asked_.adapters) return Done{};
  const auto& entries = lease_->adapters ? lease_->adapters->entries() : no_adapters;
  std::vector<float> scales(entries.size(), 0);
  for (const auto& [which, scale] : *asked_.adapters) {
    const auto named = [&](const Adapters::Entry& entry) {
      const auto* name = std::get_if<std::string>(&which);
      return name != nullptr ? entry.name == *name
                             : std::cmp_equal(&entry - entries.data(), std::get<0>(which));
    };
    const auto found = std::ranges::find_if(entries, named);
    if (found == entries.end())
      return invalid_value("lora",
                           fmt::format("names an adapter that {} has not: it has {}, listed at "
                                       "/lora-adapters",
                                       lease_->id, entries.size()));
    scales[static_cast<std::size_t>(found - entries.begin())] = scale;
  }
  adapters_ = lease_->adapters ? lease_->adapters->uses(scales) : std::vector<AdapterUse>();
  return Done{};
}

void Generation::refuse(Problem problem) {
  if (!asked_.stream || !encoder_->fails_in_stream())
    return send(service_, call_, std::move(problem));
  const std::lock_guard lock(mutex_);
  begin_stream();
  write(encoder_->failure(frame_, problem));
  call_.responder->finish();
  is_over_ = true;
}

void Generation::start() {
  const std::vector<Prompt>& prompts = task_.prompts;
  Check chosen = choose_adapters();
  if (!chosen.ok()) return refuse(std::move(chosen).error());
  for (const Prompt& prompt : prompts) {
    const auto tokens = static_cast<std::int64_t>(prompt.tokens.size());
    const bool needs_room = !(asked_.max_tokens && *asked_.max_tokens == 0);
    if (tokens + (needs_room ? 1 : 0) > context_tokens_) {
      Problem problem = context_overflow(interface_of(call_.request), tokens, context_tokens_);
      problem.param = task_.prompt_field;
      refuse(std::move(problem));
      return;
    }
  }
  choices_.resize(prompts.size() * static_cast<std::size_t>(asked_.generate.n));
  for (Choice& choice : choices_) begin_round(choice);
  if (loop_ && !asked_.stream) encoder_->offered(frame_, loop_->offer());
  if (loop_ && !loop_->approved.empty()) return run_approved();
  {
    const std::lock_guard lock(mutex_);
    open_prompts_ = prompts.size();
  }
  std::size_t submitted = 0;
  std::optional<Problem> problem;
  for (; submitted < prompts.size() && !problem; ++submitted) {
    Check done = submit(submitted, prompts[submitted]);
    if (!done.ok()) {
      problem = std::move(done).error();
      break;
    }
  }
  if (problem) cancel_.request_stop();

  const std::lock_guard lock(mutex_);
  open_prompts_ -= prompts.size() - submitted;
  if (problem && !problem_) problem_ = std::move(problem);
  if (!problem_ && asked_.stream) begin_stream();
  is_started_ = true;
  for (const auto& [prompt, event] : std::exchange(early_, {})) handle(prompt, event);
  const bool goes_on = next_ != ToolLoop::Next::end;  // tools are being run
  if (open_prompts_ == 0 && !is_over_ && !goes_on) finish_all();
}

http::Headers Generation::notes() const {
  http::Headers headers;
  if (frame_.lowered_max_tokens)
    headers.push_back({"x-hearth-max-tokens", fmt::format("{}", *frame_.lowered_max_tokens)});
  if (!asked_.warning.empty()) headers.push_back({"x-hearth-warning", asked_.warning});
  if (interface_of(call_.request) == Interface::anthropic)
    headers.push_back({"request-id", call_.request.id});
  return headers;
}

void Generation::begin_stream() {
  StreamForm form = encoder_->stream_form(frame_);
  http::StreamStart start;
  start.headers = {{"Content-Type", std::move(form.content_type)},
                   {"Cache-Control", "no-cache"},
                   {"X-Accel-Buffering", "no"}};
  for (http::Header& header : notes()) start.headers.push_back(std::move(header));
  start.heartbeat = std::move(form.heartbeat);
  is_streaming_ = true;
  service_.metrics.count_answer(call_.endpoint->path, 200);
  if (call_.account) call_.account->status = 200;
  for (http::Header& header : access_headers(call_)) start.headers.push_back(std::move(header));
  call_.responder->start_stream(std::move(start));
  write(encoder_->begin(frame_));
  if (loop_) write(encoder_->offered(frame_, loop_->offer()));
  for (std::size_t i = 0; i < choices_.size(); ++i) {
    AnswerPart part;
    part.index = static_cast<int>(i);
    part.is_first = true;
    // With log probabilities the prompt's tokens bring its text themselves.
    if (!asked_.generate.prompt_logprobs)
      part.text = task_.prompts[i / static_cast<std::size_t>(asked_.generate.n)].echo;
    choices_[i].offset = part.text.size();
    write_part(part);
  }
}

void Generation::write(std::string_view events) {
  if (!events.empty()) call_.responder->write(events);
}

void Generation::write_part(const AnswerPart& part) { write(encoder_->part(frame_, part)); }

void Generation::on_event(std::size_t prompt, const Event& event) {
  const std::lock_guard lock(mutex_);
  if (is_over_) return;
  if (is_started_)
    handle(prompt, event);
  else
    early_.emplace_back(prompt, event);
}

void Generation::handle(std::size_t prompt, const Event& event) {
  if (is_over_) return;
  if (!event.tokens.empty() && !event.is_prompt) note_first_token();
  encoder_->note(event);
  if (is_streaming_)
    write_event(prompt, event);
  else
    collect(prompt, event);
  if (event.last) finish_prompt(event);
}

void Generation::note_first_token() {
  if (std::exchange(has_first_token_, true)) return;
  const std::chrono::duration<double> waited = std::chrono::steady_clock::now() - call_.began;
  service_.metrics.first_token_seconds.add(waited.count());
}

std::vector<AnswerPiece> Generation::pieces_of(Choice& choice, const Event& event) {
  std::vector<AnswerPiece> pieces = std::exchange(choice.begun, {});
  if (!choice.reader) {
    if (!event.text.empty()) pieces.push_back({AnswerPiece::Kind::text, event.text, ""});
    return pieces;
  }
  const auto append = [&](std::vector<AnswerPiece> more) {
    for (AnswerPiece& piece : more) pieces.push_back(std::move(piece));
  };
  const bool was_thinking = choice.reader->is_thinking();
  append(choice.reader->add(event.text));
  if (was_thinking && choice.reader->is_thinking())
    frame_.thought_tokens += std::ssize(event.tokens);
  if (event.finish) append(choice.reader->finish());
  return pieces;
}

// Rounds that are told as one answer do not run into one another.
void Generation::set_apart(const Choice& choice, AnswerPiece& piece) {
  const bool is_text = piece.kind == AnswerPiece::Kind::text;
  if (!is_text && piece.kind != AnswerPiece::Kind::thought) return;
  const std::string& all = is_text ? choice.text : choice.thought;
  const std::size_t begin = is_text ? choice.round_text : choice.round_thought;
  if (begin > 0 && begin == all.size()) piece.text.insert(0, "\n\n");
}

std::optional<AnswerPart> Generation::take(Choice& choice, AnswerPiece& piece) {
  using Kind = AnswerPiece::Kind;
  set_apart(choice, piece);
  AnswerPart part;
  if (piece.kind == Kind::text || piece.kind == Kind::thought) {
    (piece.kind == Kind::text ? choice.text : choice.thought) += piece.text;
    (piece.kind == Kind::text ? part.text : part.thought) = piece.text;
    return part;
  }
  if (piece.kind == Kind::call) {
    choice.drops_call = task_.reading->is_single && !choice.calls.empty();
    if (choice.drops_call) return std::nullopt;
    const bool is_short = task_.reading->form.has_short_ids;
    choice.calls.push_back(
        {piece.id.empty() ? new_call_id(encoder_->call_id_prefix(), is_short) : piece.id,
         piece.text, "", loop_ ? loop_->offer().find(piece.text) : nullptr});
  }
  if (choice.drops_call) return std::nullopt;
  CallPart call;
  const bool tells = encoder_->tells_tools();
  const auto is_told = [&](const ToolCall& one) { return tells || !one.served; };
  const std::span before(choice.calls.data(), choice.calls.size() - 1);
  call.index = static_cast<std::size_t>(std::ranges::count_if(before, is_told));
  call.call = &choice.calls.back();
  call.begins = piece.kind == Kind::call;
  call.ends = piece.kind == Kind::call_end;
  if (piece.kind == Kind::arguments) {
    choice.calls.back().arguments += piece.text;
    call.arguments = piece.text;
  }
  if (!is_told(choice.calls.back())) return std::nullopt;
  part.call = call;
  return part;
}

void Generation::write_event(std::size_t prompt, const Event& event) {
  const auto n = static_cast<std::size_t>(asked_.generate.n);
  if (!event.is_prompt) {
    write_choice(prompt * n + static_cast<std::size_t>(event.choice), event);
    return;
  }
  // The prompt is the same for all answers to it.
  for (std::size_t i = prompt * n; i < prompt * n + n; ++i) write_prompt(i, event);
}

void Generation::write_prompt(std::size_t index, const Event& event) {
  Choice& choice = choices_[index];
  std::string text;
  for (const TokenInfo& token : event.tokens) text += token.bytes;
  AnswerPart part;
  part.index = static_cast<int>(index);
  part.text = text;
  part.text_offset = choice.offset;
  part.starts_prompt = choice.offset == 0;
  if (asked_.generate.logprobs) part.tokens = &event.tokens;
  write_part(part);
  choice.offset += text.size();
}

void Generation::write_choice(std::size_t index, const Event& event) {
  Choice& choice = choices_[index];
  std::vector<AnswerPart> parts;
  std::vector<AnswerPiece> pieces = pieces_of(choice, event);
  for (AnswerPiece& piece : pieces)
    if (auto part = take(choice, piece)) parts.push_back(*part);
  const bool has_tokens = asked_.generate.logprobs && !event.tokens.empty();
  if (parts.empty() && has_tokens) parts.emplace_back();
  if (has_tokens) parts.front().tokens = &event.tokens;
  for (AnswerPart& part : parts) {
    part.index = static_cast<int>(index);
    part.text_offset = choice.offset;
    write_part(part);
  }
  for (const TokenInfo& token : event.tokens) choice.offset += token.bytes.size();
  note_end(choice, event);
  const bool is_whole = event.finish == FinishReason::stop || event.finish == FinishReason::length;
  if (is_whole && next_ == ToolLoop::Next::end) write_part(end_part(index));
}

void Generation::note_end(Choice& choice, const Event& event) {
  if (event.finish) choice.finish = event.finish;
  if (!event.stop_string.empty()) choice.stop_string = event.stop_string;
  if (!loop_ || !event.finish) return;
  const bool tells = encoder_->tells_tools();
  const bool is_done = event.finish == FinishReason::stop;
  next_ = is_done ? loop_->after(choice.calls, tells) : ToolLoop::Next::end;
  // Calls that nobody runs: the client knows nothing of them.
  if (next_ == ToolLoop::Next::end && !tells)
    std::erase_if(choice.calls, [](const ToolCall& call) { return call.served; });
}

AnswerPart Generation::end_part(std::size_t index) const {
  const Choice& choice = choices_[index];
  AnswerPart end;
  end.index = static_cast<int>(index);
  end.finish = choice.finish;
  end.stop_string = choice.stop_string;
  end.calls = &choice.calls;
  return end;
}

void Generation::collect(std::size_t prompt, const Event& event) {
  const auto n = static_cast<std::size_t>(asked_.generate.n);
  const std::size_t first = prompt * n + (event.is_prompt ? 0 : std::size_t(event.choice));
  const std::size_t last = event.is_prompt ? prompt * n + n : first + 1;
  for (std::size_t i = first; i < last; ++i) {
    Choice& choice = choices_[i];
    if (!event.is_prompt)
      for (AnswerPiece& piece : pieces_of(choice, event)) take(choice, piece);
    note_end(choice, event);
    for (const TokenInfo& token : event.tokens) {
      if (!event.is_prompt) {
        choice.logprob_sum += static_cast<double>(token.logprob);
        ++choice.scored;
      }
      if (asked_.generate.logprobs) choice.tokens.push_back(token);
    }
  }
}

void Generation::finish_prompt(const Event& event) {
  add(usage_, event.usage);
  if (event.error && !problem_) {
    problem_ = to_problem(*event.error);
    cancel_.request_stop();
  } else if (event.finish == FinishReason::cancelled && !problem_) {
    problem_ = to_problem(Error(ErrorKind::cancelled, ""));
  }
  --open_prompts_;
  if (open_prompts_ > 0) return;
  if (problem_ || next_ == ToolLoop::Next::end) return finish_all();
  // Tools take their time, which the runner's thread has not.
  if (service_.prepare->post([self = shared_from_this()] { self->run_tools(); })) return;
  problem_ = Problem{503, "overloaded", "too many requests are waiting", "", 0};
  finish_all();
}

// The lock is held, and this is the last use of the call.
void Generation::finish_all() {
  is_over_ = true;
  const std::chrono::duration<double> took = std::chrono::steady_clock::now() - call_.began;
  service_.metrics.request_seconds.add(took.count());
  charge();
  if (!is_streaming_) {
    if (problem_) {
      send(service_, call_, *problem_);
      return;
    }
    // Log probabilities are many numbers: they are written elsewhere than on the runner's thread.
    if (asked_.generate.logprobs &&
        service_.prepare->post([self = shared_from_this()] { self->send_answer(); }))
      return;
    send_answer();
    return;
  }
  write(problem_ ? encoder_->failure(frame_, *problem_) : encoder_->end(frame_, usage_));
  call_.responder->finish();
}

void Generation::charge() {
  if (!call_.account) return;
  Account& account = *call_.account;
  account.model = frame_.model;
  account.prompt_tokens = usage_.prompt_tokens;
  account.cached_tokens = usage_.cached_tokens;
  account.completion_tokens = usage_.completion_tokens;
  account.queue_seconds = usage_.queue_seconds;
  account.prefill_seconds = usage_.prefill_seconds;
  account.decode_seconds = usage_.decode_seconds;
}

// Source: W3C Server Timing; milliseconds.
std::string Generation::timing() const {
  const std::chrono::duration<double> took = std::chrono::steady_clock::now() - call_.began;
  return fmt::format("queue;dur={:.1f}, prefill;dur={:.1f}, decode;dur={:.1f}, total;dur={:.1f}",
                     usage_.queue_seconds * 1000, usage_.prefill_seconds * 1000,
                     usage_.decode_seconds * 1000, took.count() * 1000);
}

void Generation::send_answer() {
  http::Response response = http::json_response(whole_answer());
  for (http::Header& header : notes()) response.headers.push_back(std::move(header));
  response.headers.push_back({"Server-Timing", timing()});
  send(service_, call_, std::move(response));
}

std::string Generation::whole_answer() {
  const auto n = static_cast<std::size_t>(asked_.generate.n);
  const auto wanted = static_cast<std::size_t>(asked_.n);
  std::vector<AnswerPart> parts;
  for (std::size_t prompt = 0; prompt * n < choices_.size(); ++prompt) {
    std::vector<Choice*> ranked;
    for (std::size_t j = 0; j < n; ++j) ranked.push_back(&choices_[prompt * n + j]);
    const auto mean = [](const Choice* choice) {
      return choice->logprob_sum / static_cast<double>(std::max<std::size_t>(choice->scored, 1));
    };
    if (n > wanted)
      std::stable_sort(ranked.begin(), ranked.end(),
                       [&](const Choice* a, const Choice* b) { return mean(a) > mean(b); });
    for (std::size_t j = 0; j < wanted; ++j) {
      Choice& choice = *ranked[j];
      choice.text.insert(0, task_.prompts[prompt].echo);
      AnswerPart part;
      part.index = static_cast<int>(parts.size());
      part.text = choice.text;
      part.thought = choice.thought;
      part.calls = &choice.calls;
      if (asked_.generate.logprobs) part.tokens = &choice.tokens;
      part.starts_prompt = asked_.generate.prompt_logprobs;
      part.text_offset = asked_.generate.prompt_logprobs ? 0 : task_.prompts[prompt].echo.size();
      part.finish = choice.finish;
      part.stop_string = choice.stop_string;
      parts.push_back(part);
    }
  }
  return encoder_->whole(frame_, parts, usage_);
}

}  // namespace hearth::server
