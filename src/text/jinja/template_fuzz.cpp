// Any bytes as a chat template, and as what is said in it.  NUL separates the template, the
// messages (JSON) and further variables (JSON); what is not given or is no JSON is a small
// conversation.
#include <algorithm>
#include <string>
#include <string_view>

#include "base/check.h"
#include "base/utf8.h"
#include "text/chat_template.h"

using namespace hearth;

namespace {

std::string_view next_part(std::string_view& input) {
  const std::size_t end = std::min(input.find('\0'), input.size());
  const std::string_view part = input.substr(0, end);
  input.remove_prefix(std::min(end + 1, input.size()));
  return part;
}

Json conversation() {
  Json messages = Json::array();
  for (const char* role : {"system", "user", "assistant", "tool", "user"})
    messages.push_back(Json::object({{"role", role}, {"content", "<|im_end|> {{ x }} é"}}));
  return messages;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  // Small limits, so that no input takes long.
  constexpr TemplateLimits limits{
      .source_bytes = 64u << 10, .fuel = 20'000, .output_bytes = 1u << 20};
  std::string_view input(reinterpret_cast<const char*>(data), size);
  const auto made = ChatTemplate::parse(next_part(input), limits);
  if (!made) {
    HEARTH_CHECK(is_utf8(made.error().message()));
    return 0;
  }
  RenderInputs inputs;
  inputs.bos_token = "<s>";
  inputs.eos_token = "</s>";
  const auto messages = parse_json(next_part(input));
  inputs.messages = messages && messages->is_array() ? *messages : conversation();
  const auto variables = parse_json(next_part(input));
  if (variables && variables->is_object()) inputs.variables = *variables;
  const auto prompt = made->render(inputs);
  if (!prompt) {
    HEARTH_CHECK(is_utf8(prompt.error().message()));
    return 0;
  }
  for (std::size_t i = 0; i < prompt->parts.size(); ++i) {
    HEARTH_CHECK(!prompt->parts[i].text.empty());
    HEARTH_CHECK(i == 0 || prompt->parts[i].trusted != prompt->parts[i - 1].trusted);
  }
  HEARTH_CHECK(is_utf8(prompt->text()));
  return 0;
}
