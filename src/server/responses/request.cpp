// A request of the Responses interface in the form of chat completions.
// Source: OpenAI API reference, "Create a model response".
#include <fmt/core.h>

#include <algorithm>
#include <array>

#include "base/utf8.h"
#include "server/fields.h"
#include "server/parameters.h"
#include "server/responses/items.h"
#include "server/responses/responses.h"

namespace hearth::server::responses {
namespace {

constexpr std::int64_t max_asked_tokens = (std::int64_t{1} << 31) - 1;

void add_to(std::string& list, std::string_view name) {
  if (list.find(name) != list.npos) return;
  list += list.empty() ? "" : ", ";
  list += name;
}

// What a custom tool takes, said in its description: its text is an argument like any other.
std::string description_of(const Json& tool) {
  const Json* text = given(tool, "description");
  std::string result = text && text->is_string() ? text->as_string() : "";
  const Json* format = given(tool, "format");
  const Json* definition = format ? given(*format, "definition") : nullptr;
  if (!definition || !definition->is_string()) return result;
  const Json* syntax = given(*format, "syntax");
  return result + fmt::format("\n\nThe input must be of this {} grammar:\n{}",
                              syntax && syntax->is_string() ? syntax->as_string() : "",
                              definition->as_string());
}

Json custom_function(const Json& tool, const std::string& name) {
  Json parameters =
      Json::object({{"type", "object"},
                    {"properties", Json::object({{"input", Json::object({{"type", "string"}})}})},
                    {"required", Json::array()},
                    {"additionalProperties", false}});
  parameters.find("required")->push_back("input");
  return Json::object({{"name", name},
                       {"description", description_of(tool)},
                       {"parameters", std::move(parameters)}});
}

class ToolReader {
 public:
  explicit ToolReader(Translated& out) : out_(out) {}

  Check read_all(const Json& tools, const std::string& space) {
    if (!tools.is_array()) return invalid_value("tools", "needs a list");
    for (const Json& tool : tools.as_array()) TRY(read(tool, space));
    return Done{};
  }
  Json take() { return std::move(list_); }
  const std::string& left_out() const { return left_out_; }

 private:
  Check read(const Json& tool, const std::string& space) {
    const std::string_view type = text_of(tool, "type");
    if (type.empty()) return invalid_value("tools", "has one without a type");
    const Json* name = given(tool, "name");
    if (type == "namespace" && space.empty() && name && name->is_string() && given(tool, "tools"))
      return read_all(*tool.find("tools"), name->as_string());
    if (type == "mcp") {
      list_.push_back(tool);
      return Done{};
    }
    if (type != "function" && type != "custom") {
      // Only a vendor's own servers can run it.
      add_to(left_out_, printable(std::string(type)));
      return Done{};
    }
    if (!name || !name->is_string())
      return invalid_value("tools", fmt::format("has a {} without a name", type));
    add_tool(tool, {name->as_string(), space, type == "custom"});
    return Done{};
  }

  void add_tool(const Json& tool, KnownTool known) {
    const std::string own = function_name(known.space, known.name);
    Json function = Json::object({{"name", own}});
    if (known.is_custom) {
      function = custom_function(tool, own);
    } else {
      for (const char* field : {"description", "parameters", "strict"})
        if (const Json* value = given(tool, field)) function.set(field, *value);
    }
    list_.push_back(Json::object({{"type", "function"}, {"function", std::move(function)}}));
    out_.tools.emplace(own, std::move(known));
  }

  Translated& out_;
  Json list_ = Json::array();
  std::string left_out_;
};

Json chosen(std::string_view name) {
  return Json::object(
      {{"type", "function"}, {"function", Json::object({{"name", std::string(name)}})}});
}

// The function of a tool that is chosen: {"type": "function" | "custom", "name": ...}.
std::string chosen_name(const Json& choice) {
  const Json* name = given(choice, "name");
  const Json* space = given(choice, "namespace");
  if (!name || !name->is_string()) return "";
  return function_name(space && space->is_string() ? space->as_string() : "", name->as_string());
}

// {"type": "allowed_tools", "mode": "auto" | "required", "tools": [...]}: the others are not shown.
Check allow_tools(const Json& choice, Json& result) {
  const Json* tools = given(choice, "tools");
  const Json* mode = given(choice, "mode");
  if (!tools || !tools->is_array() || !mode || !mode->is_string())
    return invalid_value("tool_choice", "of type allowed_tools needs a mode and a list of tools");
  std::vector<std::string> names;
  for (const Json& tool : tools->as_array()) names.push_back(chosen_name(tool));
  Json kept = Json::array();
  if (const Json* all = result.find("tools"))
    for (const Json& tool : all->as_array())
      if (text_of(tool, "type") == "mcp" ||
          std::ranges::find(names, tool.find("function")->find("name")->as_string()) != names.end())
        kept.push_back(tool);
  result.set("tools", std::move(kept));
  result.set("tool_choice", *mode);
  return Done{};
}

Check read_tool_choice(const Json& choice, Json& result) {
  if (choice.is_string()) {
    result.set("tool_choice", choice);
    return Done{};
  }
  const std::string_view type = text_of(choice, "type");
  if (type == "allowed_tools") return allow_tools(choice, result);
  if (type == "mcp" && given(choice, "server_label") && given(choice, "name")) {
    result.set("tool_choice",
               chosen(function_name(text_of(choice, "server_label"), text_of(choice, "name"))));
    return Done{};
  }
  if ((type != "function" && type != "custom") || chosen_name(choice).empty())
    return unsupported_value("tool_choice",
                             "needs auto, none, required, or the name of a function, a custom tool "
                             "or a server's tool");
  result.set("tool_choice", chosen(chosen_name(choice)));
  return Done{};
}

Check read_tools(const Json& body, Translated& out) {
  ToolReader reader(out);
  if (const Json* tools = given(body, "tools")) TRY(reader.read_all(*tools, ""));
  out.body.set("tools", reader.take());
  if (!reader.left_out().empty())
    out.warning = fmt::format("tools that do not run here were left out: {}", reader.left_out());
  if (const Json* choice = given(body, "tool_choice")) TRY(read_tool_choice(*choice, out.body));
  if (const Json* parallel = given(body, "parallel_tool_calls"))
    out.body.set("parallel_tool_calls", *parallel);
  return Done{};
}

Check read_format(const Json& body, Json& result) {
  const Json* text = given(body, "text");
  if (!text) return Done{};
  if (!text->is_object()) return invalid_value("text", "needs an object");
  if (const Json* format = given(*text, "format")) result.set("response_format", *format);
  return Done{};
}

// "include": what the answer should hold beside its text.
Check read_include(const Json& body, Json& result) {
  const Json* include = given(body, "include");
  if (!include) return Done{};
  if (!include->is_array()) return invalid_value("include", "needs a list");
  for (const Json& item : include->as_array())
    if (item == Json("message.output_text.logprobs")) result.set("logprobs", true);
  if (const Json* top = given(body, "top_logprobs"); top && result.find("logprobs"))
    result.set("top_logprobs", *top);
  return Done{};
}

Check read_reasoning(const Json& body, Json& result) {
  const Json* reasoning = given(body, "reasoning");
  if (!reasoning) return Done{};
  if (!reasoning->is_object()) return invalid_value("reasoning", "needs an object");
  if (const Json* effort = given(*reasoning, "effort")) result.set("reasoning_effort", *effort);
  return Done{};
}

Check read_numbers(const Json& body, Json& result) {
  const auto room = TRY(read_integer(body, "max_output_tokens", 1, max_asked_tokens));
  if (room) result.set("max_tokens", *room);
  for (const SamplingField& field : sampling_fields())
    if (const Json* value = given(body, field.name)) result.set(std::string(field.name), *value);
  for (const char* name : {"stream", "truncation", "seed", "stop", "logit_bias", "deterministic",
                           "chat_template_kwargs", "response_format"})
    if (const Json* value = given(body, name)) result.set(name, *value);
  return Done{};
}

std::string_view id_start(std::string_view type) {
  if (type == "function_call") return "fc_";
  if (type == "custom_tool_call") return "ctc_";
  if (type == "reasoning") return "rs_";
  if (type == "mcp_approval_response") return "mcpa_";
  return type == "message" || type.empty() ? "msg_" : "item_";
}

}  // namespace

Checked<Json> read_items(const Json& body, std::string_view id, std::string_view field) {
  const Json* input = given(body, field);
  Json items = Json::array();
  if (!input) return items;
  if (input->is_string() && field == "input") {
    // Some clients ask for nothing, so that the model is loaded.
    items.push_back(Json::object({{"type", "message"}, {"role", "user"}, {"content", *input}}));
  } else if (input->is_array()) {
    items = *input;
  } else {
    return invalid_value(field, "needs a text or a list of items");
  }
  for (std::size_t i = 0; i < items.size(); ++i) {
    Json& item = items.as_array()[i];
    if (!item.is_object()) return invalid_value(fmt::format("{}[{}]", field, i), "needs an object");
    if (text_of(item, "type").empty()) item.set("type", "message");
    if (!given(item, "id"))
      item.set("id", fmt::format("{}{}i{}", id_start(text_of(item, "type")), id, i));
  }
  return items;
}

Json listed(Json item) {
  const Json* content = item.find("content");
  if (!content || *item.find("type") != Json("message")) return item;
  if (content->is_string()) {
    const bool is_ours = item.find("role") && *item.find("role") == Json("assistant");
    item.set("content",
             Json(Json::Array{Json::object(
                 {{"type", is_ours ? "output_text" : "input_text"}, {"text", *content}})}));
  }
  if (!item.find("status")) item.set("status", "completed");
  return item;
}

Checked<Translated> translate_request(const Json& body, std::span<const Json* const> items,
                                      const std::string& prompt) {
  Translated out;
  Conversation conversation;
  std::string said_first = prompt;
  if (const Json* instructions = given(body, "instructions")) {
    if (!instructions->is_string()) return invalid_value("instructions", "needs a text");
    if (!prompt.empty() && !instructions->as_string().empty()) said_first += "\n\n";
    said_first += instructions->as_string();
  }
  if (!said_first.empty()) conversation.add_system(said_first);
  for (std::size_t i = 0; i < items.size(); ++i)
    TRY(conversation.add(*items[i], fmt::format("input[{}]", i)));
  out.body = Json::object({{"messages", conversation.take()}});
  out.approvals = conversation.take_approvals();
  out.max_tool_calls = TRY(read_integer(body, "max_tool_calls", 1, max_asked_tokens));
  TRY(read_tools(body, out));
  if (conversation.has_left_out())
    out.warning += std::string(out.warning.empty() ? "" : "; ") +
                   "items of tools that do not run here were left out";
  TRY(read_format(body, out.body));
  TRY(read_include(body, out.body));
  TRY(read_reasoning(body, out.body));
  TRY(read_numbers(body, out.body));
  return out;
}

}  // namespace hearth::server::responses
