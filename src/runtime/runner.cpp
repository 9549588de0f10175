#include "runtime/runner.h"

#include <fmt/core.h>

#include <algorithm>
#include <condition_variable>
#include <mutex>
#include <thread>

#include "base/log.h"
#include "hardware/memory.h"
#include "kernels/kernels.h"
#include "runtime/memory_budget.h"
#include "runtime/prefix_store.h"
#include "runtime/prompt_rows.h"
#include "runtime/step_stop.h"
#include "runtime/stepper.h"

namespace hearth {
namespace {

Status check_stop(const std::vector<std::string>& stop) {
  if (stop.size() > max_stop_strings)
    return Error(ErrorKind::invalid,
                 fmt::format("stop: {} strings, of at most {}", stop.size(), max_stop_strings));
  for (const std::string& text : stop)
    if (text.empty() || text.size() > max_stop_bytes)
      return Error(ErrorKind::invalid, fmt::format("stop: a string of {} bytes: needs 1 to {}",
                                                   text.size(), max_stop_bytes));
  return Done{};
}

Status check_tokens(std::string_view name, std::span<const Token> tokens,
                    std::uint32_t vocabulary) {
  for (const Token token : tokens)
    if (token < 0 || static_cast<std::uint32_t>(token) >= vocabulary)
      return Error(ErrorKind::invalid,
                   fmt::format("{}: token {}: needs 0 to {}", name, token, vocabulary - 1));
  return Done{};
}

Status check_request(const GenerateRequest& request, const ModelInfo& model) {
  TRY(validate(request.sampling, static_cast<std::int32_t>(model.vocabulary)));
  TRY(check_stop(request.stop));
  TRY(check_tokens("prompt", request.prompt, model.vocabulary));
  TRY(check_tokens("stop_tokens", request.stop_tokens, model.vocabulary));
  TRY(check_tokens("predicted", request.predicted, model.vocabulary));
  if (request.prompt.empty()) return Error(ErrorKind::invalid, "prompt: holds no token");
  TRY(check_pictures(request.pictures, request.prompt.size()));
  if (!request.pictures.empty() && request.prompt_logprobs)
    return Error(ErrorKind::invalid, "prompt_logprobs: a prompt with pictures has none");
  if (request.n < 1 || request.n > max_choices)
    return Error(ErrorKind::invalid, fmt::format("n = {}: needs 1 to {}", request.n, max_choices));
  if (request.top_logprobs < 0 || request.top_logprobs > max_top_logprobs)
    return Error(ErrorKind::invalid, fmt::format("top_logprobs = {}: needs 0 to {}",
                                                 request.top_logprobs, max_top_logprobs));
  if (request.max_tokens < -1)
    return Error(ErrorKind::invalid,
                 fmt::format("max_tokens = {}: needs -1 or more", request.max_tokens));
  return Done{};
}

// Texts that embed() was given, done a part at a time between steps.
struct EmbedJob {
  std::span<const std::vector<Token>> texts;
  std::stop_token stop;
  std::vector<std::vector<float>> vectors;
  std::optional<Error> error;
  bool is_done = false;
};

// Rows of a step that sequences share with their guesses.  Tiles compute many rows in another way
// than few: there guesses keep to few, and change no token.
std::uint32_t guessing_rows(const kernels::Kernels& kernels) {
  return kernels.tiles != nullptr ? kernels::few_rows : kernels::several_rows;
}

Scheduler::Limits scheduler_limits(const RunnerLimits& limits, std::uint32_t guessing_rows) {
  return {.step_tokens = limits.step_tokens,
          .max_running = limits.max_running,
          .lone_step_tokens = 2 * limits.step_tokens,
          .guessing_rows = guessing_rows};
}

class ThreadedRunner : public Runner {
 public:
  ThreadedRunner(std::shared_ptr<const Model> model, std::shared_ptr<ThreadPool> pool,
                 const ops::Context& context, const RunnerOptions& options,
                 const MemoryPlan& memory, std::unique_ptr<PrefixStore> store)
      : model_(std::move(model)),
        pool_(std::move(pool)),
        context_(context),
        options_(options),
        memory_(memory),
        guessing_rows_(guessing_rows(*context.kernels)),
        store_(std::move(store)),
        stepper_(*model_, context,
                 {.kv_pages = memory.kv_pages,
                  .states = memory.states,
                  .step_tokens = options.step_tokens,
                  .max_running = options.max_running,
                  .lone_step_tokens = 2 * options.step_tokens,
                  .guessing_rows = guessing_rows_,
                  .measures_steps = true,
                  .store = store_.get(),
                  .draft_model = options.draft_model}),
        limits_{.step_tokens = options.step_tokens,
                .max_queued = options.max_queued,
                .max_running = options.max_running},
        thread_([this](std::stop_token leaving) { run(leaving); }) {}

  ~ThreadedRunner() override {
    {
      const std::lock_guard lock(mutex_);
      thread_.request_stop();
    }
    work_.notify_all();
  }

  Status submit(GenerateRequest request, OnEvent on_event) override;
  Result<std::vector<std::vector<float>>> embed(std::span<const std::vector<Token>> texts,
                                                std::stop_token stop) override;
  const Model& model() const override { return *model_; }
  std::uint32_t context_tokens() const override { return memory_.context_tokens; }
  RunnerStats stats() const override {
    const std::lock_guard lock(mutex_);
    RunnerStats stats = stats_;
    stats.queued += static_cast<std::uint32_t>(arrived_.size());
    return stats;
  }
  void drain() override {
    const std::lock_guard lock(mutex_);
    is_draining_ = true;
  }
  void limit(const RunnerLimits& limits) override {
    const std::lock_guard lock(mutex_);
    limits_ = {.step_tokens = std::max(1u, limits.step_tokens),
               .max_queued = std::max(1u, limits.max_queued),
               .max_running = std::max(1u, limits.max_running)};
  }

 private:
  void run(const std::stop_token& leaving);
  void take_arrived(const std::stop_token& leaving);
  void embed_some(const std::stop_token& leaving);
  void publish_stats();
  void refuse_embeds();

  const std::shared_ptr<const Model> model_;
  const std::shared_ptr<ThreadPool> pool_;
  ops::Context context_;  // of embedding; the stepper has its own
  const RunnerOptions options_;
  const MemoryPlan memory_;
  const std::uint32_t guessing_rows_;
  const std::unique_ptr<PrefixStore> store_;
  Stepper stepper_;  // of the scheduler thread alone

  mutable std::mutex mutex_;  // guards what follows
  std::condition_variable work_, embedded_;
  std::vector<std::unique_ptr<ActiveRequest>> arrived_;
  std::vector<EmbedJob*> embeds_;  // each on the stack of a caller who waits
  RunnerStats stats_;
  RunnerLimits limits_;
  std::uint64_t arrivals_ = 0;
  bool is_draining_ = false;

  std::jthread thread_;  // last: it uses all of the above
};

Status ThreadedRunner::submit(GenerateRequest request, OnEvent on_event) {
  if (model_->info().kind != ModelKind::generator)
    return Error(ErrorKind::unsupported,
                 fmt::format("{} embeds texts: it does not generate", model_->info().name));
  TRY(check_request(request, model_->info()));
  if (const auto overflow = find_overflow(*this, request))
    return Error(ErrorKind::too_long, overflow_message(*overflow));

  if (!request.pictures.empty() && model_->vision() == nullptr)
    return Error(ErrorKind::unsupported,
                 fmt::format("{} reads text: it does not see", model_->info().name));

  auto active = std::make_unique<ActiveRequest>();
  if (!request.pictures.empty())
    active->rows = PromptRows(*model_->vision(), std::move(request.pictures), request.prompt);
  const auto room = static_cast<std::int64_t>(memory_.context_tokens) -
                    static_cast<std::int64_t>(request.prompt.size());
  active->max_tokens = request.max_tokens < 0 ? room : std::min(request.max_tokens, room);
  active->deterministic = request.deterministic || options_.deterministic;
  active->tier = request.tier.value_or(options_.tier);
  request.speculate = request.speculate && options_.speculate;
  active->asked = std::move(request);
  active->on_event = std::move(on_event);
  active->submitted = Clock::now();
  {
    const std::lock_guard lock(mutex_);
    if (is_draining_ || thread_.get_stop_token().stop_requested())
      return Error(ErrorKind::unavailable, "the model takes no new requests");
    if (stats_.queued + arrived_.size() >= limits_.max_queued)
      return Error(ErrorKind::exhausted,
                   fmt::format("{} requests wait already", limits_.max_queued));
    active->arrival = ++arrivals_;
    arrived_.push_back(std::move(active));
  }
  work_.notify_one();
  return Done{};
}

Result<std::vector<std::vector<float>>> ThreadedRunner::embed(
    std::span<const std::vector<Token>> texts, std::stop_token stop) {
  const std::size_t limit = model_->info().context_length;
  for (std::size_t i = 0; i < texts.size(); ++i) {
    TRY(check_tokens(fmt::format("text {}", i), texts[i], model_->info().vocabulary));
    if (limit != 0 && texts[i].size() > limit)
      return Error(ErrorKind::too_long,
                   fmt::format("text {} has {} tokens, of at most {}", i, texts[i].size(), limit));
  }
  EmbedJob job{.texts = texts, .stop = std::move(stop), .vectors = {}, .error = {}};
  std::unique_lock lock(mutex_);
  if (is_draining_ || thread_.get_stop_token().stop_requested())
    return Error(ErrorKind::unavailable, "the model takes no new requests");
  embeds_.push_back(&job);
  work_.notify_one();
  embedded_.wait(lock, [&] { return job.is_done; });
  if (job.error) return *std::move(job.error);
  return std::move(job.vectors);
}

void ThreadedRunner::run(const std::stop_token& leaving) {
  for (;;) {
    take_arrived(leaving);
    if (leaving.stop_requested()) break;
    embed_some(leaving);
    if (stepper_.has_work()) stepper_.step(leaving);
    publish_stats();
  }
  stepper_.cancel_all();
  refuse_embeds();
  publish_stats();
}

// Waits until there is something to do.
void ThreadedRunner::take_arrived(const std::stop_token& leaving) {
  std::vector<std::unique_ptr<ActiveRequest>> arrived;
  {
    std::unique_lock lock(mutex_);
    work_.wait(lock, [&] {
      return leaving.stop_requested() || !arrived_.empty() || !embeds_.empty() ||
             stepper_.has_work();
    });
    arrived.swap(arrived_);
    stats_.queued += static_cast<std::uint32_t>(arrived.size());
    stepper_.limit(scheduler_limits(limits_, guessing_rows_));
  }
  for (auto& request : arrived) stepper_.add(std::move(request));
}

// The first job's next texts, of about as many tokens as a step has rows.
void ThreadedRunner::embed_some(const std::stop_token& leaving) {
  EmbedJob* job = nullptr;
  {
    const std::lock_guard lock(mutex_);
    if (embeds_.empty()) return;
    job = embeds_.front();
  }
  std::size_t count = 0, tokens = 0;
  const auto rest = job->texts.subspan(job->vectors.size());
  while (count < rest.size() && (count == 0 || tokens + rest[count].size() <= options_.step_tokens))
    tokens += rest[count++].size();

  StepStop stop(leaving);
  stop.add(job->stop);
  stop.arm();
  context_.deterministic = options_.deterministic;
  context_.tier = options_.tier;
  auto vectors = model_->embed(context_, rest.first(count), stop.token());
  const std::lock_guard lock(mutex_);
  if (vectors.ok())
    std::ranges::move(*vectors, std::back_inserter(job->vectors));
  else
    job->error = std::move(vectors).error();
  if (vectors.ok() && job->vectors.size() < job->texts.size()) {
    std::ranges::rotate(embeds_, embeds_.begin() + 1);  // others have their turn
    return;
  }
  embeds_.erase(embeds_.begin());
  job->is_done = true;
  embedded_.notify_all();
}

void ThreadedRunner::refuse_embeds() {
  const std::lock_guard lock(mutex_);
  for (EmbedJob* job : embeds_) {
    job->error = Error(ErrorKind::cancelled, "the model is being unloaded");
    job->is_done = true;
  }
  embeds_.clear();
  embedded_.notify_all();
}

void ThreadedRunner::publish_stats() {
  const StepperCounts& counts = stepper_.counts();
  const KvCache& cache = stepper_.cache();
  const DraftModel* draft = stepper_.draft_model();
  const std::lock_guard lock(mutex_);
  stats_ = {.running = stepper_.scheduler().running(),
            .queued = stepper_.scheduler().waiting(),
            .kv_pages_used = cache.used(),
            .kv_pages_total = cache.total(),
            .kv_pages_cached = cache.idle(),
            .state_bytes = cache.states().made() * model_->kv_layout().state_bytes +
                           (draft ? draft->kv_bytes() : 0),
            .state_bytes_total = memory_.states * model_->kv_layout().state_bytes +
                                 (draft ? draft->kv_bytes_total() : 0),
            .steps = counts.steps,
            .prompt_tokens = counts.prompt_tokens,
            .cached_tokens = counts.cached_tokens,
            .completion_tokens = counts.completion_tokens,
            .guessed_tokens = counts.guessed,
            .guessed_right = counts.guessed_right,
            .requests_done = counts.done,
            .requests_cancelled = counts.cancelled,
            .requests_failed = counts.failed,
            .busy_seconds = counts.busy_seconds,
            .prefix_ends = counts.prefix_ends};
}

}  // namespace

Result<std::unique_ptr<Runner>> make_runner(std::shared_ptr<const Model> model,
                                            const kernels::Kernels& kernels,
                                            std::shared_ptr<ThreadPool> pool,
                                            const RunnerOptions& options) {
  if (options.step_tokens == 0 || options.max_running == 0 || options.max_queued == 0)
    return Error(ErrorKind::invalid, "step_tokens, max_running and max_queued: need at least 1");
  ModelInfo info = model->info();
  KvLayout layout = model->kv_layout();
  if (options.draft_model) {
    TRY(check_draft_model(*model, *options.draft_model));
    // It keeps keys and values of the same tokens.
    layout.page_bytes += options.draft_model->kv_layout().page_bytes;
    info.kv_bytes_per_token += options.draft_model->info().kv_bytes_per_token;
  }
  const MemoryPlan memory =
      TRY(plan_memory(info, layout, options, hardware::read_memory().free_bytes()));
  const ops::Context context{
      .kernels = &kernels, .pool = pool.get(), .deterministic = options.deterministic};
  std::unique_ptr<PrefixStore> store;
  // The disk holds pages, which are of no use without the state behind them.
  const bool recurs = model->kv_layout().state_bytes > 0;
  if (!options.prefixes.folder.empty() && !recurs && model->info().kind == ModelKind::generator) {
    auto opened = PrefixStore::open(options.prefixes, model->kv_layout().page_bytes);
    if (opened)
      store = std::move(*opened);
    else
      log_warning("prefixes_not_kept why={}", opened.error().message());
  }
  return std::unique_ptr<Runner>(std::make_unique<ThreadedRunner>(
      std::move(model), std::move(pool), context, options, memory, std::move(store)));
}

}  // namespace hearth
