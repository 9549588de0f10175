#include <fmt/core.h>

#include <chrono>
#include <cstdlib>
#include <list>
#include <mutex>
#include <thread>

#include "base/bytes.h"
#include "base/utf8.h"
#include "library/remote_answer.h"
#include "library/remote_model.h"
#include "library/transfer.h"

namespace hearth {
namespace {

constexpr std::uint32_t max_running = 256;
constexpr int patience_seconds = 1800;  // a server that thinks sends nothing for long
constexpr std::size_t max_error_bytes = 4096, max_reply_bytes = 256u << 20;

using Clock = std::chrono::steady_clock;

double seconds_since(Clock::time_point start) {
  return std::chrono::duration<double>(Clock::now() - start).count();
}

TransferRequest post_to(const RemoteSettings& remote, std::string_view path, const Json& body) {
  TransferRequest request;
  request.url = remote.url + std::string(path);
  request.method = "POST";
  request.headers = {"Content-Type: application/json", "Accept: text/event-stream"};
  request.body = write_json(body);
  request.stall_seconds = patience_seconds;
  request.is_direct = remote.is_on_this_machine();
  if (const char* key = remote.key_env.empty() ? nullptr : std::getenv(remote.key_env.c_str()))
    request.bearer = key;
  return request;
}

// What a server says that does not do what it is asked.
Error refusal(int status, const std::string& body) {
  std::string why = printable(body.substr(0, 300));
  if (const auto json = parse_json(body))
    if (const Json* error = json->find("error")) {
      const Json* message = error->find("message");
      if (message != nullptr && message->is_string()) why = printable(message->as_string());
      if (error->is_string()) why = printable(error->as_string());
    }
  const ErrorKind kind = status == 404                    ? ErrorKind::not_found
                         : status == 429 || status >= 500 ? ErrorKind::unavailable
                                                          : ErrorKind::invalid;
  return Error(kind, fmt::format("the server answers {}: {}", status, why));
}

// The whole of a reply, or what the server says instead.
Result<std::string> fetch(const TransferRequest& request, std::stop_token stop) {
  std::string body;
  TransferSink sink;
  sink.head = [](const TransferHead&) -> Status { return Done{}; };
  sink.body = [&](std::span<const std::byte> bytes) -> Status {
    if (body.size() + bytes.size() > max_reply_bytes)
      return Error(ErrorKind::exhausted, "a reply of more than 256 MB");
    body += text_of(bytes);
    return Done{};
  };
  const TransferHead head = TRY(transfer(request, sink, std::move(stop)));
  if (head.status != 200) return refusal(head.status, body);
  return body;
}

Status check_request(const GenerateRequest& request) {
  const auto refuse = [](std::string_view what) {
    return Error(ErrorKind::unsupported,
                 fmt::format("{}: not with a model on another server", what));
  };
  if (request.prompt.empty()) return Error(ErrorKind::invalid, "prompt: holds no token");
  if (request.constraint) return refuse("an answer held to a grammar");
  if (request.logprobs || request.prompt_logprobs) return refuse("logprobs");
  if (request.n < 1 || request.n > max_choices)
    return Error(ErrorKind::invalid, fmt::format("n = {}: needs 1 to {}", request.n, max_choices));
  return Done{};
}

class RemoteRunner final : public Runner {
 public:
  explicit RemoteRunner(const RemoteSettings& remote)
      : remote_(remote), model_(make_remote_model(remote)) {}
  ~RemoteRunner() override {
    std::list<Work> running;
    {
      const std::lock_guard lock(mutex_);
      is_draining_ = true;
      running.swap(running_);
    }
    for (Work& work : running) work.thread.request_stop();
  }  // the threads are joined

  Status submit(GenerateRequest request, OnEvent on_event) override;
  Result<std::vector<std::vector<float>>> embed(std::span<const std::vector<Token>> texts,
                                                std::stop_token stop) override;
  const Model& model() const override { return *model_; }
  std::uint32_t context_tokens() const override { return model_->info().context_length; }
  RunnerStats stats() const override {
    const std::lock_guard lock(mutex_);
    RunnerStats stats = stats_;
    for (const Work& work : running_) stats.running += *work.is_over ? 0 : 1;
    return stats;
  }
  void drain() override {
    const std::lock_guard lock(mutex_);
    is_draining_ = true;
  }

 private:
  struct Work {
    std::shared_ptr<std::atomic<bool>> is_over = std::make_shared<std::atomic<bool>>(false);
    std::jthread thread;
  };
  Result<TransferRequest> request_of(const GenerateRequest& request) const;
  void answer(const GenerateRequest& request, const OnEvent& on_event, const std::stop_token& stop);
  Result<Usage> answer_one(const TransferRequest& post, int choice, const OnEvent& on_event,
                           FinishReason& reason, const std::stop_token& stop);

  const RemoteSettings remote_;
  const std::shared_ptr<const Model> model_;
  mutable std::mutex mutex_;  // guards what follows
  std::list<Work> running_;
  RunnerStats stats_;
  bool is_draining_ = false;
};

Result<TransferRequest> RemoteRunner::request_of(const GenerateRequest& request) const {
  const std::string prompt = model_->tokenizer().decode(request.prompt, true);
  auto conversation = TRY(conversation_in(prompt));
  const bool is_chat = conversation.has_value();
  Json body = is_chat ? *std::move(conversation) : Json::object({{"prompt", prompt}});
  if (!remote_.model.empty()) body.set("model", remote_.model);
  body.set("stream", true);
  body.set("stream_options", Json::object({{"include_usage", true}}));
  const SamplingOptions& sampling = request.sampling;
  body.set("temperature", sampling.temperature);
  if (sampling.temperature > 0) body.set("seed", sampling.seed & 0x7fffffff);
  if (sampling.top_p < 1) body.set("top_p", sampling.top_p);
  if (sampling.presence_penalty != 0) body.set("presence_penalty", sampling.presence_penalty);
  if (sampling.frequency_penalty != 0) body.set("frequency_penalty", sampling.frequency_penalty);
  if (request.max_tokens >= 0) body.set("max_tokens", request.max_tokens);
  if (!request.stop.empty()) {
    Json stops = Json::array();
    for (const std::string& stop : request.stop) stops.push_back(stop);
    body.set("stop", std::move(stops));
  }
  return post_to(remote_, is_chat ? "/chat/completions" : "/completions", body);
}

Result<Usage> RemoteRunner::answer_one(const TransferRequest& post, int choice,
                                       const OnEvent& on_event, FinishReason& reason,
                                       const std::stop_token& stop) {
  RemoteAnswer answer;
  int status = 0;
  std::string refused;
  const auto emit = [&](std::string text) {
    if (text.empty()) return;
    Event event;
    event.choice = choice;
    event.text = std::move(text);
    on_event(event);
  };
  TransferSink sink;
  sink.head = [&](const TransferHead& head) -> Status {
    status = head.status;
    return Done{};
  };
  sink.body = [&](std::span<const std::byte> bytes) -> Status {
    if (status != 200) {
      if (refused.size() < max_error_bytes) refused += text_of(bytes);
      return Done{};
    }
    emit(TRY(answer.add(text_of(bytes))));
    return Done{};
  };
  const TransferHead head = TRY(transfer(post, sink, stop));
  if (head.status != 200) return refusal(head.status, refused);
  emit(TRY(answer.add("\n")) + answer.finish());
  reason = answer.reason();
  return answer.usage();
}

void RemoteRunner::answer(const GenerateRequest& request, const OnEvent& on_event,
                          const std::stop_token& stop) {
  const auto start = Clock::now();
  Event last;
  last.last = true;
  const auto post = request_of(request);
  for (int choice = 0; choice < request.n; ++choice) {
    FinishReason reason = FinishReason::stop;
    const auto usage = post ? answer_one(*post, choice, on_event, reason, stop)
                            : Result<Usage>(Error(post.error()));
    const bool is_cancelled = stop.stop_requested();
    if (usage) {
      last.usage.prompt_tokens = usage->prompt_tokens;
      last.usage.cached_tokens = usage->cached_tokens;
      last.usage.completion_tokens += usage->completion_tokens;
    } else {
      reason = is_cancelled ? FinishReason::cancelled : FinishReason::error;
      if (!is_cancelled && !last.error) last.error = usage.error();
    }
    last.usage.decode_seconds = seconds_since(start);
    Event end = choice + 1 == request.n ? last : Event();
    end.choice = choice;
    end.finish = reason;
    if (end.last) {
      const std::lock_guard lock(mutex_);
      stats_.prompt_tokens += static_cast<std::uint64_t>(last.usage.prompt_tokens);
      stats_.completion_tokens += static_cast<std::uint64_t>(last.usage.completion_tokens);
      ++(last.error     ? stats_.requests_failed
         : is_cancelled ? stats_.requests_cancelled
                        : stats_.requests_done);
    }
    on_event(end);
  }
}

Status RemoteRunner::submit(GenerateRequest request, OnEvent on_event) {
  TRY(check_request(request));
  if (remote_.embeds)
    return Error(ErrorKind::unsupported,
                 fmt::format("remote:{} embeds texts: it does not generate", remote_.name));
  const std::lock_guard lock(mutex_);
  std::erase_if(running_, [](const Work& work) { return work.is_over->load(); });
  if (is_draining_) return Error(ErrorKind::unavailable, "the model takes no new requests");
  if (running_.size() >= max_running)
    return Error(ErrorKind::exhausted, fmt::format("{} requests wait already", max_running));
  Work& work = running_.emplace_back();
  work.thread = std::jthread([this, over = work.is_over, asked = std::move(request),
                              tell = std::move(on_event)](const std::stop_token& leaving) {
    std::stop_source either;
    const std::stop_callback on_leave(leaving, [&] { either.request_stop(); });
    const std::stop_callback on_stop(asked.stop_token, [&] { either.request_stop(); });
    answer(asked, tell, either.get_token());
    *over = true;
  });
  return Done{};
}

Result<std::vector<std::vector<float>>> RemoteRunner::embed(
    std::span<const std::vector<Token>> texts, std::stop_token stop) {
  Json inputs = Json::array();
  for (const auto& text : texts) inputs.push_back(model_->tokenizer().decode(text, true));
  Json body = Json::object({{"input", std::move(inputs)}});
  if (!remote_.model.empty()) body.set("model", remote_.model);
  const std::string reply = TRY(fetch(post_to(remote_, "/embeddings", body), std::move(stop)));
  const Json json = TRY(parse_json(reply));
  const Json* data = json.find("data");
  if (data == nullptr || !data->is_array() || data->size() != texts.size())
    return Error(ErrorKind::corrupt, "the server's vectors: another number of them");
  std::vector<std::vector<float>> vectors;
  for (const Json& item : data->as_array()) {
    const Json* numbers = item.find("embedding");
    if (numbers == nullptr || !numbers->is_array())
      return Error(ErrorKind::corrupt, "the server's vectors: one that is none");
    auto& vector = vectors.emplace_back();
    for (const Json& number : numbers->as_array())
      vector.push_back(number.is_number() ? static_cast<float>(number.as_number()) : 0.0f);
  }
  return vectors;
}

}  // namespace

std::unique_ptr<Runner> make_remote_runner(const RemoteSettings& remote) {
  return std::make_unique<RemoteRunner>(remote);
}

}  // namespace hearth
