// The channels of gpt-oss.  Source: OpenAI, "Harmony response format".
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "text/answer/answer.h"

namespace hearth {

// Used by one thread, for one answer.
class HarmonyReader {
 public:
  explicit HarmonyReader(bool reads_calls) : reads_calls_(reads_calls) {}

  // Takes whole marks and what they surround from the front of `text`, and leaves the rest.
  void read(std::string& text, bool is_last, std::vector<AnswerPiece>& pieces);
  bool is_thinking() const { return body_ == Body::thought; }

 private:
  enum class Body { none, text, thought, call };

  bool step(std::string& text, bool is_last, std::vector<AnswerPiece>& pieces);
  void open(std::string_view header, std::vector<AnswerPiece>& pieces);
  void give(std::string_view part, std::vector<AnswerPiece>& pieces);
  void close(std::vector<AnswerPiece>& pieces);

  const bool reads_calls_;
  bool is_at_start_ = true, is_in_header_ = false;
  Body body_ = Body::text;  // what comes without any mark is text
};

}  // namespace hearth
