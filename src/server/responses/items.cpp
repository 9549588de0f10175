// Items of a conversation, as messages.  Source: OpenAI API reference, "Responses", the kinds of
// items.
#include "server/responses/items.h"

#include <fmt/core.h>

#include <algorithm>

#include "base/utf8.h"
#include "http/secrets.h"
#include "server/fields.h"
#include "server/responses/responses.h"
#include "text/base64.h"

namespace hearth::server::responses {
namespace {

constexpr std::string_view sealed_mark = "hearth:";
constexpr std::size_t max_name_bytes = 64, hash_bytes = 4;

Json text_part(std::string_view text) { return Json::object({{"type", "text"}, {"text", text}}); }

// What models of other makers did in the vendor's own machines.
bool is_foreign(std::string_view type) {
  return type.ends_with("_call") || type.ends_with("_call_output") || type == "compaction" ||
         type == "item_reference";
}

// Messages of the parts of one, in the shared form: a refusal is what was said.
Json content_of(const Json& content) {
  if (!content.is_array()) return content;
  Json parts = Json::array();
  for (const Json& part : content.as_array()) {
    const std::string_view type = text_of(part, "type");
    if (type == "refusal")
      parts.push_back(text_part(text_of(part, "refusal")));
    else if (type == "input_image")
      parts.push_back(
          Json::object({{"type", "image_url"},
                        {"image_url", Json::object({{"url", text_of(part, "image_url")}})}}));
    else
      parts.push_back(part);
  }
  return parts;
}

std::string thought_of(const Json& item) {
  std::string text;
  for (const char* name : {"content", "summary"}) {
    const Json* parts = item.find(name);
    if (!text.empty() || !parts || !parts->is_array()) continue;
    for (const Json& part : parts->as_array()) text += text_of(part, "text");
  }
  return text.empty() ? unseal(text_of(item, "encrypted_content")) : text;
}

}  // namespace

std::string seal(std::string_view thought) {
  return http::base64(std::string(sealed_mark) + std::string(thought));
}

std::string unseal(std::string_view content) {
  auto bytes = decode_base64(content);
  if (!bytes || !bytes->starts_with(sealed_mark)) return "";
  return bytes->substr(sealed_mark.size());
}

std::string function_name(std::string_view space, std::string_view name) {
  std::string text = space.empty() ? std::string(name) : fmt::format("{}__{}", space, name);
  if (text.size() <= max_name_bytes) return text;
  const http::Sha256 digest = http::sha256(text);
  const std::string hash = http::hex_text(std::span(digest).first(hash_bytes));
  return text.substr(0, max_name_bytes - 1 - hash.size()) + "_" + hash;
}

void Conversation::flush() {
  if (thought_.empty() && texts_.size() == 0 && calls_.size() == 0) return;
  Json message = Json::object(
      {{"role", "assistant"}, {"content", texts_.size() > 0 ? std::move(texts_) : Json()}});
  if (!thought_.empty()) message.set("reasoning_content", std::move(thought_));
  if (calls_.size() > 0) message.set("tool_calls", std::move(calls_));
  messages_.push_back(std::move(message));
  texts_ = Json::array();
  calls_ = Json::array();
  thought_.clear();
}

// Instructions at the beginning become one message: many templates take no second one.
void Conversation::add_system(const Json& content) {
  Json parts = content.is_array() ? content : Json(Json::Array{text_part(content.as_string())});
  const bool leads = messages_.size() == 1 && calls_.size() == 0 && texts_.size() == 0 &&
                     *messages_.as_array().front().find("role") == Json("system");
  if (!leads) {
    flush();
    messages_.push_back(Json::object({{"role", "system"}, {"content", std::move(parts)}}));
    return;
  }
  Json& all = *messages_.as_array().front().find("content");
  all.push_back(text_part("\n\n"));
  for (Json& part : parts.as_array()) all.push_back(std::move(part));
}

Check Conversation::add_message(const Json& item, const std::string& place) {
  const Json* content = item.find("content");
  if (!content || (!content->is_string() && !content->is_array()))
    return invalid_value(place + ".content", "needs a text or a list of parts");
  const std::string_view role = text_of(item, "role");
  const Json parts = content_of(*content);
  if (role == "system" || role == "developer") {
    add_system(parts);
  } else if (role == "user") {
    flush();
    messages_.push_back(Json::object({{"role", role}, {"content", parts}}));
  } else if (role == "assistant") {
    if (texts_.size() > 0 || calls_.size() > 0) flush();
    texts_ = parts.is_array() ? parts : Json(Json::Array{text_part(parts.as_string())});
  } else {
    return invalid_value(place + ".role", "needs to be user, assistant, system or developer");
  }
  return Done{};
}

Check Conversation::add_call(const Json& item, const std::string& place, std::string_view input) {
  const Json* id = item.find("call_id");
  const std::string_view name = text_of(item, "name");
  const Json* given = item.find(input);
  if (!id || !id->is_string() || name.empty() || !given || !given->is_string())
    return invalid_value(place, fmt::format("needs texts in call_id, name and {}", input));
  const bool is_custom = input != "arguments";
  Json arguments = is_custom ? Json(write_json(Json::object({{"input", *given}}))) : *given;
  calls_.push_back(Json::object(
      {{"id", *id},
       {"type", "function"},
       {"function", Json::object({{"name", function_name(text_of(item, "namespace"), name)},
                                  {"arguments", std::move(arguments)}})}}));
  return Done{};
}

Check Conversation::add_result(const Json& item, const std::string& place) {
  const Json* id = item.find("call_id");
  const Json* output = item.find("output");
  if (!id || !id->is_string()) return invalid_value(place + ".call_id", "is missing");
  if (!output || (!output->is_string() && !output->is_array()))
    return invalid_value(place + ".output", "needs a text or a list of parts");
  flush();
  messages_.push_back(
      Json::object({{"role", "tool"}, {"tool_call_id", *id}, {"content", content_of(*output)}}));
  return Done{};
}

// A call that this server ran, with what came of it.
void Conversation::add_pair(const std::string& id, std::string_view server, std::string_view tool,
                            const Json& arguments, std::string_view result) {
  calls_.push_back(Json::object({{"id", id},
                                 {"type", "function"},
                                 {"function", Json::object({{"name", function_name(server, tool)},
                                                            {"arguments", arguments}})}}));
  flush();
  messages_.push_back(Json::object({{"role", "tool"}, {"tool_call_id", id}, {"content", result}}));
}

Check Conversation::add_served(const Json& item, const std::string& place) {
  const std::string_view type = text_of(item, "type");
  if (type == "mcp_list_tools") return Done{};  // they are asked for again
  const std::string_view id = text_of(item, "id"), name = text_of(item, "name");
  const Json* arguments = given(item, "arguments");
  if (id.empty() || name.empty() || !arguments || !arguments->is_string())
    return invalid_value(place, "needs texts in id, name and arguments");
  const std::string_view server = text_of(item, "server_label");
  if (type == "mcp_approval_request") {
    questions_.push_back(
        {std::string(id), std::string(server), std::string(name), arguments->as_string(), "", 0});
    return Done{};
  }
  const std::string_view error = text_of(item, "error");
  const std::string result =
      error.empty() ? std::string(text_of(item, "output")) : fmt::format("Error: {}", error);
  const std::string_view request = text_of(item, "approval_request_id");
  const auto made = std::ranges::find(approvals_, request, &Approval::request_id);
  if (request.empty() || made == approvals_.end()) {
    add_pair(std::string(id), server, name, *arguments, result);
  } else {
    messages_.as_array()[made->message_index].set("content", result);
    approvals_.erase(made);
  }
  return Done{};
}

Check Conversation::add_approval(const Json& item, const std::string& place) {
  const std::string_view id = text_of(item, "approval_request_id");
  const auto found = std::ranges::find(questions_, id, &Approval::request_id);
  const Json* approve = given(item, "approve");
  if (found == questions_.end())
    return invalid_value(place + ".approval_request_id",
                         "is of no mcp_approval_request in this conversation");
  if (!approve || !approve->is_bool()) return invalid_value(place + ".approve", "is missing");
  Approval approval = std::move(*found);
  questions_.erase(found);
  approval.call_id = approval.request_id;
  const std::string_view reason = text_of(item, "reason");
  const std::string refusal =
      fmt::format("The user does not allow this call.{}{}", reason.empty() ? "" : " ", reason);
  add_pair(approval.call_id, approval.server, approval.tool, Json(approval.arguments),
           approve->as_bool() ? "" : refusal);
  approval.message_index = messages_.size() - 1;
  if (approve->as_bool()) approvals_.push_back(std::move(approval));
  return Done{};
}

std::vector<Approval> Conversation::take_approvals() { return std::move(approvals_); }

Check Conversation::add(const Json& item, const std::string& place) {
  const std::string_view type = text_of(item, "type");
  if (type == "message" || type.empty()) return add_message(item, place);
  if (type == "function_call") return add_call(item, place, "arguments");
  if (type == "custom_tool_call") return add_call(item, place, "input");
  if (type == "function_call_output" || type == "custom_tool_call_output")
    return add_result(item, place);
  if (type == "mcp_call" || type == "mcp_list_tools" || type == "mcp_approval_request")
    return add_served(item, place);
  if (type == "mcp_approval_response") return add_approval(item, place);
  if (type == "reasoning") {
    if (texts_.size() > 0 || calls_.size() > 0) flush();
    thought_ += thought_of(item);
  } else if (is_foreign(type)) {
    left_out_ = true;
  } else {
    return unsupported_value(place, fmt::format("has the type '{}'", printable(std::string(type))));
  }
  return Done{};
}

Json Conversation::take() {
  flush();
  return std::move(messages_);
}

}  // namespace hearth::server::responses
