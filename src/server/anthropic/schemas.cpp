#include "server/schemas.h"

namespace hearth::server::schema {

void add_anthropic(Json& all) {
  const Json content = any_of({type("string"), list_of(type("object"))});
  all.set("MessagesMessage", object_of(Json::object({{"role", type("string", "user or assistant.")},
                                                     {"content", content}}),
                                       {"role", "content"}));
  all.set(
      "MessagesRequest",
      object_of(
          Json::object({{"model", type("string")},
                        {"max_tokens", type("integer", "Lowered to the room left in the context.")},
                        {"system", content},
                        {"messages", list_of(reference("MessagesMessage"))},
                        {"temperature", type("number")},
                        {"top_p", type("number")},
                        {"top_k", type("integer")},
                        {"stop_sequences", list_of(type("string"))},
                        {"stream", type("boolean")},
                        {"thinking", type("object", "Type enabled, disabled or adaptive.")},
                        {"output_config", type("object", "effort; format: type json_schema.")},
                        {"tools", list_of(type("object"))},
                        {"mcp_servers", list_of(type("object", "name: one of mcp.json's."))},
                        {"tool_choice", type("object")}}),
          {"model", "messages"}));
  const Json usage = object_of(Json::object({{"input_tokens", type("integer")},
                                             {"cache_read_input_tokens", type("integer")},
                                             {"output_tokens", type("integer")}}));
  all.set("MessagesUsage", usage);
  all.set("MessagesAnswer",
          object_of(Json::object({{"id", type("string")},
                                  {"type", type("string")},
                                  {"role", type("string")},
                                  {"model", type("string")},
                                  {"content", list_of(type("object"))},
                                  {"stop_reason", type("string")},
                                  {"stop_sequence", any_of({type("string"), type("null")})},
                                  {"usage", reference("MessagesUsage")}})));
  all.set("MessagesCount", object_of(Json::object({{"input_tokens", type("integer")}})));
}

}  // namespace hearth::server::schema
