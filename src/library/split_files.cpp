#include "library/split_files.h"

#include <fmt/core.h>

#include "base/files.h"
#include "library/local_models.h"

namespace hearth {

std::string part_path(const std::string& path, int part) {
  const SplitPlace split = split_place(path);
  if (split.parts == 1 || split.part == part) return path;
  const std::string name = fmt::format("{}-{:05}-of-{:05}", model_stem(path), part, split.parts);
  return join_path(parent_folder(path), name + path.substr(path.rfind('.')));
}

}  // namespace hearth
