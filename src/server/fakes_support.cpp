#include <algorithm>
#include <chrono>

#include "server/fakes.h"
#include "text/grammar/engine.h"

namespace hearth::server {
namespace {

class FakeTokenizer final : public Tokenizer {
 public:
  explicit FakeTokenizer(bool has_fim) {
    special_.bos = 256;
    special_.eos = 257;
    special_.add_bos = true;
    special_.end_of_generation = {257};
    if (has_fim) {
      special_.fim_prefix = 258;
      special_.fim_suffix = 259;
      special_.fim_middle = 260;
    }
    for (int i = 0; i < 256; ++i) bytes_ += static_cast<char>(i);
  }
  Result<std::vector<Token>> encode(std::string_view text, EncodeOptions options) const override {
    std::vector<Token> tokens;
    if (options.add_special) tokens.push_back(256);
    for (const char c : text) tokens.push_back(static_cast<unsigned char>(c));
    return tokens;
  }
  std::string_view piece(Token id, bool) const override {
    return id >= 0 && id < 256 ? std::string_view(bytes_).substr(std::size_t(id), 1) : "";
  }
  std::string decode(std::span<const Token> ids, bool special) const override {
    std::string text;
    for (const Token id : ids) text += piece(id, special);
    return text;
  }
  std::int32_t size() const override { return 261; }
  std::string_view name(Token id) const override { return piece(id, true); }
  TokenKind kind(Token id) const override {
    return id < 256 ? TokenKind::byte : TokenKind::control;
  }
  std::optional<Token> find(std::string_view) const override { return std::nullopt; }
  const SpecialTokens& special() const override { return special_; }
  std::string_view algorithm() const override { return "bytes"; }

 private:
  std::string bytes_;
  SpecialTokens special_;
};

class FakeModel final : public Model {
 public:
  // With the chat template of this source; empty: none.
  FakeModel(ModelKind kind, std::string template_source)
      : tokenizer_(kind == ModelKind::generator), source_(std::move(template_source)) {
    if (auto parsed = ChatFormat::parse(source_); parsed && !source_.empty())
      format_ = std::make_unique<ChatFormat>(std::move(*parsed));
    info_.name = "fake";
    info_.architecture = "bytes";
    info_.kind = kind;
    info_.vocabulary = 261;
    info_.context_length = 1000;
    info_.dim = 4;
  }
  const ModelInfo& info() const override { return info_; }
  const Tokenizer& tokenizer() const override { return tokenizer_; }
  const ChatFormat* chat_format() const override { return format_.get(); }
  std::string_view chat_template_source() const override { return source_; }
  const KvLayout& kv_layout() const override { return layout_; }
  Status forward(ops::Context&, const Batch&, std::span<float>, std::stop_token) const override {
    return Error(ErrorKind::unsupported, "a fake");
  }
  Result<std::vector<std::vector<float>>> embed(ops::Context&, std::span<const std::vector<Token>>,
                                                std::stop_token) const override {
    return Error(ErrorKind::unsupported, "a fake");
  }
  std::uint32_t embedding_dim() const override { return 4; }

 private:
  ModelInfo info_;
  FakeTokenizer tokenizer_;
  const std::string source_;
  std::unique_ptr<const ChatFormat> format_;
  KvLayout layout_;
};

}  // namespace

FakeRunner::FakeRunner(ModelKind kind, std::string template_source)
    : model_(std::make_unique<FakeModel>(kind, std::move(template_source))) {}

FakeRunner::~FakeRunner() {
  const std::lock_guard lock(mutex_);
  for (std::jthread& thread : threads_) thread.request_stop();
}

Status FakeRunner::submit(GenerateRequest request, OnEvent on_event) {
  std::string text = model_->tokenizer().decode(request.prompt, true);
  const std::lock_guard lock(mutex_);
  if (text.find("refused") != std::string::npos)
    return Error(ErrorKind::exhausted, "the queue is full");
  ++stats_.running;
  last_ = request;
  threads_.emplace_back([this, text, request = std::move(request), on_event = std::move(on_event)](
                            std::stop_token leaving) { answer(text, request, on_event, leaving); });
  return Done{};
}

Result<std::vector<std::vector<float>>> FakeRunner::embed(std::span<const std::vector<Token>> texts,
                                                          std::stop_token) {
  std::vector<std::vector<float>> vectors;
  for (const auto& text : texts)
    if (model_->info().kind == ModelKind::reranker)
      vectors.push_back({static_cast<float>(text.size()) / 100});
    else
      vectors.push_back({0.5f, -0.5f, 0.5f, static_cast<float>(text.size())});
  return vectors;
}

RunnerStats FakeRunner::stats() const {
  const std::lock_guard lock(mutex_);
  return stats_;
}

void FakeRunner::set_queued(std::uint32_t requests) {
  const std::lock_guard lock(mutex_);
  stats_.queued = requests;
}

GenerateRequest FakeRunner::last() const {
  const std::lock_guard lock(mutex_);
  return last_;
}

void FakeRunner::answer(const std::string& text, const GenerateRequest& request,
                        const OnEvent& on_event, const std::stop_token& leaving) {
  Usage usage;
  usage.prompt_tokens = static_cast<std::int64_t>(request.prompt.size());
  usage.cached_tokens = 1;
  if (request.prompt_logprobs)
    for (const Token token : request.prompt) {
      Event event;
      event.is_prompt = true;
      event.tokens.push_back(info(token, request));
      on_event(event);
    }
  const bool is_endless = text.find("endless") != std::string::npos;
  const bool is_failing = text.find("failing") != std::string::npos;
  const std::size_t said = text.rfind("say((");
  const std::string script =
      said == std::string::npos ? "" : text.substr(said + 5, text.find("))", said) - said - 5);
  std::string stop_string;
  std::vector<FinishReason> finishes;
  const auto is_stopped = [&] {
    return request.stop_token.stop_requested() || leaving.stop_requested();
  };
  for (int choice = 0; choice < request.n; ++choice) {
    FinishReason finish = FinishReason::length;
    for (std::int64_t i = 0; i < request.max_tokens || is_endless; ++i) {
      if (is_stopped()) finish = FinishReason::cancelled;
      if (is_failing && i == 2) finish = FinishReason::error;
      if (finish != FinishReason::length) break;
      if (is_endless) std::this_thread::sleep_for(std::chrono::milliseconds(2));
      const auto start = static_cast<std::int64_t>((request.sampling.seed + unsigned(choice)) % 26);
      char letter = is_endless ? '.' : static_cast<char>('a' + start + i);
      if (!script.empty()) letter = script[static_cast<std::size_t>(i)];
      if (std::ranges::find(request.stop, std::string(1, letter)) != request.stop.end()) {
        finish = FinishReason::stop;
        stop_string = letter;
        break;
      }
      Event event;
      event.choice = choice;
      event.text = std::string(1, letter);
      event.tokens.push_back(info(static_cast<Token>(letter), request));
      ++usage.completion_tokens;
      on_event(event);
      if (script.empty() ? letter == 'z' : i + 1 == std::ssize(script)) {
        finish = FinishReason::stop;
        break;
      }
    }
    finishes.push_back(finish);
  }
  for (int choice = 0; choice < request.n; ++choice) {
    Event event;
    event.choice = choice;
    event.finish = finishes[static_cast<std::size_t>(choice)];
    event.stop_string = stop_string;
    event.last = choice + 1 == request.n;
    if (event.last) event.usage = usage;
    if (event.last && is_failing) event.error = Error(ErrorKind::io, "/secret/path: broken");
    if (event.last) {
      const std::lock_guard lock(mutex_);
      --stats_.running;
      ++(*event.finish == FinishReason::cancelled ? stats_.requests_cancelled
                                                  : stats_.requests_done);
    }
    on_event(event);
  }
}

TokenInfo FakeRunner::info(Token token, const GenerateRequest& request) const {
  TokenInfo result;
  result.token = token;
  result.logprob = -0.25f;
  result.bytes = model_->tokenizer().piece(token, true);
  for (int i = 0; i < request.top_logprobs; ++i)
    result.alternatives.push_back({static_cast<Token>('a' + i), -0.5f * static_cast<float>(i + 1)});
  return result;
}

Lease fake_lease(std::string id, ModelKind kind, std::string template_source) {
  auto loaded = std::make_shared<LoadedModel>();
  loaded->reference = loaded->id = std::move(id);
  loaded->loaded_seconds = 1700000000;
  loaded->runner = std::make_unique<FakeRunner>(kind, std::move(template_source));
  loaded->grammars = std::make_shared<GrammarEngine>(loaded->model().tokenizer());
  return loaded;
}

}  // namespace hearth::server
