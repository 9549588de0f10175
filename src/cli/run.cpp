// hearth run: one prompt, one answer.
#include "base/files.h"
#include "cli/interrupts.h"
#include "cli/open_model.h"
#include "cli/rows.h"
#include "cli/sampling_flags.h"

namespace hearth::cli {
namespace {

constexpr std::uint64_t max_prompt_bytes = 64u << 20;

Result<std::vector<Token>> raw_prompt(const Model& model, const std::string& prompt) {
  return model.tokenizer().encode(prompt, {.add_special = true, .parse_special = true});
}

Result<std::vector<Token>> conversation(const Model& model, const Arguments& arguments,
                                        const std::string& prompt) {
  Json messages = Json::array();
  if (arguments.has("--system"))
    messages.push_back(Json::object({{"role", "system"}, {"content", arguments.text("--system")}}));
  messages.push_back(Json::object({{"role", "user"}, {"content", prompt}}));
  return TRY(chat_prompt(model, messages)).tokens;
}

Json to_json(const LoadedModel& model, const Answer& answer) {
  const double decode = answer.usage.decode_seconds;
  const auto made = answer.usage.completion_tokens;
  return Json::object({
      {"model", model.id},
      {"text", answer.text},
      {"finish_reason", name_of(answer.finish)},
      {"prompt_tokens", answer.usage.prompt_tokens},
      {"completion_tokens", made},
      {"prefill_seconds", answer.usage.prefill_seconds},
      {"decode_seconds", decode},
      {"tokens_per_second", decode > 0 ? static_cast<double>(made) / decode : 0.0},
  });
}

Status run(App& app, const Arguments& arguments) {
  std::string prompt = arguments[1];
  if (arguments.count() < 2 || prompt == "-") prompt = TRY(read_stdin(max_prompt_bytes));
  const OpenModel open = TRY(open_model(app, arguments, arguments[0]));
  const Model& model = open.lease->model();
  GenerateRequest request = TRY(read_request(arguments, *open.lease));
  const bool raw = arguments.has("--raw") || model.chat_template_source().empty();
  request.prompt = TRY(raw ? raw_prompt(model, prompt) : conversation(model, arguments, prompt));

  const InterruptScope interrupts;
  request.stop_token = interrupts.token();
  const bool json = arguments.has("--json");
  const Answer answer =
      TRY(generate(*open.lease->runner, std::move(request), [&](std::string_view text) {
        if (!json) app.out.text(text);
      }));
  if (json) app.out.json(to_json(*open.lease, answer));
  if (!json && app.out.is_terminal() && !answer.text.ends_with('\n')) app.out.line("");
  if (answer.finish == FinishReason::cancelled) return Error(ErrorKind::cancelled, "interrupted");
  return Done{};
}

constexpr Option own[] = {
    {"--raw", "", "No chat template: continue PROMPT as it stands."},
};
constexpr auto options = join(own, sampling_flags);

}  // namespace

const Command run_command{
    .name = "run",
    .arguments = "MODEL [PROMPT]",
    .summary = "Answer one prompt and leave.",
    .details =
        "Without PROMPT, or when it is `-`, the prompt is read from standard input.\n"
        "A model without a chat template continues the text.\n\n"
        "  hearth run builtin \"How do I serve a model?\"\n"
        "  git diff | hearth run model.gguf --system \"Write a commit message.\"",
    .options = options,
    .run = run};

}  // namespace hearth::cli
