// Any bytes as a grammar, and as a pattern.  What is taken is compiled and read a little way: it
// must stay within its limits.
#include <cstdint>

#include "text/grammar/gbnf.h"
#include "text/grammar/pattern.h"
#include "text/grammar/reading.h"

namespace {

using namespace hearth;
using namespace hearth::grammar;

void follow(Result<Grammar> grammar) {
  if (!grammar) return;
  const auto program = compile(std::move(*grammar));
  if (!program) return;
  Reading reading(*program);
  SituationId at = reading.begin();
  std::uint32_t random = 1;
  for (int step = 0; step < 64 && at != dead; ++step) {
    SituationId next = dead;
    for (int attempt = 0; attempt < 64 && next == dead; ++attempt) {
      random = random * 1664525u + 1013904223u;
      next = reading.after(at, static_cast<std::uint8_t>(random >> 24));
    }
    at = next;
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  constexpr std::size_t max_bytes = 2048;
  if (size > max_bytes) return 0;
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  follow(parse_gbnf(text));
  Grammar grammar;
  if (auto body = parse_pattern(grammar, text, {})) {
    grammar.set_root(grammar.define("root", *body));
    follow(std::move(grammar));
  }
  return 0;
}
