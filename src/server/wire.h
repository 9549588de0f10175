// How OpenAI's answers look on the wire.  Source: OpenAI API reference, the objects
// chat.completion, chat.completion.chunk and text_completion.
#pragma once

#include <memory>

#include "server/encoder.h"
#include "server/parameters.h"

namespace hearth::server {

// The tokenizer outlives the encoder.  `include_usage`: a last chunk of a stream has the usage.
std::unique_ptr<Encoder> openai_encoder(Dialect dialect, bool include_usage,
                                        const Tokenizer& tokenizer);

// "[{token, logprob, bytes, top_logprobs}, ...]"
std::string token_logprobs(const std::vector<TokenInfo>& tokens, const Tokenizer& tokenizer);

}  // namespace hearth::server
