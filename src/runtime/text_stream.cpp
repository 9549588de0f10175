#include "runtime/text_stream.h"

#include <algorithm>

#include "base/utf8.h"

namespace hearth {

TextStream::Piece TextStream::add(TokenInfo token) {
  held_ += token.bytes;
  waiting_.push_back({std::move(token), held_.size()});

  std::size_t first = std::string::npos, which = 0;
  for (std::size_t i = 0; i < stop_.size(); ++i)
    if (const std::size_t at = held_.find(stop_[i]); at < first) first = at, which = i;
  if (first != std::string::npos) {
    Piece piece = release(first);
    piece.stop = which;
    if (!waiting_.empty() && waiting_.front().token.bytes.size() > waiting_.front().end) {
      TokenInfo& cut = waiting_.front().token;  // begins before the stop string
      cut.bytes.resize(cut.bytes.size() - waiting_.front().end);
      piece.tokens.push_back(std::move(cut));
    }
    held_.clear();
    waiting_.clear();
    return piece;
  }
  const std::string_view free(held_.data(), possible_stop());
  return release(free.size() - incomplete_tail(free));
}

TextStream::Piece TextStream::finish() { return release(held_.size()); }

// Where the longest end of the held text begins that is the beginning of a stop string.
std::size_t TextStream::possible_stop() const {
  std::size_t first = held_.size();
  for (const std::string& stop : stop_) {
    const std::size_t longest = std::min(stop.size() - 1, held_.size());
    for (std::size_t from = held_.size() - longest; from < first; ++from)
      if (held_.compare(from, std::string::npos, stop, 0, held_.size() - from) == 0) first = from;
  }
  return first;
}

// Lets the first `bytes` of the held text go, with the tokens that end there.
TextStream::Piece TextStream::release(std::size_t bytes) {
  Piece piece;
  piece.text = repair_utf8(std::string_view(held_).substr(0, bytes));
  while (!waiting_.empty() && waiting_.front().end <= bytes) {
    piece.tokens.push_back(std::move(waiting_.front().token));
    waiting_.pop_front();
  }
  held_.erase(0, bytes);
  for (Waiting& token : waiting_) token.end -= bytes;
  return piece;
}

}  // namespace hearth
