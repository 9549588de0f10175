#include "text/chat_format.h"

#include <fmt/core.h>

#include <random>
#include <utility>

#include "base/utf8.h"

namespace hearth {
namespace {

Error invalid(std::string message) { return Error(ErrorKind::invalid, std::move(message)); }

bool is_text(const Json* json, std::string_view text) {
  return json && json->is_string() && json->as_string() == text;
}

Json text_part(std::string text) {
  return Json::object({{"type", "text"}, {"text", std::move(text)}});
}

// One text; a list where there are pictures.
Result<Json> join_parts(const Json& parts) {
  std::string text;
  Json all = Json::array();
  for (const Json& part : parts.as_array()) {
    const Json* type = part.find("type");
    if (!type || !type->is_string()) return invalid("has a part without a type");
    const std::string& name = type->as_string();
    if (is_picture(part)) {
      if (!text.empty()) all.push_back(text_part(std::exchange(text, {})));
      all.push_back(part);
      continue;
    }
    const bool is_text = name == "text" || name == "input_text" || name == "output_text";
    if (!is_text && name != "refusal")
      return Error(
          ErrorKind::unsupported,
          fmt::format("has a part of type '{}': this model reads text, and no model here hears",
                      printable(name)));
    const Json* value = part.find(is_text ? "text" : "refusal");
    if (!value || !value->is_string()) return invalid("has a part without text");
    text += value->as_string();
  }
  if (all.size() == 0) return Json(std::move(text));
  if (!text.empty()) all.push_back(text_part(std::move(text)));
  return all;
}

bool has_role(const Json& message, std::string_view role) {
  return is_text(message.find("role"), role);
}

bool calls_tools(const Json& message) {
  const Json* calls = message.find("tool_calls");
  return calls && calls->is_array() && calls->size() > 0;
}

Json message_of(std::string_view role, std::string_view content) {
  return Json::object({{"role", std::string(role)}, {"content", std::string(content)}});
}

// ---- Probes ----

// Words that no template writes by itself.
constexpr std::string_view probe = "qzprobe", probe_key = "qzkey", probe_function = "qzfunction";

// The rendered text; empty where the template refuses.
std::string rendered(const ChatTemplate& chat_template, Json messages, Json tools = {},
                     Json variables = Json::object()) {
  RenderInputs inputs;
  inputs.messages = std::move(messages);
  inputs.tools = std::move(tools);
  inputs.variables = std::move(variables);
  inputs.bos_token = "<s>";
  inputs.eos_token = "</s>";
  const auto prompt = chat_template.render(inputs);
  return prompt ? prompt->text() : std::string();
}

bool has(const std::string& text, std::string_view wanted) {
  return text.find(wanted) != std::string::npos;
}

// False only where conversations are rendered, but system messages refused or left out.
bool takes_system(const ChatTemplate& chat_template, const Json& tools, bool only_parts) {
  Json with = Json::array(), without = Json::array();
  with.push_back(message_of("system", probe));
  for (Json* messages : {&with, &without}) messages->push_back(message_of("user", "hello"));
  if (only_parts)
    for (Json* messages : {&with, &without})
      for (Json& message : messages->as_array()) {
        Json parts = Json::array();
        parts.push_back(text_part(message.find("content")->as_string()));
        message.set("content", std::move(parts));
      }
  return has(rendered(chat_template, std::move(with), tools), probe) ||
         rendered(chat_template, std::move(without), tools).empty();
}

Json probe_tools() {
  const Json parameters =
      Json::object({{"type", "object"},
                    {"properties", Json::object({{"x", Json::object({{"type", "string"}})}})},
                    {"required", Json::array()}});
  Json tools = Json::array();
  tools.push_back(Json::object({{"type", "function"},
                                {"function", Json::object({{"name", std::string(probe_function)},
                                                           {"description", "x"},
                                                           {"parameters", parameters}})}}));
  return tools;
}

bool takes_tools(const ChatTemplate& chat_template, const Json& tools) {
  Json messages = Json::array();
  messages.push_back(message_of("user", "hello"));
  return has(rendered(chat_template, std::move(messages), tools), probe_function);
}

std::string with_call(const ChatTemplate& chat_template, const Json& tools, Json content,
                      Json arguments) {
  Json calls = Json::array();
  calls.push_back(
      Json::object({{"id", "qzcall001"},
                    {"type", "function"},
                    {"function", Json::object({{"name", std::string(probe_function)},
                                               {"arguments", std::move(arguments)}})}}));
  Json call = Json::object({{"role", "assistant"}, {"content", std::move(content)}});
  call.set("tool_calls", std::move(calls));
  Json result = message_of("tool", "1");
  result.set("tool_call_id", "qzcall001");
  result.set("name", std::string(probe_function));
  Json messages = Json::array();
  messages.push_back(message_of("user", "hello"));
  messages.push_back(std::move(call));
  messages.push_back(std::move(result));
  return rendered(chat_template, std::move(messages), tools);
}

bool takes_thinking(const ChatTemplate& chat_template) {
  std::string texts[2];
  for (const bool thinks : {false, true}) {
    Json messages = Json::array();
    messages.push_back(message_of("user", "hello"));
    texts[thinks] = rendered(chat_template, std::move(messages), {},
                             Json::object({{"enable_thinking", thinks}}));
  }
  return texts[0] != texts[1];
}

Json message_of_parts(bool has_picture) {
  Json parts = Json::array();
  if (has_picture) parts.push_back(Json::object({{"type", "image"}}));
  parts.push_back(text_part(std::string(probe)));
  return Json::object({{"role", "user"}, {"content", std::move(parts)}});
}

std::string with_parts(const ChatTemplate& chat_template, bool has_picture) {
  Json messages = Json::array();
  messages.push_back(message_of_parts(has_picture));
  return rendered(chat_template, std::move(messages));
}

// A template that knows no parts prints them as they are, or fails.
bool takes_pictures(const ChatTemplate& chat_template) {
  const std::string with = with_parts(chat_template, true);
  return has(with, probe) && !has(with, "'type'") && !has(with, "\"type\"") &&
         with != with_parts(chat_template, false);
}

bool takes_only_parts(const ChatTemplate& chat_template) {
  Json messages = Json::array();
  messages.push_back(message_of("user", probe));
  return !has(rendered(chat_template, std::move(messages)), probe) &&
         has(with_parts(chat_template, false), probe);
}

// ---- Making messages fit ----

// Stands for a picture in a text until that is rendered; nobody can write it by guessing.
std::string new_picture_mark() {
  std::random_device random;
  return fmt::format("<picture {:08x}{:08x}>", random(), random());
}

// As the template reads them: parts where it has a place for pictures or reads nothing else,
// otherwise a text with marks.
Json fit_content(Json message, bool pictures, bool only_parts, const std::string& mark) {
  const Json* content = message.find("content");
  if (content == nullptr) return message;
  if (content->is_string() && only_parts) {
    Json parts = Json::array();
    parts.push_back(text_part(content->as_string()));
    message.set("content", std::move(parts));
  } else if (content->is_array() && pictures && !has_role(message, "tool")) {
    Json parts = Json::array();
    for (const Json& part : content->as_array())
      parts.push_back(is_picture(part) ? Json::object({{"type", "image"}}) : part);
    message.set("content", std::move(parts));
  } else if (content->is_array()) {
    std::string text;
    for (const Json& part : content->as_array())
      text += is_picture(part) ? mark : part.find("text")->as_string();
    message.set("content", std::move(text));
  }
  return message;
}

// Marks become what stands for a picture, as if the template had written it.
RenderedPrompt without_marks(const RenderedPrompt& prompt, const std::string& mark,
                             const std::string& picture_text) {
  RenderedPrompt out;
  const auto add = [&](std::string text, bool trusted) {
    if (text.empty()) return;
    if (!out.parts.empty() && out.parts.back().trusted == trusted)
      out.parts.back().text += text;
    else
      out.parts.push_back({std::move(text), trusted});
  };
  for (const RenderedPrompt::Part& part : prompt.parts) {
    std::size_t begin = 0;
    for (std::size_t at; (at = part.text.find(mark, begin)) != std::string::npos;
         begin = at + mark.size()) {
      add(part.text.substr(begin, at - begin), part.trusted);
      add(picture_text, true);
    }
    add(part.text.substr(begin), part.trusted);
  }
  return out;
}

std::string content_of(const Json& message) {
  const Json* content = message.find("content");
  return content && content->is_string() ? content->as_string() : std::string();
}

// The system text goes before the text of the first message of the user.
Json fold_system(const Json& messages) {
  const std::string system = content_of(messages.as_array()[0]);
  Json folded = Json::array();
  bool is_placed = system.empty();
  for (std::size_t i = 1; i < messages.size(); ++i) {
    Json message = messages.as_array()[i];
    if (!is_placed && has_role(message, "user")) {
      if (const Json* content = message.find("content"); content && content->is_array()) {
        Json parts = Json::array();
        parts.push_back(text_part(system + "\n\n"));
        for (const Json& part : content->as_array()) parts.push_back(part);
        message.set("content", std::move(parts));
      } else {
        message.set("content", fmt::format("{}\n\n{}", system, content_of(message)));
      }
      is_placed = true;
    }
    folded.push_back(std::move(message));
  }
  if (is_placed) return folded;
  Json alone = Json::array();
  alone.push_back(message_of("user", system));
  for (const Json& message : folded.as_array()) alone.push_back(message);
  return alone;
}

Json fit_arguments(const Json& arguments, bool objects) {
  if (!objects) return arguments.is_object() ? Json(write_json(arguments)) : arguments;
  if (!arguments.is_string()) return arguments;
  auto parsed = parse_json(arguments.as_string());
  return parsed && parsed->is_object() ? *std::move(parsed) : arguments;
}

Result<Json> regular_messages(const Json& messages) {
  if (!messages.is_array()) return invalid("messages: needs a list");
  Json all = Json::array();
  for (std::size_t i = 0; i < messages.size(); ++i) {
    auto message = regular_message(messages.as_array()[i]);
    if (!message) return std::move(message).error().within(fmt::format("messages[{}]", i));
    all.push_back(*std::move(message));
  }
  return all;
}

}  // namespace

bool is_picture(const Json& part) {
  const Json* type = part.find("type");
  return is_text(type, "image_url") || is_text(type, "input_image") || is_text(type, "image");
}

Result<Json> regular_message(const Json& message) {
  if (!message.is_object()) return invalid("needs an object");
  const Json* role = message.find("role");
  if (!role || !role->is_string()) return invalid("has no role");
  Json regular = message;
  if (role->as_string() == "developer") regular.set("role", "system");
  const Json* content = message.find("content");
  if (!content || content->is_null())
    regular.set("content", calls_tools(message) ? Json() : Json(""));
  else if (content->is_array())
    regular.set("content", TRY(join_parts(*content)));
  else if (!content->is_string())
    return invalid("needs a text or a list of parts");
  return regular;
}

ChatFormat::ChatFormat(ChatTemplate chat_template) : template_(std::move(chat_template)) {
  const Json tools = probe_tools();
  pictures_ = takes_pictures(template_);
  only_parts_ = takes_only_parts(template_);
  plain_ = {.system = takes_system(template_, {}, only_parts_), .calls = probe_calls({})};
  with_tools_ = {.system = takes_system(template_, tools, only_parts_),
                 .calls = probe_calls(tools)};
  tools_ = takes_tools(template_, tools);
  thinking_ = takes_thinking(template_);
}

Result<ChatFormat> ChatFormat::parse(std::string_view source, const TemplateLimits& limits) {
  return ChatFormat(TRY(ChatTemplate::parse(source, limits)));
}

ChatTraits ChatFormat::traits() const {
  return {.system = plain_.system,
          .tools = tools_,
          .tool_calls = with_tools_.calls.has_value(),
          .argument_objects = with_tools_.calls && with_tools_.calls->objects,
          .thinking = thinking_,
          .pictures = pictures_};
}

std::optional<ChatFormat::CallForm> ChatFormat::probe_calls(const Json& tools) const {
  const Json arguments = Json::object({{std::string(probe_key), "x"}});
  const std::string as_python = fmt::format("'{}'", probe_key);
  for (const CallForm form : {CallForm{true, true}, CallForm{true, false}, CallForm{false, true},
                              CallForm{false, false}}) {
    const std::string text = with_call(template_, tools, form.null_content ? Json() : Json(""),
                                       form.objects ? arguments : Json(write_json(arguments)));
    // A template that expects JSON text prints an object as Python does, or fails.
    if (has(text, probe_key) && !has(text, as_python)) return form;
  }
  return std::nullopt;
}

Json ChatFormat::fit_calls(const Json& message, const CallForm& form) {
  if (!calls_tools(message)) return message;
  Json calls = Json::array();
  for (Json call : message.find("tool_calls")->as_array()) {
    const Json* function = call.find("function");
    const Json* arguments = function ? function->find("arguments") : nullptr;
    if (arguments) {
      Json fitted = *function;
      fitted.set("arguments", fit_arguments(*arguments, form.objects));
      call.set("function", std::move(fitted));
    }
    calls.push_back(std::move(call));
  }
  Json fitted = message;
  fitted.set("tool_calls", std::move(calls));
  if (content_of(message).empty()) fitted.set("content", form.null_content ? Json() : Json(""));
  return fitted;
}

Result<RenderedPrompt> ChatFormat::render(RenderInputs inputs) const {
  const bool is_without_tools = !inputs.tools.is_array() || inputs.tools.size() == 0;
  const Layout& layout = is_without_tools ? plain_ : with_tools_;
  Json messages = TRY(regular_messages(inputs.messages));
  if (messages.size() > 0 && has_role(messages.as_array()[0], "system") && !layout.system)
    messages = fold_system(messages);
  if (layout.calls)
    for (Json& message : messages.as_array()) message = fit_calls(message, *layout.calls);
  const std::string mark = new_picture_mark();
  for (Json& message : messages.as_array())
    message = fit_content(std::move(message), pictures_, only_parts_, mark);
  inputs.messages = std::move(messages);
  return without_marks(TRY(template_.render(inputs)), mark, inputs.picture_text);
}

}  // namespace hearth
