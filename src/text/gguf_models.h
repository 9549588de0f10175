// The kinds of GGUF vocabularies that have a file of their own.
#pragma once

#include "text/pipeline.h"

namespace hearth {

// Each completes a pipeline that has its vocabulary and special tokens.
Result<Pipeline> make_gguf_wordpiece(const GgufVocabulary& v, Pipeline parts);
Result<Pipeline> make_gguf_unigram(const GgufVocabulary& v, Pipeline parts);
Result<Pipeline> make_gguf_rwkv(const GgufVocabulary& v, Pipeline parts);

// RWKV writes bytes as \t, \n, \r and \xHH.
std::string unescape_rwkv(std::string_view name);

}  // namespace hearth
