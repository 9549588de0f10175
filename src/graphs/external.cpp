#include "graphs/external.h"

#include <fmt/core.h>

#include <filesystem>

#include "base/utf8.h"

namespace hearth::graphs {
namespace {

Error corrupt(std::string message) { return Error(ErrorKind::corrupt, std::move(message)); }
std::string shown(std::string_view location) { return printable(location.substr(0, 256)); }

}  // namespace

Result<std::shared_ptr<const MappedFile>> ExternalData::file(std::string_view location) {
  namespace fs = std::filesystem;
  const fs::path named{std::string(location)};
  if (location.empty() || location.find('\0') != std::string_view::npos || named.is_absolute())
    return corrupt(
        fmt::format("external data '{}': needs a path within the model's folder", shown(location)));
  for (const auto& step : named)
    if (step == "..")
      return corrupt(fmt::format("external data '{}': leaves the model's folder", shown(location)));
  if (folder_.empty())
    return Error(ErrorKind::not_found,
                 fmt::format("external data '{}': the model has no folder", shown(location)));
  auto found = files_.find(location);
  if (found == files_.end()) {
    std::error_code failed;
    const fs::path root = fs::canonical(folder_, failed);
    const fs::path target = failed ? fs::path() : fs::canonical(root / named, failed);
    if (failed)
      return Error(ErrorKind::not_found,
                   fmt::format("external data '{}': {}", shown(location), failed.message()));
    const std::string inside = root.string() + "/";
    if (!target.string().starts_with(inside))  // by a symbolic link
      return corrupt(fmt::format("external data '{}': leaves the model's folder", shown(location)));
    found = files_.emplace(location, TRY(MappedFile::open(target.string()))).first;
  }
  return found->second;
}

Result<ExternalData::Part> ExternalData::find(std::string_view location, std::uint64_t offset,
                                              std::int64_t length) {
  const auto mapped = TRY(file(location));
  const auto all = mapped->bytes();
  const auto size = static_cast<std::uint64_t>(length);
  if (offset > all.size() || size > all.size() - offset)
    return corrupt(fmt::format("external data '{}': {} bytes at {} of {}", shown(location), length,
                               offset, all.size()));
  return Part{all.subspan(offset, size), mapped};
}

}  // namespace hearth::graphs
