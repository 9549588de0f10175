// module.cmake says where the files are and makes this source depend on them.
#include "library/builtin.h"

#include "library/library.h"

// Read-only data, aligned for the tensors inside.
#define HEARTH_EMBED(symbol, file)                                                           \
  asm(".pushsection .rodata\n.balign 64\n" #symbol "_begin:\n.incbin \"" file "\"\n" #symbol \
      "_end:\n.byte 0\n.popsection\n");                                                      \
  extern const std::byte symbol##_begin[] __attribute__((visibility("hidden")));             \
  extern const std::byte symbol##_end[] __attribute__((visibility("hidden")))

extern "C" {
HEARTH_EMBED(hearth_builtin_chat, HEARTH_BUILTIN_FOLDER "/chat.gguf");
HEARTH_EMBED(hearth_builtin_embed, HEARTH_BUILTIN_FOLDER "/embed.gguf");
}
#undef HEARTH_EMBED

namespace hearth {

std::optional<std::span<const std::byte>> builtin_file(std::string_view name) {
  if (name == builtin_chat) return std::span(hearth_builtin_chat_begin, hearth_builtin_chat_end);
  if (name == builtin_embedder)
    return std::span(hearth_builtin_embed_begin, hearth_builtin_embed_end);
  return std::nullopt;
}

}  // namespace hearth
