// For tests: a model of bytes and a runner with a will of its own.
#pragma once

#include <memory>
#include <mutex>
#include <span>
#include <string>
#include <thread>
#include <vector>

#include "library/library.h"

namespace hearth::server {

// Answers every prompt with the alphabet, from a letter that the seed and the choice choose, up to
// max_tokens letters, 'z' or a stop string of one letter.  A prompt that holds "endless" is
// answered with dots until it is stopped, "failing" ends in an error after two letters, "refused"
// finds the queue full, and "say((...))" is answered with what stands there.
class FakeRunner final : public Runner {
 public:
  explicit FakeRunner(ModelKind kind, std::string template_source = "");
  ~FakeRunner() override;

  Status submit(GenerateRequest request, OnEvent on_event) override;
  Result<std::vector<std::vector<float>>> embed(std::span<const std::vector<Token>> texts,
                                                std::stop_token) override;
  const Model& model() const override { return *model_; }
  std::uint32_t context_tokens() const override { return 1000; }
  RunnerStats stats() const override;
  void drain() override {}
  void set_queued(std::uint32_t requests);
  GenerateRequest last() const;

 private:
  void answer(const std::string& text, const GenerateRequest& request, const OnEvent& on_event,
              const std::stop_token& leaving);
  TokenInfo info(Token token, const GenerateRequest& request) const;

  const std::unique_ptr<const Model> model_;
  mutable std::mutex mutex_;
  RunnerStats stats_;
  GenerateRequest last_;
  std::vector<std::jthread> threads_;
};

// One token to a byte; 256 begins, 257 ends a text; 258 to 260 are for filling in the middle.
// With the chat template of this source; empty: none.
Lease fake_lease(std::string id, ModelKind kind, std::string template_source = "");

// A chat template with tools and thoughts, as Hermes and Qwen write them.
constexpr const char* hermes_template =
    "{% if tools %}<tools>{% for tool in tools %}{{ tool | tojson }}{% endfor %}</tools>{% endif %}"
    "{% for message in messages %}<|{{ message.role }}|>"
    "{% if message.reasoning_content %}<think>{{ message.reasoning_content }}</think>{% endif %}"
    "{% if message.content %}{{ message.content }}{% endif %}"
    "{% for call in message.tool_calls or [] %}<tool_call>{\"name\": \"{{ call.function.name }}\", "
    "\"arguments\": {{ call.function.arguments | tojson }}}</tool_call>{% endfor %}"
    "{% if message.role == 'tool' %} by {{ message.name }}{% endif %}"
    "{% endfor %}{% if add_generation_prompt %}<|assistant|>{% endif %}";

}  // namespace hearth::server
