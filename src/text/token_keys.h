// What the readers of GGUF vocabularies and of Hugging Face files share.
#pragma once

#include "text/bpe.h"
#include "text/pipeline.h"

namespace hearth {

// What text may match: names as they are, or the bytes that names in GPT-2's alphabet spell (then
// tokens of one byte are noted in `fallback` too).
FlatVocab text_keys(const Vocabulary& vocabulary);
FlatVocab byte_keys(const Vocabulary& vocabulary, Fallback& fallback);
// Notes the tokens <0x00> to <0xFF>.
void fill_byte_tokens(const Vocabulary& vocabulary, Fallback& fallback);

// How the name of a normal token spells its bytes.
enum class PieceStyle { byte_names, space_marks, rwkv };
void fill_pieces(Vocabulary& vocabulary, PieceStyle style);

}  // namespace hearth
