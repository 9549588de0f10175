// External data: constants that lie in files beside a model's.
#pragma once

#include <map>
#include <memory>
#include <span>
#include <string>
#include <string_view>

#include "base/files.h"

namespace hearth::graphs {

// The files of one folder, each mapped once.
class ExternalData {
 public:
  // folder: empty: there is none.
  explicit ExternalData(std::string folder) : folder_(std::move(folder)) {}
  struct Part {
    std::span<const std::byte> bytes;
    std::shared_ptr<const void> owner;
  };
  // The whole of a file.  Errors: corrupt (a location that leaves the folder), not_found.
  Result<std::shared_ptr<const MappedFile>> file(std::string_view location);
  // Errors: those of file(), corrupt (a part outside its file).
  Result<Part> find(std::string_view location, std::uint64_t offset, std::int64_t length);

 private:
  std::string folder_;
  std::map<std::string, std::shared_ptr<const MappedFile>, std::less<>> files_;
};

}  // namespace hearth::graphs
