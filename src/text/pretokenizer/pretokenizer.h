// PreTokenizer: cuts text into the pieces that a model sees one by one.
#pragma once

#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace hearth {

struct Piece {
  std::string_view text;  // not empty
  bool at_start = false;  // of the whole text given by the user
};

class PieceSink {
 public:
  virtual ~PieceSink() = default;
  // The text lives until take() returns.
  virtual Status take(Piece piece) = 0;
};

// Immutable; thread-safe.
class PreTokenizerStep {
 public:
  virtual ~PreTokenizerStep() = default;
  virtual Status split(Piece piece, PieceSink& sink) const = 0;
};

// Steps in order, each given the pieces of the one before.
class PreTokenizer {
 public:
  void add(std::unique_ptr<PreTokenizerStep> step) { steps_.push_back(std::move(step)); }
  bool empty() const { return steps_.empty(); }
  Status split(Piece piece, PieceSink& sink) const;

 private:
  Status split_from(std::size_t index, Piece piece, PieceSink& sink) const;
  std::vector<std::unique_ptr<PreTokenizerStep>> steps_;
};

// A scanner gives the end of the piece that begins at `p`; `p` < result <= `end`.  `begin` is where
// the text begins.  Every byte is in some piece; text that a pattern skips makes pieces too.
struct ScanText {
  const char *begin, *end;
};
using Scanner = const char* (*)(ScanText text, const char* p);

std::unique_ptr<PreTokenizerStep> make_scanner_step(Scanner scanner);

}  // namespace hearth
