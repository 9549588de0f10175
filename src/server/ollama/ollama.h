// What the routes of Ollama's interface share.  Source: Ollama, docs/api.md.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "server/encoder.h"
#include "server/service.h"
#include "server/task.h"

namespace hearth::server::ollama {

// Clients look for a name with a tag: "builtin" is "builtin:latest".
std::string tagged(std::string_view id);

// `options` and the fields beside it that steer generation, the rest by the preset; sets what
// `num_ctx` asks for.  Errors: 400 naming the field.
Checked<Asked> read_options(const Json& body, const Preset& preset, const LoadedModel& loaded,
                            std::optional<std::int64_t>& context_tokens);

// `images`, base64 of files, as parts of a message of the shared form.  Errors: 400 naming `place`.
Checked<Json> image_parts(const Json& images, const std::string& place);

// "model", or "name" as older clients write.  Errors: 400: neither.
Checked<std::string> read_model_name(const Json& body);

// The template's variables for `think`.
Checked<Json> read_think(const Json& body);

enum class Shape { chat, generate };

// A request without a prompt whose keep_alive is 0 unloads its model: true, and it is answered.
Checked<bool> take_unload(Service& service, Call& call, const Json& body, Shape shape);

// `model`: as the request names it.  `context`: the prompt's tokens, when the answer gives back
// the conversation as tokens.  The tokenizer outlives the encoder.
std::unique_ptr<Encoder> make_encoder(Shape shape, std::string model, const Tokenizer& tokenizer,
                                      std::optional<std::vector<Token>> context = std::nullopt);

// The answer to a request without a prompt, which asks only for the model to be loaded.
Json loaded_answer(Shape shape, std::string_view model);

}  // namespace hearth::server::ollama
