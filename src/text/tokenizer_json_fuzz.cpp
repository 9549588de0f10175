// Any bytes as tokenizer.json.
#include "text/fuzz_tools.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  const auto tokenizer = hearth::make_tokenizer(hearth::TokenizerFiles{.tokenizer_json = text});
  if (tokenizer) hearth::fuzz::use(**tokenizer, text);
  return 0;
}
