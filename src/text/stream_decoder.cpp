// StreamDecoder: tokens in, whole characters out.
#include "base/utf8.h"
#include "text/tokenizer.h"

namespace hearth {
namespace {

// The first text of a sequence may lose its first space, as decode() says.
std::string first_piece(const Tokenizer& tokenizer, Token id, std::string_view piece,
                        bool special) {
  if (piece.starts_with(' ')) {
    const std::string alone = tokenizer.decode({&id, 1}, special);
    if (alone == piece.substr(1)) return alone;
  }
  return std::string(piece);
}

}  // namespace

std::string StreamDecoder::add(Token id) {
  const std::string_view piece = tokenizer_.piece(id, special_);
  if (piece.empty()) return {};
  if (first_)
    held_ += first_piece(tokenizer_, id, piece, special_);
  else
    held_ += piece;
  first_ = false;
  const std::size_t whole = held_.size() - incomplete_tail(held_);
  std::string out = repair_utf8(std::string_view(held_).substr(0, whole));
  held_.erase(0, whole);
  return out;
}

std::string StreamDecoder::finish() {
  std::string out = repair_utf8(held_);
  held_.clear();
  return out;
}

}  // namespace hearth
