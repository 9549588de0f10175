#include "vectors/hybrid.h"

namespace hearth::vectors {

Result<std::unique_ptr<Index>> make_hybrid(const LearnedSpec& spec) {
  LearnedSpec exact = spec;
  exact.storage = Storage::f32;
  exact.hybrid = true;
  return Learned::create(exact);
}

Result<std::unique_ptr<Index>> open_hybrid(const std::string& path) {
  return Learned::open(path, /*hybrid=*/true);
}

}  // namespace hearth::vectors
