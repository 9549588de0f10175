#include "vectors/store/manifest.h"

#include <fmt/core.h>

#include "base/bytes.h"
#include "base/crc32c.h"
#include "vectors/store/encoding.h"

namespace hearth::vectors {
namespace {

constexpr std::string_view manifest_magic = "HEARTHMF";
constexpr std::uint32_t version = 1;
constexpr std::uint64_t max_checked_bytes = 1ull << 32;

bool is_plain_name(const std::string& name) {
  return !name.empty() && name.find('/') == name.npos && name[0] != '.';
}

Result<Manifest> from_json(const Json& json) {
  Manifest manifest;
  // As text: JSON numbers end at 2^53.
  manifest.store_id = std::strtoull(TRY(required<std::string>(json, "id")).c_str(), nullptr, 16);
  const Json* schema = json.find("schema");
  manifest.schema = TRY(schema_from_json(schema ? *schema : Json()));
  const Json* segments = json.find("segments");
  if (!segments || !segments->is_array()) return Error(ErrorKind::corrupt, "no list of segments");
  for (const Json& segment : segments->as_array()) {
    if (!segment.is_string() || !is_plain_name(segment.as_string()))
      return Error(ErrorKind::corrupt, "a segment without a plain name");
    manifest.segments.push_back(segment.as_string());
  }
  manifest.log_floor = static_cast<std::uint64_t>(TRY(required<std::int64_t>(json, "log_floor")));
  manifest.next_file = static_cast<std::uint64_t>(TRY(required<std::int64_t>(json, "next_file")));
  manifest.next_row = static_cast<std::uint32_t>(TRY(required<std::int64_t>(json, "next_row")));
  if (const Json* index = json.find("index"); index && index->is_object()) {
    SavedIndex saved;
    saved.file = TRY(required<std::string>(*index, "file"));
    saved.rows_file = TRY(required<std::string>(*index, "rows"));
    saved.kind = TRY(optional<std::string>(*index, "kind", ""));
    if (is_plain_name(saved.file) && is_plain_name(saved.rows_file)) manifest.index = saved;
  }
  if (const Json* tuning = json.find("tuning")) manifest.tuning = *tuning;
  if (const Json* recall = json.find("recall")) manifest.recall = *recall;
  return manifest;
}

}  // namespace

Status write_checked(Files& files, const std::string& path, std::string_view magic,
                     std::string_view body) {
  std::string text(magic);
  put(text, version);
  put(text, crc32c(bytes_of(body)));
  put(text, std::uint64_t{body.size()});
  text += body;
  return replace_file(files, path, bytes_of(text));
}

Result<std::string> read_checked(Files& files, const std::string& path, std::string_view magic) {
  const std::string text = TRY(files.read(path, max_checked_bytes));
  ByteReader in(bytes_of(text));
  const auto corrupt = [&](std::string_view what) {
    return Error(ErrorKind::corrupt, fmt::format("{}: {}", path, what));
  };
  const auto found = in.take(magic.size());
  if (!found.ok() || text_of(*found) != magic) return corrupt("not what its name says");
  const auto file_version = in.value<std::uint32_t>();
  if (!file_version.ok()) return corrupt("cut short");
  if (*file_version != version)
    return Error(ErrorKind::unsupported, fmt::format("{}: version {}; this program reads {}", path,
                                                     *file_version, version));
  const auto crc = in.value<std::uint32_t>();
  const auto size = in.value<std::uint64_t>();
  if (!crc.ok() || !size.ok() || *size != in.remaining()) return corrupt("cut short");
  const auto body = TRY(in.take(*size));
  if (crc32c(body) != *crc) return corrupt("damaged");
  return std::string(text_of(body));
}

Result<Manifest> read_manifest(Files& files, const std::string& folder) {
  const std::string path = join_path(folder, manifest_name);
  const std::string body = TRY(read_checked(files, path, manifest_magic));
  auto manifest = from_json(TRY(parse_json(body)));
  if (!manifest.ok()) return Error(ErrorKind::corrupt, manifest.error().message()).within(path);
  return manifest;
}

Status write_manifest(Files& files, const std::string& folder, const Manifest& manifest) {
  Json segments = Json::array();
  for (const std::string& segment : manifest.segments) segments.push_back(segment);
  Json json = Json::object({{"id", fmt::format("{:x}", manifest.store_id)},
                            {"schema", to_json(manifest.schema)},
                            {"segments", std::move(segments)},
                            {"log_floor", manifest.log_floor},
                            {"next_file", manifest.next_file},
                            {"next_row", manifest.next_row},
                            {"tuning", manifest.tuning},
                            {"recall", manifest.recall}});
  if (manifest.index)
    json.set("index", Json::object({{"file", manifest.index->file},
                                    {"rows", manifest.index->rows_file},
                                    {"kind", manifest.index->kind}}));
  return write_checked(files, join_path(folder, manifest_name), manifest_magic,
                       write_json(json, {.indent = 1}));
}

}  // namespace hearth::vectors
