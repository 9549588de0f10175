// Any bytes as a JSON schema.  What its grammar lets through is JSON.
#include <cstdint>

#include "base/check.h"
#include "text/grammar/reading.h"
#include "text/grammar/schema/lists.h"
#include "text/grammar/schema/schema.h"

namespace {

using namespace hearth;
using namespace hearth::grammar;

// A text of the grammar, as far as chance finds one.
std::string some_text(const std::shared_ptr<const Program>& program) {
  Reading reading(program);
  SituationId at = reading.begin();
  std::string text;
  std::uint32_t random = 1;
  for (int step = 0; step < 400 && !reading.may_end(at); ++step) {
    SituationId next = dead;
    for (int attempt = 0; attempt < 512 && next == dead; ++attempt) {
      random = random * 1664525u + 1013904223u;
      // The closing marks are tried first, so that there is an end.
      constexpr std::string_view closing = "\"}],:0";
      const auto byte = static_cast<std::size_t>(attempt) < closing.size()
                            ? static_cast<std::uint8_t>(closing[static_cast<std::size_t>(attempt)])
                            : static_cast<std::uint8_t>(random >> 24);
      next = reading.after(at, byte);
      if (next != dead) text += static_cast<char>(byte);
    }
    if (next == dead) return "";
    at = next;
  }
  return reading.may_end(at) ? text : "";
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  constexpr std::size_t max_bytes = 4096;
  if (size > max_bytes) return 0;
  const auto schema = parse_json(std::string_view(reinterpret_cast<const char*>(data), size));
  if (!schema) return 0;
  auto grammar = schema_grammar(*schema);
  if (!grammar) return 0;
  const auto program = compile(std::move(*grammar));
  if (!program) return 0;
  const std::string text = some_text(*program);
  if (text.empty()) return 0;
  for (const auto& [begin, lists] : (*program)->lists) (void)ListReader(*lists).read(text);
  const auto value = parse_json(text);
  // A key may come twice where the schema allows others than it names.
  HEARTH_CHECK(value.ok() || value.error().message().find("twice") != std::string::npos);
  return 0;
}
