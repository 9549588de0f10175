// hearth run: one prompt, one answer.
#include <fmt/core.h>

#include "base/files.h"
#include "cli/graph_commands.h"
#include "cli/interrupts.h"
#include "cli/open_model.h"
#include "cli/rows.h"
#include "cli/sampling_flags.h"
#include "library/pictures.h"
#include "library/transcriber.h"
#include "text/answer/held_answer.h"

namespace hearth::cli {
namespace {

constexpr std::uint64_t max_prompt_bytes = 64u << 20;

Result<std::vector<Token>> raw_prompt(const Model& model, const std::string& prompt) {
  return model.tokenizer().encode(prompt, {.add_special = true, .parse_special = true});
}

// The prompt, behind the pictures that go with it.
Result<Json> content_of(const Arguments& arguments, const std::string& prompt) {
  const auto files = arguments.all("--image");
  if (files.empty()) return Json(prompt);
  Json parts = Json::array();
  for (const std::string& file : files) parts.push_back(TRY(picture_part(file)));
  parts.push_back(Json::object({{"type", "text"}, {"text", prompt}}));
  return parts;
}

Result<ChatPrompt> conversation(const OpenModel& open, const Arguments& arguments,
                                const std::string& prompt) {
  Json messages = Json::array();
  if (arguments.has("--system"))
    messages.push_back(Json::object({{"role", "system"}, {"content", arguments.text("--system")}}));
  messages.push_back(
      Json::object({{"role", "user"}, {"content", TRY(content_of(arguments, prompt))}}));
  return chat_prompt(open.lease->model(), with_preset_messages(open.preset, std::move(messages)));
}

// What the answer must be.
Result<AnswerRule> read_rule(const Arguments& arguments) {
  AnswerRule rule;
  std::string_view first;
  for (const std::string_view option : {"--schema", "--grammar", "--regex", "--choice"}) {
    if (!arguments.has(option)) continue;
    if (!first.empty())
      return Error(ErrorKind::invalid, fmt::format("{}: does not go with {}", option, first));
    first = option;
  }
  if (first == "--schema") {
    std::string text = arguments.text(first);
    const bool is_file = !text.starts_with('{') && text != "true";
    const std::string place = is_file ? text : "--schema";
    if (is_file) text = TRY(read_file(text, grammar::max_source_bytes));
    auto schema = parse_json(text);
    if (!schema) return std::move(schema).error().within(place);
    rule = {.kind = AnswerRule::Kind::schema, .schema = std::move(*schema)};
  } else if (first == "--grammar") {
    rule.kind = AnswerRule::Kind::gbnf;
    rule.text = TRY(read_file(arguments.text(first), grammar::max_source_bytes));
  } else if (first == "--regex") {
    rule = {.kind = AnswerRule::Kind::pattern, .text = arguments.text(first)};
  } else if (first == "--choice") {
    rule = {.kind = AnswerRule::Kind::choice, .choices = arguments.all(first)};
  }
  return rule;
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
  if (const std::string graph = graph_path(arguments); !graph.empty())
    return run_graph(app, arguments, graph);
  std::string prompt = arguments[1];
  if (arguments.count() < 2 && arguments.has("--image"))
    prompt = "Describe this picture.";
  else if (arguments.count() < 2 || prompt == "-")
    prompt = TRY(read_stdin(max_prompt_bytes));
  const OpenModel open = TRY(open_model(app, arguments, arguments[0]));
  TRY(check_reads_text(*open.lease));
  const Model& model = open.lease->model();
  GenerateRequest request = TRY(read_request(arguments, open));
  const bool shows = arguments.has("--image");
  if (shows && model.vision() == nullptr)
    return Error(ErrorKind::unsupported,
                 fmt::format("--image: {} reads text, it does not see", open.lease->id));
  if (shows && arguments.has("--raw"))
    return Error(ErrorKind::invalid, "--image: does not go with --raw");
  const bool raw = arguments.has("--raw") || (model.chat_template_source().empty() && !shows);
  HeldAnswer held{.rule = TRY(read_rule(arguments))};
  AnswerForm form;
  if (raw) {
    request.prompt = TRY(raw_prompt(model, prompt));
  } else {
    ChatPrompt chat = TRY(conversation(open, arguments, prompt));
    request.prompt = std::move(chat.tokens);
    request.pictures = std::move(chat.pictures);
    form = find_answer_form(model.chat_template_source());
    held.is_thinking = begins_thought(form, chat.text);
  }
  request.constraint = TRY(hold_answer(*open.lease->grammars, form, held));

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
    {"--image", "FILE",
     "A picture that goes with PROMPT (PNG, JPEG, BMP, PNM); may be given several times.", true},
    mmproj_flag,
    lora_flag,
    {"--raw", "", "No chat template: continue PROMPT as it stands."},
    {"--engine", "NAME", "Load with this engine alone: `hearth show MODEL --engines`."},
    {"--schema", "FILE|JSON", "Answer with JSON that satisfies this JSON schema."},
    {"--grammar", "FILE", "Answer with a text of this grammar (GBNF)."},
    {"--regex", "R", "Answer with a match of this regular expression, from end to end."},
    {"--choice", "TEXT", "Answer with one of these; may be given several times.", true},
    {"--input", "NAME=VALUE",
     "Of a graph: an array (npy, npz), picture, sound or text file, or numbers.", true},
    {"--output", "DIR",
     "Of a graph: write each output there as NAME.npy; a name that ends in .npy is that of the "
     "only one."},
    {"--labels", "FILE", "Of a graph: a name per line, for the classes of a result."},
    {"--method", "NAME", "Of an ExecuTorch program or a TFLite model of several: which method."},
    {"--profile", "", "Of a graph: how long each operator takes, in a second run."},
    {"--pixels", "KIND", "Of a graph: pictures as raw, unit (0..1), signed (-1..1), imagenet."},
    {"--rate", "HZ", "Of a graph: sounds are brought to so many samples a second."},
};
constexpr auto options = join(own, sampling_flags);

}  // namespace

const Command run_command{
    .name = "run",
    .arguments = "MODEL [PROMPT]",
    .summary = "Answer one prompt and leave.",
    .details =
        "Without PROMPT, or when it is `-`, the prompt is read from standard input; with\n"
        "--image the model then describes the picture.\n"
        "A model without a chat template continues the text.  An operator graph (.onnx, .ort, "
        ".tflite,\n"
        ".mlmodel, .mlpackage, .pte) takes inputs instead of a prompt and gives its outputs.\n\n"
        "  hearth run builtin \"How do I serve a model?\"\n"
        "  hearth run builtin \"Is it cold?\" --choice yes --choice no\n"
        "  hearth run qwen2.5-vl --image photo.jpg \"What is on the table?\"\n"
        "  hearth run classifier.onnx --input image=cat.jpg --labels names.txt\n"
        "  git diff | hearth run model.gguf --system \"Write a commit message.\"",
    .options = options,
    .run = run};

}  // namespace hearth::cli
