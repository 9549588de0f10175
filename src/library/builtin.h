// The models that the program carries: bytes of GGUF files, linked in.
#pragma once

#include <cstddef>
#include <optional>
#include <span>
#include <string_view>

namespace hearth {

// The file behind `builtin` or `builtin-embed`; nothing for any other name.
std::optional<std::span<const std::byte>> builtin_file(std::string_view name);

}  // namespace hearth
