// Whose interface a request speaks, and the form its errors take there.
#pragma once

#include <cstdint>
#include <string>

#include "http/message.h"
#include "server/errors.h"

namespace hearth::server {

enum class Interface { openai, ollama, anthropic };

// By the path; where several share one, by the header anthropic-version.
Interface interface_of(const http::Request& request);

std::string error_json(Interface interface, const Problem& problem, std::string_view request_id);
http::Response error_response(const http::Request& request, const Problem& problem);

// A prompt that does not fit, in the words that clients of the interface recognise.
Problem context_overflow(Interface interface, std::int64_t prompt_tokens,
                         std::int64_t context_tokens);

// What to say of a path that nothing answers: by name where it is a known one of the interface.
Problem unknown_path(const http::Request& request);

}  // namespace hearth::server
