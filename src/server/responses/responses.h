// What the routes of OpenAI's Responses interface share.  Source: OpenAI API reference,
// "Responses"; Codex, protocol of its requests.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "base/json.h"
#include "server/encoder.h"
#include "server/errors.h"
#include "server/responses/items.h"
#include "text/tokenizer.h"

namespace hearth::server::responses {

// A tool as the client knows it.  To the model every tool is a function.
struct KnownTool {
  std::string name;
  std::string space;       // the namespace it was given in, or ""
  bool is_custom = false;  // takes free text, which the function has as its argument "input"
};
using KnownTools = std::map<std::string, KnownTool, std::less<>>;  // by the function's name

struct Translated {
  Json body;  // in the form that the shared readers check: messages, tools, parameters
  KnownTools tools;
  std::string warning;              // what was left out
  std::vector<Approval> approvals;  // of calls that are to be made now
  std::optional<std::int64_t> max_tool_calls;
};

// `items`: of earlier turns and of this one, in order.  `prompt`: what the body's "prompt" stands
// for.  Errors: 400 naming the field.
Checked<Translated> translate_request(const Json& body, std::span<const Json* const> items,
                                      const std::string& prompt);

// The body's "input" as a list of items, each with an id that begins with its kind and has `id`.
Checked<Json> read_items(const Json& body, std::string_view id, std::string_view field = "input");

// An item as it is told: contents are parts.
Json listed(Json item);

// A thought as its `encrypted_content`, for clients that keep it instead of us.  It is not
// encrypted: there is nobody to hide it from.
std::string seal(std::string_view thought);
std::string unseal(std::string_view content);  // "": no thought of ours

struct ResponseForm {
  Json echo;  // the fields that a response repeats from its request
  KnownTools tools;
  const Tokenizer* tokenizer = nullptr;  // outlives the encoder
  bool seals_thoughts = false;
  // Told of the finished response, completed or not, before it is sent.
  std::function<void(const Json& response)> keep = [](const Json&) {};
};
std::unique_ptr<Encoder> make_encoder(ResponseForm form);

// The object of a response that has no output yet.
Json response_object(const Json& echo, std::string_view id, std::int64_t created,
                     std::string_view model, std::string_view status);

}  // namespace hearth::server::responses
