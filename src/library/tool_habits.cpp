#include "library/tool_habits.h"

#include "library/library.h"

namespace hearth {
namespace {

constexpr std::string_view probe_tool = "probe_tool";

Json probe_tools() {
  const Json text = Json::object({{"type", "string"}, {"description", "A text."}});
  const Json parameters = Json::object({{"type", "object"},
                                        {"properties", Json::object({{"probe_key", text}})},
                                        {"required", Json(Json::Array{"probe_key"})}});
  const Json function =
      Json::object({{"name", probe_tool}, {"description", "A tool."}, {"parameters", parameters}});
  return Json(Json::Array{Json::object({{"type", "function"}, {"function", function}})});
}

Json message(std::string_view role, Json content) {
  return Json::object({{"role", role}, {"content", std::move(content)}});
}

Json probe_conversation(const ToolHabits& habits) {
  const Json arguments = habits.wants_text_arguments ? Json("{\"probe_key\": \"probe_value\"}")
                                                     : Json::object({{"probe_key", "probe_value"}});
  Json answer = message("assistant", habits.wants_empty_content ? Json("") : Json());
  answer.set("tool_calls",
             Json(Json::Array{Json::object(
                 {{"id", "probe0000"},
                  {"type", "function"},
                  {"function", Json::object({{"name", probe_tool}, {"arguments", arguments}})}})}));
  Json result = message("tool", "42");
  result.set("tool_call_id", "probe0000");
  result.set("name", probe_tool);
  return Json(Json::Array{message("user", "Question"), std::move(answer), std::move(result)});
}

bool has(std::string_view text, std::string_view part) { return text.find(part) != text.npos; }

// The arguments are there, and neither as a text inside a text nor as Python would print them.
bool renders_well(const Model& model, const ToolHabits& habits) {
  const auto prompt = chat_prompt(model, probe_conversation(habits), probe_tools());
  return prompt && has(prompt->text, "probe_value") && !has(prompt->text, "\\\"probe_key") &&
         !has(prompt->text, "'probe_key'");
}

}  // namespace

bool knows_tools(const Model& model) {
  if (!model.chat_template()) return false;
  const Json question(Json::Array{message("user", "Question")});
  const auto prompt = chat_prompt(model, question, probe_tools());
  return prompt && has(prompt->text, probe_tool);
}

ToolHabits find_tool_habits(const Model& model) {
  for (const bool as_text : {false, true})
    for (const bool as_empty : {false, true}) {
      const ToolHabits habits{as_text, as_empty};
      if (renders_well(model, habits)) return habits;
    }
  return {};
}

}  // namespace hearth
