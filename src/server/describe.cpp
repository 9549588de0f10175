#include "server/describe.h"

#include <fmt/core.h>

#include <chrono>
#include <ctime>

#include "server/tool_messages.h"
#include "text/answer/answer.h"

namespace hearth::server {

std::vector<std::string_view> capabilities_of(const LoadedModel& loaded) {
  if (loaded.model().info().kind == ModelKind::reranker) return {"rerank"};
  if (loaded.model().info().kind == ModelKind::embedder) return {"embedding"};
  std::vector<std::string_view> capabilities = {"completion"};
  const AnswerForm form = find_answer_form(loaded.model().chat_template_source());
  if (form.calls && knows_tools(loaded.model())) capabilities.push_back("tools");
  if (form.thoughts) capabilities.push_back("thinking");
  const SpecialTokens& special = loaded.model().tokenizer().special();
  if (special.fim_prefix && special.fim_suffix && special.fim_middle)
    capabilities.push_back("insert");
  return capabilities;
}

std::string time_text(std::int64_t unix_microseconds) {
  const std::time_t seconds = unix_microseconds / 1'000'000;
  std::tm utc{};
  gmtime_r(&seconds, &utc);
  return fmt::format("{:04}-{:02}-{:02}T{:02}:{:02}:{:02}.{:06}+00:00", utc.tm_year + 1900,
                     utc.tm_mon + 1, utc.tm_mday, utc.tm_hour, utc.tm_min, utc.tm_sec,
                     unix_microseconds % 1'000'000);
}

std::string time_now() {
  const auto now = std::chrono::system_clock::now().time_since_epoch();
  return time_text(std::chrono::duration_cast<std::chrono::microseconds>(now).count());
}

}  // namespace hearth::server
