// A GGUF model: one file, or shards named NAME-00001-of-00003.gguf.
// Source: llama.cpp, tools/gguf-split/README.md (keys split.no, split.count,
// split.tensors.count).
#include <fmt/core.h>

#include <algorithm>
#include <optional>

#include "base/bytes.h"
#include "base/utf8.h"
#include "formats/format.h"
#include "formats/gguf.h"
#include "formats/limits.h"

namespace hearth {
namespace {

constexpr std::string_view split_no = "split.no", split_count = "split.count",
                           split_tensors = "split.tensors.count";

struct ShardName {
  std::string stem;  // "NAME", with its folder
  std::uint64_t number = 0, count = 0;

  std::string path(std::uint64_t shard) const {
    return fmt::format("{}-{:05}-of-{:05}.gguf", stem, shard, count);
  }
};

std::optional<std::uint64_t> five_digits(std::string_view text) {
  std::uint64_t value = 0;
  for (const char c : text) {
    if (c < '0' || c > '9') return std::nullopt;
    value = value * 10 + static_cast<std::uint64_t>(c - '0');
  }
  return value;
}

std::optional<ShardName> parse_shard_name(std::string_view path) {
  constexpr std::string_view pattern = "-00001-of-00003.gguf";
  if (path.size() <= pattern.size()) return std::nullopt;
  const std::string_view tail = path.substr(path.size() - pattern.size());
  if (tail[0] != '-' || tail.substr(6, 4) != "-of-" || !tail.ends_with(".gguf"))
    return std::nullopt;
  const auto number = five_digits(tail.substr(1, 5)), count = five_digits(tail.substr(10, 5));
  if (!number || !count) return std::nullopt;
  return ShardName{std::string(path.substr(0, path.size() - pattern.size())), *number, *count};
}

void keep(Package& package, const std::shared_ptr<const MappedFile>& file, const GgufFile& gguf,
          const std::string& path) {
  package.storage.push_back(file);
  if (gguf.rewritten) package.storage.push_back(gguf.rewritten);
  package.file_bytes += file->bytes().size();
  for (const std::string& warning : gguf.warnings)
    package.warnings.push_back(fmt::format("{}: {}", path, warning));
}

// Of the shards after the first, the keys that the first has too must agree with it.
Status check_agreement(const Metadata& first, const Metadata& shard) {
  for (const auto& [key, value] : shard.entries()) {
    if (key == split_no || key == split_tensors) continue;
    const MetaValue* twin = first.find(key);
    if (twin && (twin->type != value.type || twin->is_array != value.is_array ||
                 text_of(twin->bytes) != text_of(value.bytes)))
      return Error(ErrorKind::corrupt,
                   fmt::format("metadata '{}': differs from the first shard's", printable(key)));
  }
  return Done{};
}

// The shard's place among `count`, checked against its name.
Status check_place(const Metadata& metadata, std::uint64_t shard, std::uint64_t count) {
  const std::uint64_t stated = TRY(metadata.unsigned_integer(split_count));
  const std::uint64_t no = TRY(metadata.unsigned_integer(split_no));
  if (stated != count || no != shard)
    return Error(ErrorKind::corrupt,
                 fmt::format("{} = {}, {} = {}: the name says shard {} of {}", split_no, no,
                             split_count, stated, shard + 1, count));
  return Done{};
}

// `opened` is the shard the user named; the others lie beside it.
Result<Package> read_shards(const ShardName& name, std::uint64_t count, const Source& source,
                            GgufFile opened) {
  Package package;
  std::optional<std::uint64_t> expected_tensors;
  for (std::uint64_t shard = 0; shard < count; ++shard) {
    const bool is_opened = shard + 1 == name.number;
    const std::string path = name.path(shard + 1);
    const auto file = is_opened ? source.file : TRY(MappedFile::open(path));
    auto gguf = is_opened ? Result<GgufFile>(std::move(opened)) : read_gguf(file->bytes());
    if (!gguf) return std::move(gguf).error().within(path);
    Status placed = check_place(gguf->metadata, shard, count);
    if (placed.ok() && shard > 0) placed = check_agreement(package.metadata, gguf->metadata);
    if (!placed.ok()) return std::move(placed).error().within(path);
    keep(package, file, *gguf, path);
    if (gguf->metadata.has(split_tensors))
      expected_tensors = TRY(gguf->metadata.unsigned_integer(split_tensors));
    Status added = add_tensors(package, std::move(gguf->tensors), file.get());
    if (!added.ok()) return std::move(added).error().within(path);
    if (shard == 0) package.metadata = std::move(gguf->metadata);
    if (package.tensors.size() > limits::gguf_tensors)
      return Error(ErrorKind::corrupt,
                   fmt::format("over {} tensors in all shards", limits::gguf_tensors));
  }
  if (expected_tensors && *expected_tensors != package.tensors.size())
    return Error(ErrorKind::corrupt, fmt::format("{} = {}: the shards hold {}", split_tensors,
                                                 *expected_tensors, package.tensors.size()));
  return package;
}

Result<Package> read_file(const Source& source) {
  GgufFile gguf = TRY(read_gguf(source.file->bytes()));
  if (!gguf.metadata.has(split_count)) {
    Package package;
    keep(package, source.file, gguf, source.path);
    TRY(add_tensors(package, std::move(gguf.tensors), source.file.get()));
    package.metadata = std::move(gguf.metadata);
    return package;
  }
  const std::uint64_t count = TRY(gguf.metadata.unsigned_integer(split_count));
  if (count == 0 || count > limits::shards)
    return Error(ErrorKind::corrupt, fmt::format("metadata '{}': {}, needs 1 to {}", split_count,
                                                 count, limits::shards));
  auto name = parse_shard_name(source.path);
  if (count == 1 && !name) name = ShardName{source.path, 1, 1};  // a split of one needs no name
  if (!name || name->count != count || name->number == 0 || name->number > count)
    return Error(ErrorKind::corrupt,
                 fmt::format("metadata '{}': {}, so the name must be like NAME-00001-of-{:05}.gguf",
                             split_count, count, count));
  return read_shards(*name, count, source, std::move(gguf));
}

// The GGUF files of a folder that holds exactly one such model: that file, or the first shard.
Result<std::string> only_model(const std::string& folder) {
  std::vector<std::string> models;
  for (const std::string& file : TRY(list_folder(folder))) {
    if (!file.ends_with(".gguf") || file.starts_with(".")) continue;
    const auto name = parse_shard_name(file);
    if (!name || name->number == 1) models.push_back(file);
  }
  if (models.size() == 1) return join_path(folder, models[0]);
  if (models.empty()) return Error(ErrorKind::not_found, "no GGUF file in this folder");
  return Error(ErrorKind::invalid,
               fmt::format("{} GGUF models in this folder: name one, for example '{}'",
                           models.size(), printable(models[0])));
}

bool holds_gguf(const std::string& folder) {
  const auto files = list_folder(folder);
  return files && std::any_of(files->begin(), files->end(), [](const std::string& file) {
           return file.ends_with(".gguf") && !file.starts_with(".");
         });
}

bool holds_safetensors(const std::string& folder) {
  const auto files = list_folder(folder);
  return files && std::any_of(files->begin(), files->end(), [](const std::string& file) {
           return file.ends_with(".safetensors");
         });
}

bool recognises(const Source& source) {
  if (!source.is_folder()) return source.text().starts_with("GGUF");
  return holds_gguf(source.path) && !holds_safetensors(source.path);
}

Result<Package> read(const Source& source) {
  if (!source.is_folder()) return read_file(source);
  Source file{TRY(only_model(source.path)), nullptr};
  file.file = TRY(MappedFile::open(file.path));
  return read_file(file);
}

}  // namespace

extern const Format gguf_format;
const Format gguf_format{.name = "gguf", .recognises = recognises, .read = read};

}  // namespace hearth
