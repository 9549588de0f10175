// Source: Anthropic API reference, "Create a Message".
#include <fmt/core.h>

#include <utility>

#include "base/utf8.h"
#include "server/anthropic/anthropic.h"
#include "server/fields.h"
#include "server/message_files.h"
#include "server/responses/items.h"

namespace hearth::server::anthropic {
namespace {

constexpr std::string_view billing_mark = "x-anthropic-billing-header:";

Json text_part(std::string_view text) { return Json::object({{"type", "text"}, {"text", text}}); }

// Its first line, which some clients change with every request, would spoil the prefix cache and
// says nothing to a model.
std::string without_billing_line(const std::string& text) {
  if (!text.starts_with(billing_mark)) return text;
  const std::size_t end = text.find('\n');
  return end == std::string::npos ? "" : text.substr(end + 1);
}

// A picture as the shared form has it.  {"type": "image", "source": {"type": "base64",
// "media_type", "data"}} or {"type": "url", "url"}, which the shared reader refuses but for data:
// URLs.
Checked<Json> read_image(const Json& block, const std::string& place) {
  const Json* source = block.find("source");
  const std::string_view kind = source ? text_of(*source, "type") : "";
  std::string url;
  if (kind == "base64")
    url =
        fmt::format("data:{};base64,{}", text_of(*source, "media_type"), text_of(*source, "data"));
  else if (kind == "url")
    url = text_of(*source, "url");
  else
    return invalid_value(place, "has an image whose source is neither base64 nor url");
  return Json::object(
      {{"type", "image_url"}, {"image_url", Json::object({{"url", std::move(url)}})}});
}

// A document as the shared form has files.  Its source is text, base64, content or file.
Checked<Json> read_document(const Json& block, const std::string& place) {
  const Json* source = block.find("source");
  const std::string_view kind = source ? text_of(*source, "type") : "";
  std::string_view name = text_of(block, "title");
  if (name.empty()) name = "document";
  if (kind == "text") return text_part(file_text(name, text_of(*source, "data")));
  if (kind == "content") {
    const Json* content = source->find("content");
    std::string text = content && content->is_string() ? content->as_string() : "";
    if (content && content->is_array())
      for (const Json& part : content->as_array()) text += text_of(part, "text");
    return text_part(file_text(name, text));
  }
  Json file = Json::object({{"filename", name}});
  if (kind == "base64")
    file.set("file_data", text_of(*source, "data"));
  else if (kind == "file")
    file.set("file_id", text_of(*source, "file_id"));
  else
    return unsupported_value(place,
                             "has a document whose source is none of text, base64, content, file");
  return Json::object({{"type", "file"}, {"file", std::move(file)}});
}

// A text, or blocks of text, pictures and documents, as parts.
Checked<Json> read_texts(const Json& content, const std::string& place) {
  Json parts = Json::array();
  if (content.is_string()) {
    parts.push_back(text_part(content.as_string()));
    return parts;
  }
  if (!content.is_array()) return invalid_value(place, "needs a text or a list of blocks");
  for (const Json& block : content.as_array()) {
    const Json* text = block.find("text");
    if (text_of(block, "type") == "image") {
      parts.push_back(TRY(read_image(block, place)));
      continue;
    }
    if (text_of(block, "type") == "document") {
      parts.push_back(TRY(read_document(block, place)));
      continue;
    }
    if (text_of(block, "type") != "text")
      return unsupported_value(
          place,
          fmt::format("has a block of type '{}': this model reads text, and no model here hears",
                      printable(std::string(text_of(block, "type")))));
    if (!text || !text->is_string()) return invalid_value(place, "has a text block without text");
    parts.push_back(text_part(text->as_string()));
  }
  return parts;
}

Checked<Json> read_system(const Json& system) {
  Json parts = TRY(read_texts(system, "system"));
  Json kept = Json::array();
  for (const Json& part : parts.as_array()) {
    const Json* held = part.find("text");
    if (held == nullptr) return unsupported_value("system", "has a picture or file: needs text");
    std::string text = without_billing_line(held->as_string());
    if (!text.empty()) kept.push_back(text_part(text));
  }
  return kept;
}

// The result of a tool, as the message of its own that templates know.
Checked<Json> read_tool_result(const Json& block, const std::string& place) {
  const Json* id = block.find("tool_use_id");
  if (!id || !id->is_string())
    return invalid_value(place, "has a result of a tool without tool_use_id");
  Json parts = Json::array();
  if (const Json* content = block.find("content"); content && !content->is_null())
    parts = TRY(read_texts(*content, place));
  if (const Json* failed = block.find("is_error"); failed && *failed == Json(true))
    parts.as_array().insert(parts.as_array().begin(), text_part("Error: "));
  return Json::object({{"role", "tool"}, {"tool_call_id", *id}, {"content", std::move(parts)}});
}

Checked<Json> read_tool_use(const Json& block, const std::string& place) {
  const Json* id = block.find("id");
  const Json* name = block.find("name");
  const Json* input = block.find("input");
  if (!id || !id->is_string() || !name || !name->is_string())
    return invalid_value(place, "has a call of a tool without id and name");
  if (input && !input->is_null() && !input->is_object())
    return invalid_value(place, "has a call of a tool whose input is no object");
  const bool has_input = input && input->is_object();
  // A call that this server ran: the tool's name stands after its server's.
  const std::string_view server = text_of(block, "server_name");
  return Json::object(
      {{"id", *id},
       {"type", "function"},
       {"function", Json::object({{"name", responses::function_name(server, name->as_string())},
                                  {"arguments", has_input ? *input : Json::object()}})}});
}

struct Blocks {
  Json texts = Json::array(), calls = Json::array(), results = Json::array();
  std::string thinking;

  bool is_empty() const {
    return texts.size() + calls.size() + results.size() == 0 && thinking.empty();
  }
};

void add_message(const Json& role, Blocks blocks, Json& messages) {
  const bool is_only_calls = blocks.calls.size() > 0 && blocks.texts.size() == 0;
  Json message =
      Json::object({{"role", role}, {"content", is_only_calls ? Json() : std::move(blocks.texts)}});
  if (!blocks.thinking.empty()) message.set("reasoning_content", std::move(blocks.thinking));
  if (blocks.calls.size() > 0) message.set("tool_calls", std::move(blocks.calls));
  messages.push_back(std::move(message));
}

Check read_block(const Json& block, const std::string& place, Blocks& blocks) {
  const std::string_view type = text_of(block, "type");
  if (type == "tool_use" || type == "mcp_tool_use") {
    blocks.calls.push_back(TRY(read_tool_use(block, place)));
  } else if (type == "tool_result") {
    blocks.results.push_back(TRY(read_tool_result(block, place)));
  } else if (type == "thinking") {
    const Json* text = block.find("thinking");
    if (text && text->is_string()) blocks.thinking += text->as_string();
  } else if (type != "redacted_thinking") {
    Json one = Json::array();
    one.push_back(block);
    const Json texts = TRY(read_texts(one, place));
    blocks.texts.push_back(texts.as_array().front());
  }
  return Done{};
}

// One message may become several: tool results are messages of their own.
Check read_message(const Json& message, std::size_t index, Json& messages) {
  const std::string place = fmt::format("messages[{}].content", index);
  const Json* role = message.find("role");
  if (!role || (*role != Json("user") && *role != Json("assistant") && *role != Json("system")))
    return invalid_value(fmt::format("messages[{}].role", index), "needs to be user or assistant");
  const Json* content = message.find("content");
  if (!content) return invalid_value(place, "is missing");
  Blocks blocks;
  bool is_split = false;
  if (content->is_array()) {
    for (const Json& block : content->as_array()) {
      if (text_of(block, "type") == "mcp_tool_result") {
        // In the midst of an answer: what came before it was an answer of its own.
        if (blocks.calls.size() > 0) add_message(*role, std::exchange(blocks, {}), messages);
        is_split = true;
        messages.push_back(TRY(read_tool_result(block, place)));
      } else {
        TRY(read_block(block, place, blocks));
      }
    }
  } else {
    blocks.texts = TRY(read_texts(*content, place));
  }
  if (is_split && blocks.is_empty()) return Done{};
  for (Json& result : blocks.results.as_array()) messages.push_back(std::move(result));
  const bool is_only_results = blocks.results.size() > 0 && blocks.texts.size() == 0;
  if (!is_only_results) add_message(*role, std::move(blocks), messages);
  return Done{};
}

Checked<Json> read_messages(const Json& body) {
  Json messages = Json::array();
  if (const Json* system = body.find("system"); system && !system->is_null()) {
    Json parts = TRY(read_system(*system));
    if (parts.size() > 0)
      messages.push_back(Json::object({{"role", "system"}, {"content", std::move(parts)}}));
  }
  const Json* given = body.find("messages");
  if (!given || !given->is_array() || given->size() == 0)
    return invalid_value("messages", "needs a list of at least one");
  for (std::size_t i = 0; i < given->size(); ++i)
    TRY(read_message(given->as_array()[i], i, messages));
  return messages;
}

Checked<Json> read_tools(const Json& tools, std::string& warning) {
  if (!tools.is_array()) return invalid_value("tools", "needs a list");
  Json result = Json::array();
  for (const Json& tool : tools.as_array()) {
    const std::string_view type = text_of(tool, "type");
    if (type == "mcp_toolset") continue;  // read_servers
    if (!type.empty() && type != "custom") {
      // Only a vendor's own servers can run it, or only its own models know it.
      warning = "tools of other types than custom were left out";
      continue;
    }
    Json function = Json::object();
    if (const Json* name = tool.find("name")) function.set("name", *name);
    if (const Json* text = tool.find("description")) function.set("description", *text);
    if (const Json* schema = tool.find("input_schema")) function.set("parameters", *schema);
    if (const Json* strict = tool.find("strict")) function.set("strict", *strict);
    result.push_back(Json::object({{"type", "function"}, {"function", std::move(function)}}));
  }
  return result;
}

// {"type": "mcp_toolset", "mcp_server_name": ..., "default_config": {"enabled"}, "configs": {name:
// {"enabled"}}}.  Source: Anthropic API reference, "MCP connector".
Checked<Json> read_toolset(const Json& set) {
  const auto is_enabled = [](const Json* config, bool standard) -> Checked<bool> {
    if (!config || !config->is_object()) return standard;
    return TRY(read_bool(*config, "enabled")).value_or(standard);
  };
  const bool standard = TRY(is_enabled(given(set, "default_config"), true));
  Json enabled = Json::array(), denied = Json::array();
  if (const Json* configs = given(set, "configs")) {
    if (!configs->is_object()) return invalid_value("tools.configs", "needs an object");
    for (const auto& [name, config] : configs->as_object())
      (TRY(is_enabled(&config, standard)) ? enabled : denied).push_back(name);
  }
  Json wish = Json::object({{"denied_tools", std::move(denied)}});
  if (!standard) wish.set("allowed_tools", std::move(enabled));
  return wish;
}

// Its tools by the toolset that names it, or by its own "tool_configuration".
Checked<Json> read_server(const Json& server, const Json* tools) {
  const Json* name = given(server, "name");
  if (!name || !name->is_string()) return invalid_value("mcp_servers", "has one without a name");
  Json wish = Json::object();
  if (tools && tools->is_array())
    for (const Json& set : tools->as_array())
      if (text_of(set, "type") == "mcp_toolset" &&
          text_of(set, "mcp_server_name") == name->as_string())
        wish = TRY(read_toolset(set));
  if (const Json* config = given(server, "tool_configuration")) {
    if (!TRY(read_bool(*config, "enabled")).value_or(true)) return Json();
    if (const Json* allowed = given(*config, "allowed_tools")) wish.set("allowed_tools", *allowed);
  }
  wish.set("type", "mcp");
  wish.set("server_label", *name);
  wish.set("require_approval", "never");
  for (const auto& [theirs, ours] :
       {std::pair{"url", "server_url"}, std::pair{"authorization_token", "authorization"}})
    if (const Json* value = given(server, theirs)) wish.set(ours, *value);
  return wish;
}

// What the shared reader calls tools of type mcp.
Check read_servers(const Json& body, Json& result) {
  const Json* servers = given(body, "mcp_servers");
  if (!servers) return Done{};
  if (!servers->is_array()) return invalid_value("mcp_servers", "needs a list");
  if (!result.find("tools")) result.set("tools", Json::array());
  for (const Json& server : servers->as_array()) {
    Json wish = TRY(read_server(server, given(body, "tools")));
    if (wish.is_object()) result.find("tools")->push_back(std::move(wish));
  }
  return Done{};
}

Check read_tool_choice(const Json& choice, Json& result) {
  const std::string_view type = text_of(choice, "type");
  if (type == "auto" || type == "none") {
    result.set("tool_choice", type);
  } else if (type == "any") {
    result.set("tool_choice", "required");
  } else if (type == "tool" && choice.find("name")) {
    result.set("tool_choice",
               Json::object({{"type", "function"},
                             {"function", Json::object({{"name", *choice.find("name")}})}}));
  } else {
    return invalid_value("tool_choice", "needs a type: auto, any, none, or tool with a name");
  }
  const auto is_single = TRY(read_bool(choice, "disable_parallel_tool_use"));
  if (is_single.value_or(false)) result.set("parallel_tool_calls", false);
  return Done{};
}

Checked<Json> read_variables(const Json& body) {
  Json variables = Json::object();
  if (const Json* thinking = body.find("thinking"); thinking && !thinking->is_null()) {
    const std::string_view type = text_of(*thinking, "type");
    if (type != "enabled" && type != "disabled" && type != "adaptive")
      return invalid_value("thinking", "needs a type: enabled, disabled or adaptive");
    for (const char* name : {"enable_thinking", "thinking"})
      variables.set(name, type != "disabled");
  }
  const Json* config = body.find("output_config");
  if (!config || config->is_null()) return variables;
  if (const Json* effort = config->find("effort"); effort && effort->is_string())
    variables.set("reasoning_effort", *effort);
  return variables;
}

// "output_config": {"format": {"type": "json_schema", "schema": ...}}, or its older name.
Check read_format(const Json& body, Json& result) {
  const Json* config = body.find("output_config");
  const Json* format = config ? config->find("format") : nullptr;
  if (!format || format->is_null()) format = body.find("output_format");
  if (!format || format->is_null()) return Done{};
  if (text_of(*format, "type") != "json_schema" || !format->find("schema"))
    return unsupported_value("output_config.format", "needs type json_schema, and a schema");
  result.set("response_format", *format);
  return Done{};
}

}  // namespace

Checked<Json> translate_request(const Json& body, std::string& warning) {
  Json result = Json::object({{"messages", TRY(read_messages(body))}});
  if (const Json* tools = body.find("tools"); tools && !tools->is_null())
    result.set("tools", TRY(read_tools(*tools, warning)));
  if (const Json* choice = body.find("tool_choice"); choice && !choice->is_null())
    TRY(read_tool_choice(*choice, result));
  result.set("chat_template_kwargs", TRY(read_variables(body)));
  TRY(read_format(body, result));
  TRY(read_servers(body, result));
  // `seed` is not Anthropic's: without it nothing could be repeated.
  for (const char* name : {"max_tokens", "temperature", "top_p", "top_k", "stream", "seed"})
    if (const Json* value = body.find(name)) result.set(name, *value);
  if (const Json* stops = body.find("stop_sequences"); stops && !stops->is_null()) {
    if (!stops->is_array()) return invalid_value("stop_sequences", "needs a list of texts");
    result.set("stop", *stops);
  }
  return result;
}

}  // namespace hearth::server::anthropic
