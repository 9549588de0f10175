#include "text/chat_template.h"

#include <fmt/core.h>

#include <utility>
#include <vector>

#include "text/jinja/callables.h"
#include "text/jinja/json_text.h"
#include "text/jinja/parser.h"

namespace hearth {
namespace {

using jinja::Value;

constexpr std::string_view global_names[] = {
    "range", "dict", "namespace", "cycler", "joiner", "raise_exception", "strftime_now"};

}  // namespace

struct ChatTemplate::Program {
  std::unique_ptr<const jinja::Program> code;
  TemplateLimits limits;
};

std::string RenderedPrompt::text() const {
  std::string all;
  for (const Part& part : parts) all += part.text;
  return all;
}

ChatTemplate::ChatTemplate(std::unique_ptr<const Program> program) : program_(std::move(program)) {}
ChatTemplate::ChatTemplate(ChatTemplate&&) noexcept = default;
ChatTemplate& ChatTemplate::operator=(ChatTemplate&&) noexcept = default;
ChatTemplate::~ChatTemplate() = default;

Result<ChatTemplate> ChatTemplate::parse(std::string_view source, const TemplateLimits& limits) {
  if (source.size() > limits.source_bytes)
    return Error(ErrorKind::invalid,
                 fmt::format("chat template: {} bytes, more than {} (limit source_bytes)",
                             source.size(), limits.source_bytes));
  auto code = jinja::parse(source, limits.depth);
  if (!code) return std::move(code).error().within("chat template");
  return ChatTemplate(std::make_unique<const Program>(Program{std::move(*code), limits}));
}

namespace {

class Variables {
 public:
  Variables(jinja::Interpreter& in, const jinja::Program& program, std::vector<Value>& values)
      : in_(in), program_(program), values_(values) {}

  void set(std::string_view name, Value value) {
    const int id = program_.name_id(name);
    if (id >= 0) values_[static_cast<std::size_t>(id)] = std::move(value);
  }
  Status set_json(std::string_view name, const Json& json) {
    if (program_.name_id(name) < 0) return Done{};
    set(name, TRY(jinja::value_of(in_, json)));
    return Done{};
  }
  // Special tokens are the template's own text; one the model does not have is undefined.
  void set_token(std::string_view name, const std::string& token) {
    if (!token.empty()) set(name, Value::text(token));
  }

 private:
  jinja::Interpreter& in_;
  const jinja::Program& program_;
  std::vector<Value>& values_;
};

// So that a long conversation is never too much for an honest template.
constexpr std::uint64_t units_per_input_byte = 4, units_per_input_value = 1024;

std::uint64_t units_of(const Json& json) {
  std::uint64_t units = units_per_input_value;
  if (json.is_string()) units += json.as_string().size() * units_per_input_byte;
  if (json.is_array())
    for (const Json& item : json.as_array()) units += units_of(item);
  if (json.is_object())
    for (const auto& [name, value] : json.as_object()) units += units_of(value);
  return units;
}

Status fill(Variables variables, const RenderInputs& inputs) {
  for (const auto name : global_names) variables.set(name, jinja::global(name));
  // Hugging Face always defines these; what is not given is none.
  variables.set("documents", Value::none());
  variables.set_token("bos_token", inputs.bos_token);
  variables.set_token("eos_token", inputs.eos_token);
  variables.set_token("pad_token", inputs.pad_token);
  variables.set_token("unk_token", inputs.unk_token);
  if (inputs.variables.is_object())
    for (const auto& [name, value] : inputs.variables.as_object())
      TRY(variables.set_json(name, value));
  TRY(variables.set_json("messages", inputs.messages));
  TRY(variables.set_json("tools", inputs.tools));
  variables.set("add_generation_prompt", Value::boolean(inputs.add_generation_prompt));
  return Done{};
}

RenderedPrompt prompt_of(const jinja::Marked& text) {
  RenderedPrompt prompt;
  text.for_runs(0, text.size(), [&](std::string_view run, bool trusted) {
    prompt.parts.push_back({std::string(run), trusted});
  });
  return prompt;
}

}  // namespace

Result<RenderedPrompt> ChatTemplate::render(const RenderInputs& inputs) const {
  const jinja::Program& code = *program_->code;
  const jinja::Limits limits{.fuel = program_->limits.fuel,
                             .text_bytes = program_->limits.output_bytes,
                             .calls = program_->limits.depth};
  jinja::Interpreter in(code, limits, inputs.now_seconds);
  in.earn(units_of(inputs.messages));
  TRY(fill(Variables(in, code, in.context()), inputs));
  return prompt_of(TRY(in.run()));
}

}  // namespace hearth
