// A picture in a prompt, before the model has looked at it.
#pragma once

#include <array>
#include <cstdint>
#include <memory>
#include <vector>

#include "models/vision/vision.h"

namespace hearth {

struct PromptPicture {
  std::shared_ptr<const PreparedPicture> prepared;
  std::array<std::uint64_t, 4> digest{};  // SHA-256 of its file: what prefixes are told apart by
  std::vector<std::uint32_t> places;      // in the prompt, of each of its rows; ascending
};

}  // namespace hearth
