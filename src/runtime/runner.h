// Runner: one loaded model answering many users at once.  Continuous batching over a paged KV cache
// with prefix reuse; one scheduler thread drives the compute pool.
#pragma once

#include <array>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <stop_token>
#include <string>
#include <vector>

#include "base/result.h"
#include "models/model.h"
#include "runtime/prefix_end.h"
#include "runtime/prefix_options.h"
#include "runtime/prompt_picture.h"
#include "runtime/sampling.h"

namespace hearth {

struct Constraint;  // text/grammar/constraint.h

enum class FinishReason { stop, length, cancelled, error };

// One generated token with its alternatives, best first.
struct TokenInfo {
  Token token = 0;
  float logprob = 0;
  std::string bytes;
  std::vector<TokenLogprob> alternatives;
};

struct Usage {
  std::int64_t prompt_tokens = 0;
  std::int64_t cached_tokens = 0;            // of the prompt, found in the prefix cache
  PrefixEnd prefix_end = PrefixEnd::is_new;  // why there are not more
  std::int64_t completion_tokens = 0;        // of all choices
  std::int64_t guessed_tokens = 0;           // computed with others before them were chosen
  std::int64_t guessed_right = 0;            // of these, that were chosen
  double queue_seconds = 0, prefill_seconds = 0, decode_seconds = 0;
};

// What a request's callback receives.  Text is whole UTF-8, with stop strings never shown.  Joined
// over all events of a choice, the tokens' bytes are the text (before repair of invalid UTF-8): a
// token cut by a stop string keeps the bytes before it, and the token that ended the answer is not
// among them (usage counts it).
struct Event {
  int choice = 0;                      // which of n answers
  bool is_prompt = false;              // `tokens` is one token of the prompt (prompt_logprobs)
  std::string text;                    // may be empty
  std::vector<TokenInfo> tokens;       // behind `text`; logprobs only when asked
  std::optional<FinishReason> finish;  // set once per choice
  std::string stop_string;             // which stop string ended it, if one did
  bool last = false;                   // set once per request: all choices are finished
  Usage usage;                         // complete when `last`
  std::optional<Error> error;          // with `last`: why the request ended early
};

// Called on the scheduler thread; must not block or call back into the runner (but may request a
// stop).  Never called after `last`.
using OnEvent = std::function<void(const Event&)>;

struct GenerateRequest {
  std::vector<Token> prompt;  // at least 1 token after the runner has added nothing
  // What stands at places of the prompt instead of its tokens there, in order.
  std::vector<PromptPicture> pictures = {};
  SamplingOptions sampling;
  std::int64_t max_tokens = -1;    // per choice; -1: until the context is full
  std::vector<std::string> stop;   // up to 16, each non-empty
  std::vector<Token> stop_tokens;  // beside the tokenizer's end_of_generation
  bool ignore_end = false;         // generate past end tokens
  bool show_special = false;       // control tokens as text
  int n = 1;
  bool logprobs = false;
  int top_logprobs = 0;  // alternatives per token
  // An Event per prompt token, without text, before the first generated one.  The first token has
  // nothing before it: its logprob is 0 and it has no alternatives.
  bool prompt_logprobs = false;
  bool deterministic = false;          // bit for bit whatever else runs
  std::optional<ops::Tier> tier = {};  // nothing: the runner's
  // Several tokens are guessed from the text so far and computed together, where that pays.  It
  // changes no token: what is wrong is thrown away.
  bool speculate = true;
  // What the answer may say again, in parts: guesses are taken from it, too.
  std::vector<Token> predicted = {};
  // What the answer is held to; nullptr: nothing.  Its end may then come before ignore_end would.
  std::shared_ptr<const Constraint> constraint = {};
  std::string cache_salt;      // prefixes are shared only between requests of one salt (one tenant)
  std::stop_token stop_token;  // ends the request within one step
  // LoRA adapters of the runner's model; nothing: as the runner's owner wishes.
  std::optional<std::vector<AdapterUse>> adapters = {};
};

struct RunnerOptions {
  std::uint32_t context_tokens = 0;      // of one request; 0: as trained, as far as memory allows
  std::uint32_t max_context_tokens = 0;  // where context_tokens is 0; 0: no limit
  std::uint64_t kv_budget_bytes = 0;     // 0: chosen from free memory
  std::uint32_t step_tokens = 256;       // rows of one batch: decode first, then prefill chunks
  std::uint32_t max_queued = 512;        // requests waiting for room; further ones are refused
  std::uint32_t max_running = 256;       // sequences in a batch
  bool deterministic = false;            // for every request
  ops::Tier tier = ops::Tier::accurate;
  bool speculate = true;             // for requests that do
  PrefixStoreOptions prefixes = {};  // without a folder: prefixes live in memory alone
  // A small model of the same tokens that guesses; nullptr: guesses come from texts alone.
  std::shared_ptr<const Model> draft_model = nullptr;
};

// What may change while a runner works.
struct RunnerLimits {
  std::uint32_t step_tokens = 256, max_queued = 512, max_running = 256;  // as RunnerOptions
};

struct RunnerStats {
  std::uint32_t running = 0, queued = 0;
  std::uint64_t kv_pages_used = 0, kv_pages_total = 0, kv_pages_cached = 0;
  std::uint64_t state_bytes = 0, state_bytes_total = 0;  // and a draft model's pages; made, at most
  std::uint64_t steps = 0, prompt_tokens = 0, cached_tokens = 0, completion_tokens = 0;
  std::uint64_t guessed_tokens = 0, guessed_right = 0;
  std::uint64_t requests_done = 0, requests_cancelled = 0, requests_failed = 0;
  double busy_seconds = 0;
  std::array<std::uint64_t, prefix_end_names.size()> prefix_ends = {};  // requests, by PrefixEnd
};

// Thread-safe.  The destructor cancels what runs and joins the scheduler.
class Runner {
 public:
  virtual ~Runner() = default;

  // Queues the request.  Errors: too_long (see find_overflow), invalid (options), exhausted (queue
  // full), unavailable (draining), unsupported (the model does not generate).
  virtual Status submit(GenerateRequest request, OnEvent on_event) = 0;

  // Blocks until done; runs between steps of the generating sessions.
  virtual Result<std::vector<std::vector<float>>> embed(std::span<const std::vector<Token>> texts,
                                                        std::stop_token stop = {}) = 0;

  virtual const Model& model() const = 0;
  virtual std::uint32_t context_tokens() const = 0;
  virtual RunnerStats stats() const = 0;
  virtual void drain() = 0;  // refuse new requests; running ones go on
  // From the next step on; what is in a batch already stays in it.  At least 1 each.
  virtual void limit(const RunnerLimits&) {}
};

Result<std::unique_ptr<Runner>> make_runner(std::shared_ptr<const Model> model,
                                            const kernels::Kernels& kernels,
                                            std::shared_ptr<ThreadPool> pool,
                                            const RunnerOptions& options = {});

// A prompt that leaves no room for one token of an answer.  It is never cut: submit() refuses it.
struct Overflow {
  std::int64_t prompt_tokens, context_tokens;
};
std::optional<Overflow> find_overflow(const Runner& runner, const GenerateRequest& request);
std::string overflow_message(const Overflow& overflow);  // "a prompt of 9 tokens ..."

constexpr std::size_t max_stop_strings = 16;
constexpr std::size_t max_stop_bytes = 256;  // of one stop string
constexpr int max_choices = 128;
constexpr int max_top_logprobs = 20;

// A whole answer in one call, for the command line and tests: choice 0, text and tokens without
// the prompt's.  `on_text` may be empty; it is called on the caller's thread, which may block.
struct Answer {
  std::string text;
  FinishReason finish = FinishReason::stop;
  Usage usage;
  std::vector<TokenInfo> tokens;
};
Result<Answer> generate(Runner& runner, GenerateRequest request,
                        const std::function<void(std::string_view)>& on_text = {});

}  // namespace hearth
