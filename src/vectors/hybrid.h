// A learned index whose candidates, at least ten for each answer, are ranked by the vectors
// themselves: its distances are exact, at four bytes for each number.
#pragma once

#include <memory>
#include <string>

#include "vectors/learned/learned.h"

namespace hearth::vectors {

// spec: `storage` and `hybrid` are not looked at.
Result<std::unique_ptr<Index>> make_hybrid(const LearnedSpec& spec);
// What Index::save wrote.
Result<std::unique_ptr<Index>> open_hybrid(const std::string& path);

}  // namespace hearth::vectors
