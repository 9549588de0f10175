// Files that are told by some of their first bytes, to be refused by name.
#pragma once

#include <cstddef>
#include <span>
#include <string_view>

namespace hearth {

struct Magic {
  std::size_t offset;
  std::string_view bytes, name;  // what stands there, and what such a file is for people
};

// The first that fits; nullptr: none.
inline const Magic* find_magic(std::span<const Magic> known, std::string_view file) {
  for (const Magic& magic : known)
    if (file.size() > magic.offset && file.substr(magic.offset).starts_with(magic.bytes))
      return &magic;
  return nullptr;
}

}  // namespace hearth
