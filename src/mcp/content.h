// What servers send as contents, as text.
#pragma once

#include "mcp/client.h"

namespace hearth::mcp {

// A member that is text; "" otherwise.
std::string text_in(const Json& object, std::string_view name);

// One content block: text as it is; of images, sounds and links only what they are.  Nothing is
// fetched.
std::string content_text(const Json& block);
std::string resource_text(const Json& resource);

// The result of tools/call, cut to what a model may be given.
ToolResult tool_result(const Json& result);

}  // namespace hearth::mcp
