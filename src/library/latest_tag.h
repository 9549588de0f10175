// Names as Ollama's clients write them: without a tag, or with the one that means none.
#pragma once

#include <string_view>

namespace hearth {

constexpr std::string_view without_latest(std::string_view name) {
  constexpr std::string_view tag = ":latest";
  if (name.ends_with(tag)) name.remove_suffix(tag.size());
  return name;
}

}  // namespace hearth
