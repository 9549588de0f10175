// Source: OpenAI API reference, "Create chat completion": messages, tools, tool_choice.
#include "server/conversation.h"

#include <fmt/core.h>

#include <algorithm>
#include <array>
#include <set>

#include "library/pictures.h"
#include "server/fields.h"
#include "text/chat_format.h"

namespace hearth::server {
namespace {

constexpr std::size_t max_messages = 4096;
constexpr std::size_t max_tools = 128;
constexpr std::size_t max_tool_name_bytes = 64;
constexpr std::size_t max_tool_bytes = 256u << 10;
constexpr std::size_t max_name_bytes = 64;
constexpr std::size_t max_id_bytes = 256;
constexpr std::size_t max_variables = 64;

std::string place_of(std::size_t index, std::string_view field) {
  return fmt::format("messages[{}].{}", index, field);
}

Check check_content(const Json& message, std::size_t index, bool may_be_absent) {
  const Json* content = message.find("content");
  if ((content && !content->is_null()) || may_be_absent) return Done{};
  return invalid_value(place_of(index, "content"), "is missing");
}

// What pictures are of is read when the model is known.
Check check_pictures(const Json& message, std::string_view role, std::size_t index) {
  const Json* content = message.find("content");
  if (!content || !content->is_array()) return Done{};
  if (role != "user" && role != "tool")
    return invalid_value(place_of(index, "content"), "shows a picture: only users and tools do");
  for (const Json& part : content->as_array())
    if (is_picture(part) && !names_picture(part))
      return invalid_value(place_of(index, "content"), "has a picture without image_url");
  return Done{};
}

bool is_plain_name(const std::string& name) {
  return std::all_of(name.begin(), name.end(),
                     [](char c) { return static_cast<unsigned char>(c) >= 0x20 && c != 0x7f; });
}

Check check_tool_calls(const Json& message, std::size_t index) {
  const Json* calls = message.find("tool_calls");
  if (!calls || calls->is_null()) return Done{};
  const std::string place = place_of(index, "tool_calls");
  if (!calls->is_array() || calls->size() > max_tools)
    return invalid_value(place, fmt::format("needs a list of up to {}", max_tools));
  for (const Json& call : calls->as_array()) {
    const Json* function = call.find("function");
    const Json* name = function ? function->find("name") : nullptr;
    const Json* arguments = function ? function->find("arguments") : nullptr;
    const bool has_arguments = arguments && (arguments->is_string() || arguments->is_object());
    if (!name || !name->is_string() || !has_arguments)
      return invalid_value(place, "needs calls with a function's name and arguments");
  }
  return Done{};
}

Checked<Json> read_message(const Json& message, std::size_t index) {
  if (!message.is_object())
    return invalid_value(fmt::format("messages[{}]", index), "needs an object");
  const Json* role = message.find("role");
  constexpr std::array<std::string_view, 5> roles = {"system", "developer", "user", "assistant",
                                                     "tool"};
  if (!role || !role->is_string() ||
      std::find(roles.begin(), roles.end(), role->as_string()) == roles.end())
    return invalid_value(place_of(index, "role"),
                         "needs to be system, developer, user, assistant or tool");
  const std::string& name = role->as_string();
  TRY(check_tool_calls(message, index));
  const Json* calls = message.find("tool_calls");
  const bool has_calls = name == "assistant" && calls && calls->size() > 0;
  Json result = Json::object({{"role", name}});
  TRY(check_content(message, index, name == "assistant"));
  if (const Json* content = message.find("content")) result.set("content", *content);
  if (has_calls) result.set("tool_calls", *calls);
  if (name == "tool") {
    const auto id = TRY(read_text(message, "tool_call_id", max_id_bytes));
    if (!id) return invalid_value(place_of(index, "tool_call_id"), "is missing");
    result.set("tool_call_id", *id);
  }
  const auto speaker = TRY(read_text(message, "name", max_name_bytes));
  if (speaker && !is_plain_name(*speaker))
    return invalid_value(place_of(index, "name"), "has a control character");
  if (speaker) result.set("name", *speaker);
  const auto thought = TRY(read_text(message, "reasoning_content", 64u << 20));
  if (thought) result.set("reasoning_content", *thought);
  auto regular = regular_message(result);
  if (regular) {
    TRY(check_pictures(*regular, name, index));
    return *std::move(regular);
  }
  const std::string& reason = regular.error().message();
  return regular.error().kind() == ErrorKind::unsupported
             ? unsupported_value(place_of(index, "content"), reason)
             : invalid_value(place_of(index, "content"), reason);
}

bool is_tool_name(const std::string& name) {
  return !name.empty() && name.size() <= max_tool_name_bytes &&
         std::all_of(name.begin(), name.end(), [](char c) {
           return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
                  c == '_' || c == '-';
         });
}

Check read_tools(const Json& body, ChatInput& input) {
  const Json* tools = body.find("tools");
  if (!tools || tools->is_null()) return Done{};
  if (!tools->is_array() || tools->size() > max_tools)
    return invalid_value("tools", fmt::format("needs a list of up to {}", max_tools));
  Json known = Json::array();
  std::set<std::string> names;
  for (const Json& tool : tools->as_array()) {
    const Json* type = tool.find("type");
    if (!type || !type->is_string()) return invalid_value("tools", "has one without a type");
    if (type->as_string() == "mcp") {
      input.wishes.push_back(TRY(read_tool_wish(tool)));
      continue;
    }
    if (type->as_string() != "function") {
      // Only a vendor's own servers can run it.
      input.warning = "tools of other types than function were left out";
      continue;
    }
    const Json* function = tool.find("function");
    const Json* name = function ? function->find("name") : nullptr;
    if (!name || !name->is_string() || !is_tool_name(name->as_string()))
      return invalid_value("tools", fmt::format("needs functions with names of 1 to {} letters, "
                                                "digits, '_' and '-'",
                                                max_tool_name_bytes));
    if (!names.insert(name->as_string()).second)
      return invalid_value("tools", fmt::format("has '{}' twice", name->as_string()));
    const Json* parameters = function->find("parameters");
    if (parameters && !parameters->is_null() && !parameters->is_object())
      return invalid_value("tools",
                           fmt::format("'{}' needs an object of parameters", name->as_string()));
    if (write_json(tool).size() > max_tool_bytes)
      return invalid_value("tools",
                           fmt::format("'{}' is over {} bytes", name->as_string(), max_tool_bytes));
    known.push_back(tool);
  }
  if (known.size() > 0) input.tools = std::move(known);
  return Done{};
}

Check read_tool_choice(const Json& body, ChatInput& input) {
  const Json* choice = body.find("tool_choice");
  if (!choice || choice->is_null()) return Done{};
  if (*choice == Json("auto")) return Done{};
  if (*choice == Json("none")) {
    input.tools = Json();
    input.wishes.clear();
    input.forbids_tools = true;
    return Done{};
  }
  const Json* function = choice->find("function");
  const Json* name = function ? function->find("name") : nullptr;
  if (*choice != Json("required") && (!name || !name->is_string()))
    return invalid_value("tool_choice", "needs auto, none, required or a function's name");
  input.choice.is_forced = true;
  if (name) input.choice.name = name->as_string();
  // Tools that run here are not known yet.
  if (input.wishes.empty() && !is_chosen(input))
    return invalid_value("tool_choice", "names no tool of this request");
  return Done{};
}

// How much to think, as templates ask for it.
Check read_effort(const Json& body, ChatInput& input) {
  const auto effort = TRY(read_text(body, "reasoning_effort", max_name_bytes));
  if (!effort) return Done{};
  if (*effort == "none")
    input.variables.set("enable_thinking", false);
  else
    input.variables.set("reasoning_effort", *effort);
  return Done{};
}

}  // namespace

bool is_chosen(const ChatInput& input) {
  const auto is_meant = [&](const Json& tool) {
    return input.choice.name.empty() ||
           *tool.find("function")->find("name") == Json(input.choice.name);
  };
  return input.tools.is_array() && std::ranges::any_of(input.tools.as_array(), is_meant);
}

Checked<Truncation> read_truncation(const Json& body) {
  const Json* truncation = given(body, "truncation");
  if (!truncation || *truncation == Json("disabled")) return Truncation::disabled;
  if (*truncation == Json("auto")) return Truncation::turns;
  if (*truncation == Json("window")) return Truncation::window;
  return invalid_value("truncation", "needs to be disabled, auto or window");
}

Checked<ChatInput> read_chat_input(const Json& body) {
  ChatInput input;
  const Json* messages = body.find("messages");
  if (!messages || messages->is_null()) return invalid_value("messages", "is missing");
  if (!messages->is_array() || messages->size() == 0 || messages->size() > max_messages)
    return invalid_value("messages", fmt::format("needs a list of 1 to {}", max_messages));
  for (std::size_t i = 0; i < messages->size(); ++i)
    input.messages.push_back(TRY(read_message(messages->as_array()[i], i)));
  TRY(read_tools(body, input));
  TRY(read_tool_choice(body, input));
  input.truncation = TRY(read_truncation(body));
  input.choice.is_single = !TRY(read_bool(body, "parallel_tool_calls")).value_or(true);
  if (const Json* variables = body.find("chat_template_kwargs");
      variables && !variables->is_null()) {
    if (!variables->is_object() || variables->size() > max_variables)
      return invalid_value("chat_template_kwargs",
                           fmt::format("needs an object of up to {}", max_variables));
    input.variables = *variables;
  }
  TRY(read_effort(body, input));
  return input;
}

}  // namespace hearth::server
