#include "server/schemas.h"

namespace hearth::server::schema {

void add_responses(Json& all) {
  const Json items = list_of(type("object", "message, function_call, function_call_output, ..."));
  Json request = Json::object(
      {{"model", type("string")},
       {"input", any_of({type("string"), items})},
       {"instructions", type("string", "Said to the model before everything.")},
       {"prompt",
        type("object", "A prompt of the server's prompts folder: id, version, variables (texts).")},
       {"previous_response_id", type("string", "Go on from a stored response.")},
       {"conversation", any_of({type("string", "Of /v1/conversations."), type("object")})},
       {"store", type("boolean", "Keep the response, in memory; true when absent.")},
       {"background", type("boolean", "Answer at once; the response is asked for later.")},
       {"max_output_tokens", type("integer", "Lowered to the room left in the context.")},
       {"stream", type("boolean")},
       {"tools", list_of(type("object", "Type function, custom, namespace or mcp."))},
       {"max_tool_calls", type("integer", "Calls of mcp tools in one answer.")},
       {"tool_choice", any_of({type("string"), type("object")})},
       {"parallel_tool_calls", type("boolean")},
       {"reasoning", type("object", "effort: how much to think.")},
       {"text", type("object", "format: type text, json_object or json_schema.")},
       {"include", list_of(type("string"))},
       {"metadata", type("object", "Given back as it is.")},
       {"truncation", type("string",
                           "Of what is too long: auto: the oldest turns go; window: then the "
                           "middle of long texts too; disabled, the standard: an error.  "
                           "x-hearth-warning says what went.")}});
  add_sampling_numbers(request);
  all.set("ResponseRequest", object_of(std::move(request), {"model"}));
  all.set("Response",
          object_of(Json::object({{"id", type("string")},
                                  {"object", type("string")},
                                  {"created_at", type("integer")},
                                  {"status", type("string", "completed, incomplete, failed, ...")},
                                  {"error", any_of({type("object"), type("null")})},
                                  {"incomplete_details", any_of({type("object"), type("null")})},
                                  {"model", type("string")},
                                  {"output", items},
                                  {"usage", any_of({type("object"), type("null")})}})));
  all.set("ConversationRequest",
          object_of(Json::object({{"items", items}, {"metadata", type("object")}})));
  all.set("Conversation", object_of(Json::object({{"id", type("string")},
                                                  {"object", type("string")},
                                                  {"created_at", type("integer")},
                                                  {"metadata", type("object")}})));
  all.set("ResponseItems", object_of(Json::object({{"object", type("string")}, {"data", items}})));
  all.set("ResponseTokens", object_of(Json::object({{"input_tokens", type("integer")}})));
}

}  // namespace hearth::server::schema
