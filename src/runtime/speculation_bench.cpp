// speculation_bench MODEL RECORDINGS [--draft MODEL] [--mtp] [--right SHARE] [--cpu TABLE]
// [--threads N] [--rounds N] What guessing tokens gains on recorded answers (bench/edits).  Every
// step is the model's own, with all its work; only what it says next is then replaced by what the
// recording says, so that a model with random weights answers like one that edits files.  Processor
// time of decoding, with and without guesses in turn.  --draft: a draft model, which says what is
// recorded too, but for a share of the places, where it is sure of another token; --mtp: the same
// of the layer that the model brings for guessing.
#include <fmt/core.h>
#include <time.h>

#include <algorithm>
#include <condition_variable>
#include <cstdlib>
#include <mutex>

#include "base/files.h"
#include "base/json.h"
#include "hardware/cpu.h"
#include "kernels/select.h"
#include "runtime/runner.h"

using namespace hearth;

namespace {

constexpr std::size_t most_bytes = 1 << 26;

struct Recording {
  std::string name, kind;
  std::vector<Token> prompt, answer;
};

// Says what is recorded: after the token at position p comes that of position p + 1; but for a
// share of the positions, each time the same ones.  So it guesses, too.
class RecordedModel : public Model {
 public:
  RecordedModel(std::shared_ptr<const Model> model, double right, double guesses_right)
      : model_(std::move(model)), right_(right), guesses_right_(guesses_right) {}

  void say(const Recording& recording) {
    text_ = recording.prompt;
    text_.insert(text_.end(), recording.answer.begin(), recording.answer.end());
  }

  const ModelInfo& info() const override { return model_->info(); }
  const Tokenizer& tokenizer() const override { return model_->tokenizer(); }
  const ChatFormat* chat_format() const override { return nullptr; }
  std::string_view chat_template_source() const override { return ""; }
  const KvLayout& kv_layout() const override { return model_->kv_layout(); }
  std::uint32_t embedding_dim() const override { return 0; }
  Status forward(ops::Context& ctx, const Batch& batch, std::span<float> logits,
                 std::stop_token stop) const override {
    TRY(model_->forward(ctx, batch, logits, stop));
    for (std::size_t i = 0; i < batch.output_rows.size(); ++i)
      replace(logits, i, batch.places[batch.output_rows[i]].position, right_);
    return Done{};
  }
  bool guesses() const override { return model_->guesses(); }
  Status guess(ops::Context& ctx, const Batch& batch, std::span<float> logits,
               std::stop_token stop) const override {
    TRY(model_->guess(ctx, batch, logits, stop));
    for (std::size_t i = 0; i < batch.places.size(); ++i)
      replace(logits, i, batch.places[i].position, guesses_right_);
    return Done{};
  }
  Result<std::vector<std::vector<float>>> embed(ops::Context& ctx,
                                                std::span<const std::vector<Token>> texts,
                                                std::stop_token stop) const override {
    return model_->embed(ctx, texts, stop);
  }

 private:
  void replace(std::span<float> logits, std::size_t index, std::size_t position,
               double right) const {
    const std::size_t next = position + 1;
    if (next >= text_.size()) return;
    const std::uint64_t hash = (next * 0x9E3779B97F4A7C15u) >> 40;
    const bool is_right = static_cast<double>(hash) < right * static_cast<double>(1 << 24);
    const auto row = logits.subspan(index * info().vocabulary, info().vocabulary);
    const float sure = *std::ranges::max_element(row) + 9;  // of one in some hundred
    row[static_cast<std::size_t>(is_right ? text_[next] : 0)] = sure;
  }

  const std::shared_ptr<const Model> model_;
  const double right_, guesses_right_;
  std::vector<Token> text_;
};

Result<std::vector<Token>> tokens_of(const Json* list, std::size_t vocabulary) {
  std::vector<Token> tokens;
  if (list == nullptr || !list->is_array())
    return Error(ErrorKind::invalid, "recordings: lists of tokens are needed");
  for (const Json& token : list->as_array()) {
    if (!token.is_integer() || token.as_integer() < 0 ||
        token.as_integer() >= static_cast<std::int64_t>(vocabulary))
      return Error(ErrorKind::invalid, "recordings: a token outside the model's vocabulary");
    tokens.push_back(static_cast<Token>(token.as_integer()));
  }
  return tokens;
}

std::string text_of(const Json* value) {
  return value != nullptr && value->is_string() ? value->as_string() : "";
}

Result<std::vector<Recording>> read_recordings(const std::string& path, std::size_t vocabulary) {
  const std::string text = TRY(read_file(path, most_bytes));
  const Json list = TRY(parse_json(text));
  std::vector<Recording> recordings;
  if (!list.is_array()) return Error(ErrorKind::invalid, "recordings: a list is needed");
  for (const Json& item : list.as_array()) {
    Recording recording{text_of(item.find("name")), text_of(item.find("kind")), {}, {}};
    recording.prompt = TRY(tokens_of(item.find("prompt"), vocabulary));
    recording.answer = TRY(tokens_of(item.find("answer"), vocabulary));
    recordings.push_back(std::move(recording));
  }
  return recordings;
}

double processor_seconds() {
  timespec now;
  ::clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &now);
  return static_cast<double>(now.tv_sec) + 1e-9 * static_cast<double>(now.tv_nsec);
}

// Processor seconds from the first token to the last.
Result<double> decode(Runner& runner, const Recording& recording, bool speculate) {
  GenerateRequest request;
  request.prompt = recording.prompt;
  request.max_tokens = static_cast<std::int64_t>(recording.answer.size());
  request.ignore_end = true;
  request.sampling.temperature = 0;
  request.speculate = speculate;
  std::mutex mutex;
  std::condition_variable changed;
  std::vector<Token> said;
  double begin = 0, end = 0;
  TRY(runner.submit(std::move(request), [&](const Event& event) {
    const std::lock_guard lock(mutex);
    if (begin == 0) begin = processor_seconds();
    for (const TokenInfo& token : event.tokens) said.push_back(token.token);
    if (!event.last) return;
    end = processor_seconds();
    changed.notify_one();
  }));
  std::unique_lock lock(mutex);
  changed.wait(lock, [&] { return end > 0; });
  if (!std::ranges::equal(said, recording.answer))
    return Error(ErrorKind::corrupt, fmt::format("{}: not what was recorded", recording.name));
  return end - begin;
}

double median(std::vector<double> values) {
  std::ranges::sort(values);
  return values[values.size() / 2];
}

struct Options {
  std::string model, recordings, table, draft;
  double right = 0.8;
  bool mtp = false;
  int threads = hardware::usable_cores(), rounds = 3;
};

Status measure(const Options& options) {
  const kernels::Kernels* kernels = TRY(kernels::choose(options.table));
  auto pool = std::make_shared<ThreadPool>(options.threads);
  ops::Context ctx{.kernels = kernels, .pool = pool.get()};
  const Package package = TRY(open_package(options.model));
  LoadOptions loading;
  loading.mtp = options.mtp;
  const auto model =
      std::make_shared<RecordedModel>(TRY(load_model(ctx, package, loading)), 1.0, options.right);
  RunnerOptions running;
  std::shared_ptr<RecordedModel> draft;
  if (!options.draft.empty()) {
    const Package small = TRY(open_package(options.draft));
    draft = std::make_shared<RecordedModel>(TRY(load_model(ctx, small)), options.right, 0.0);
    running.draft_model = draft;
  }
  const auto runner = TRY(make_runner(model, *kernels, pool, running));
  std::vector<double> gains[2];
  const auto recordings = TRY(read_recordings(options.recordings, model->info().vocabulary));
  for (const Recording& recording : recordings) {
    model->say(recording);
    if (draft) draft->say(recording);
    std::vector<double> ratios;
    std::uint64_t steps = 0;
    for (int round = 0; round < options.rounds; ++round) {
      const double plain = TRY(decode(*runner, recording, false));
      const std::uint64_t before = runner->stats().steps;
      ratios.push_back(plain / TRY(decode(*runner, recording, true)));
      steps = runner->stats().steps - before;
    }
    fmt::print("{:5} {:20} {:5} tokens in {:5} steps: {:.2f} times\n", recording.kind,
               recording.name, recording.answer.size(), steps, median(ratios));
    std::fflush(stdout);
    gains[recording.kind == "edit" ? 0 : 1].push_back(median(ratios));
  }
  for (int kind = 0; kind < 2; ++kind) {
    if (gains[kind].empty()) continue;
    fmt::print("{}: median {:.2f}, least {:.2f}\n", kind == 0 ? "edits" : "free text",
               median(gains[kind]), std::ranges::min(gains[kind]));
  }
  return Done{};
}

}  // namespace

int main(int argc, char** argv) {
  Options options;
  std::vector<std::string> places;
  for (int i = 1; i < argc; ++i) {
    const std::string_view argument = argv[i];
    if (argument == "--cpu" && i + 1 < argc)
      options.table = argv[++i];
    else if (argument == "--draft" && i + 1 < argc)
      options.draft = argv[++i];
    else if (argument == "--mtp")
      options.mtp = true;
    else if (argument == "--right" && i + 1 < argc)
      options.right = std::atof(argv[++i]);
    else if (argument == "--threads" && i + 1 < argc)
      options.threads = std::atoi(argv[++i]);
    else if (argument == "--rounds" && i + 1 < argc)
      options.rounds = std::max(1, std::atoi(argv[++i]));
    else
      places.emplace_back(argument);
  }
  places.resize(2);
  options.model = places[0], options.recordings = places[1];
  const Status status = measure(options);
  if (!status.ok()) fmt::print("{}\n", status.error().message());
  return status.ok() ? 0 : 1;
}
