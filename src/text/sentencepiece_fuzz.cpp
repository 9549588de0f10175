// Any bytes as a SentencePiece model.
#include "text/fuzz_tools.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view bytes(reinterpret_cast<const char*>(data), size);
  const auto tokenizer =
      hearth::make_tokenizer(hearth::TokenizerFiles{.sentencepiece_model = bytes});
  if (tokenizer) hearth::fuzz::use(**tokenizer, bytes);
  return 0;
}
