// PromptRows: which places of a prompt hold rows of pictures instead of tokens, and what the model
// is told of every place.
//
// In a sequence's tokens such a place holds a negative number made of the picture's digest, so that
// prefixes with pictures are found by the same means as those of text, and no picture is taken for
// another.
#pragma once

#include <cstddef>
#include <cstdint>
#include <stop_token>
#include <vector>

#include "models/model.h"
#include "runtime/prompt_picture.h"

namespace hearth {

constexpr bool is_picture_row(Token token) { return token < 0; }

// Used by one thread.
class PromptRows {
 public:
  PromptRows() = default;
  // Puts the pictures' marks into `prompt`.
  PromptRows(const Vision& vision, std::vector<PromptPicture> pictures, std::vector<Token>& prompt);

  bool empty() const { return pictures_.empty(); }
  // Looks at the pictures that rows [begin, end) belong to, where that has not been done.
  // Errors: those of Vision::encode.
  Status encode(ops::Context& ctx, const Model& model, std::size_t begin, std::size_t end,
                std::stop_token stop);
  // What encode() made is not needed for now.
  void release();

  // Of places whose pictures are encoded, of text, and of places behind the prompt.
  RowInput at(std::size_t position) const;
  // Rows [begin, end) so many more that none is parted from what it sees ahead.
  std::size_t whole_end(std::size_t end) const;
  // The same, but fewer.
  std::size_t whole_end_before(std::size_t begin, std::size_t end) const;

 private:
  static constexpr std::uint32_t none = ~std::uint32_t{0};
  struct Place {
    std::uint32_t picture = none, row = 0;
    ops::RopePlace rope{};
    std::uint32_t ahead = 0;
  };

  std::vector<PromptPicture> pictures_;
  std::vector<std::vector<float>> rows_;  // of each picture; empty: not encoded
  std::vector<Place> places_;             // of the prompt
  std::uint32_t next_rope_ = 0;           // of the place behind the prompt
  std::size_t dim_ = 0;                   // of a row: one vector, and one for each deep layer
  std::uint32_t deep_layers_ = 0;         // of the model's vision
};

// Errors: invalid (places outside the prompt, out of order, or not as many as rows).
Status check_pictures(const std::vector<PromptPicture>& pictures, std::size_t prompt_tokens);

// The first of `tokens` from `end` backwards that is no row of the pictures that `end` lies between
// rows of: runs of rows are shared whole or not at all.
std::size_t before_pictures(std::span<const Token> tokens, std::size_t end);

}  // namespace hearth
