#include "text/token_keys.h"

#include "text/gguf_models.h"

namespace hearth {

FlatVocab text_keys(const Vocabulary& vocabulary) {
  FlatVocab keys;
  keys.reserve(vocabulary.size());
  for (Token id = 0; vocabulary.has(id); ++id)
    if (vocabulary.is_text(id) && !vocabulary.name(id).empty())
      keys.insert(vocabulary.name(id), id);
  return keys;
}

FlatVocab byte_keys(const Vocabulary& vocabulary, Fallback& fallback) {
  FlatVocab keys;
  keys.reserve(vocabulary.size());
  std::string bytes;
  for (Token id = 0; vocabulary.has(id); ++id) {
    if (!vocabulary.is_text(id) || vocabulary.kind(id) == TokenKind::user_defined) continue;
    if (!decode_byte_name(vocabulary.name(id), bytes) || bytes.empty()) continue;
    if (keys.insert(bytes, id) && bytes.size() == 1)
      fallback.bytes[static_cast<unsigned char>(bytes[0])] = id;
  }
  return keys;
}

void fill_byte_tokens(const Vocabulary& vocabulary, Fallback& fallback) {
  for (Token id = 0; vocabulary.has(id); ++id) {
    const int byte = byte_of_name(vocabulary.name(id));
    if (byte >= 0 && fallback.bytes[byte] == no_token) fallback.bytes[byte] = id;
  }
}

void fill_pieces(Vocabulary& vocabulary, PieceStyle style) {
  std::string bytes;
  for (Token id = 0; vocabulary.has(id); ++id) {
    const std::string_view name = vocabulary.name(id);
    const TokenKind kind = vocabulary.kind(id);
    const int byte = kind == TokenKind::byte ? byte_of_name(name) : -1;
    if (byte >= 0) {
      const char c = static_cast<char>(byte);
      vocabulary.add_piece({&c, 1});
    } else if (style == PieceStyle::space_marks && !vocabulary.is_hidden(id)) {
      vocabulary.add_piece(replace_all(name, space_mark, " "));
    } else if (vocabulary.is_hidden(id) || kind == TokenKind::user_defined) {
      vocabulary.add_piece(name);
    } else if (style == PieceStyle::byte_names) {
      vocabulary.add_piece(decode_byte_name(name, bytes) ? std::string_view(bytes) : name);
    } else {
      vocabulary.add_piece(unescape_rwkv(name));
    }
  }
}

}  // namespace hearth
