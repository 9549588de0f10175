// RemoteModel: what stands for a model that runs elsewhere: bytes as tokens, and a template that
// writes a conversation down as JSON.
#pragma once

#include <memory>
#include <optional>
#include <string>

#include "base/json.h"
#include "library/remote.h"

namespace hearth {

std::shared_ptr<const Model> make_remote_model(const RemoteSettings& remote);

// A prompt made by that template, as the body of a request; nothing: it is plain text.
// Errors: corrupt.
Result<std::optional<Json>> conversation_in(std::string_view prompt);

}  // namespace hearth
