// Any bytes as the answer of any family: the first byte chooses the family, the second how the rest
// is cut.  However it is cut, the same is read.
#include <cstdint>

#include "base/check.h"
#include "text/answer/answer.h"
#include "text/answer/forms.h"

namespace {

using namespace hearth;

std::string read(const AnswerForm& form, const Json& tools, bool is_thinking, std::string_view text,
                 std::size_t step) {
  AnswerReader reader(form, tools, is_thinking);
  std::string texts, thoughts, calls;
  const auto take = [&](const std::vector<AnswerPiece>& pieces) {
    for (const AnswerPiece& piece : pieces) {
      using Kind = AnswerPiece::Kind;
      if (piece.kind == Kind::text)
        texts += piece.text;
      else if (piece.kind == Kind::thought)
        thoughts += piece.text;
      else
        calls += (piece.kind == Kind::call       ? "\n" + piece.id + "="
                  : piece.kind == Kind::call_end ? "\n."
                                                 : "") +
                 piece.text;
    }
  };
  for (std::size_t at = 0; at < text.size(); at += step) take(reader.add(text.substr(at, step)));
  take(reader.finish());
  return texts + "\1" + thoughts + "\1" + calls;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  constexpr std::size_t max_bytes = 4096;
  if (size < 2 || size > max_bytes) return 0;
  static const Json tools = *parse_json(
      R"([{"type":"function","function":{"name":"f","parameters":{"properties":{"a":{"type":"string"},
"n":{"type":"integer"}}}}}])");
  AnswerForm form;
  form.calls = &call_forms()[data[0] % call_forms().size()];
  form.thoughts = &thought_forms()[data[1] % thought_forms().size()];
  const std::string_view text(reinterpret_cast<const char*>(data + 2), size - 2);
  const bool is_thinking = data[1] & 0x80;
  const std::size_t step = 1 + data[1] % 7;
  HEARTH_CHECK(read(form, tools, is_thinking, text, step) ==
               read(form, tools, is_thinking, text, text.size() + 1));
  return 0;
}
