// What the routes of Anthropic's interface share.  Source: Anthropic API reference, "Messages".
#pragma once

#include <memory>
#include <string>

#include "base/json.h"
#include "server/encoder.h"
#include "server/errors.h"

namespace hearth::server::anthropic {

// The request in the form that the shared readers check: messages, tools and parameters by their
// other names.  Appends to `warning` what was left out.  Errors: 400 naming the field.
Checked<Json> translate_request(const Json& body, std::string& warning);

std::unique_ptr<Encoder> make_encoder();

}  // namespace hearth::server::anthropic
