// PrefixEnd: why not more of a prompt was found in the prefix cache.
#pragma once

#include <array>
#include <cstdint>
#include <string_view>

namespace hearth {

enum class PrefixEnd : std::uint8_t {
  whole,       // all was found, but for the last token, whose logits are wanted
  is_new,      // nothing that is known goes on from there
  differs,     // what is known goes on with other tokens
  evicted,     // it was known, until its memory was needed
  checkpoint,  // recurrent layers go on only from where a copy of their state was kept
  picture,     // a picture there is not found whole
};
constexpr std::array<std::string_view, 6> prefix_end_names = {"whole",   "new",        "differs",
                                                              "evicted", "checkpoint", "picture"};
constexpr std::string_view name_of(PrefixEnd end) {
  return prefix_end_names[static_cast<std::size_t>(end)];
}

}  // namespace hearth
