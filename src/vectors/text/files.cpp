#include "vectors/text/files.h"

#include <fmt/core.h>

#include <filesystem>
#include <map>
#include <set>

#include "base/bytes.h"
#include "base/crc32c.h"
#include "base/files.h"
#include "base/store_files.h"
#include "vectors/text/glob.h"
#include "vectors/text/readable.h"

namespace hearth::vectors {
namespace {

constexpr std::uint64_t max_file_bytes = 16 << 20;
constexpr std::size_t chunks_at_once = 256;  // embedded and written together, whole files

struct KnownFile {
  std::int64_t modified_ns = 0;  // when it was read
  std::uint64_t bytes = 0;
  std::string checksum;
  std::vector<std::string> ids;
};
using KnownFiles = std::map<std::string, KnownFile>;

Result<std::string> whole_path(const std::string& path) {
  std::error_code error;
  const std::filesystem::path whole = std::filesystem::canonical(path, error);
  if (error) return Error(ErrorKind::not_found, fmt::format("{}: {}", path, error.message()));
  return whole.string();
}

// What the collection holds of the files at or below a path.
Result<KnownFiles> known_files(const Collection& collection, const std::string& root) {
  Filter at{Filter::Op::equal, "path", root, {}};
  Filter below{Filter::Op::prefix, "path", root == "/" ? root : root + "/", {}};
  const Filter filter{Filter::Op::any, "", {}, {std::move(at), std::move(below)}};
  constexpr std::size_t page_size = 1000;
  KnownFiles known;
  std::string from;
  do {
    Page page = TRY(collection.scroll(from, page_size, &filter, {.text = false}));
    for (const Document& document : page.documents) {
      const std::string path = TRY(required<std::string>(document.metadata, "path"));
      KnownFile& file = known[path];
      file.ids.push_back(document.id);
      file.checksum = TRY(optional<std::string>(document.metadata, "checksum", ""));
      file.modified_ns =
          TRY(optional<std::int64_t>(document.metadata, "modified_ns", std::int64_t{0}));
      file.bytes = static_cast<std::uint64_t>(
          TRY(optional<std::int64_t>(document.metadata, "bytes", std::int64_t{0})));
    }
    from = std::move(page.next);
  } while (!from.empty());
  return known;
}

class Indexer {
 public:
  Indexer(Collection& collection, const FileOptions& options, const Embed& embed,
          std::stop_token stop)
      : collection_(collection), options_(options), embed_(embed), stop_(std::move(stop)) {}

  Status find(const std::string& path);
  Status update(const std::function<void(double)>& done);
  FileReport report() && { return std::move(report_); }

 private:
  bool is_wanted(std::string_view relative) const;
  Status update_file(const std::string& path);
  Status flush();

  Collection& collection_;
  const FileOptions& options_;
  const Embed& embed_;
  const std::stop_token stop_;
  KnownFiles known_;
  std::set<std::string> wanted_;
  FileReport report_;
  Batch batch_;
  std::vector<std::size_t> unembedded_;  // places in batch_.upserts
  std::vector<std::string> texts_;       // theirs
};

bool Indexer::is_wanted(std::string_view relative) const {
  const auto matches_one = [&](const std::vector<std::string>& globs) {
    return std::any_of(globs.begin(), globs.end(),
                       [&](const std::string& glob) { return matches_glob(glob, relative); });
  };
  return (options_.globs.empty() || matches_one(options_.globs)) && !matches_one(options_.excluded);
}

Status Indexer::find(const std::string& path) {
  // A path that is gone is one whose pieces go.
  std::error_code error;
  const bool is_there = std::filesystem::exists(path, error);
  const std::string root = is_there
                               ? TRY(whole_path(path))
                               : std::filesystem::absolute(path, error).lexically_normal().string();
  KnownFiles below = TRY(known_files(collection_, root));
  if (!is_there && below.empty())
    return Error(ErrorKind::not_found, fmt::format("{}: there is no such file or folder", path));
  known_.merge(below);
  if (is_file(root)) wanted_.insert(root);
  if (!is_folder(root)) return Done{};
  for (const std::string& relative : TRY(list_tree(root)))
    if (is_wanted(relative)) wanted_.insert(join_path(root, relative));
  return Done{};
}

Status Indexer::update(const std::function<void(double)>& done) {
  std::size_t at = 0;
  for (const std::string& path : wanted_) {
    if (stop_.stop_requested()) return Error(ErrorKind::cancelled, "stopped");
    TRY(update_file(path));
    done(static_cast<double>(++at) / static_cast<double>(wanted_.size()));
  }
  for (const auto& [path, file] : known_) {
    if (is_file(path)) continue;
    ++report_.removed;
    report_.chunks_removed += file.ids.size();
    batch_.removals.insert(batch_.removals.end(), file.ids.begin(), file.ids.end());
  }
  return flush();
}

Status Indexer::update_file(const std::string& path) {
  const auto now = file_identity(path);
  const auto skip = [&](std::string_view why) -> Status {
    report_.skipped.push_back(fmt::format("{}: {}", path, why));
    return Done{};
  };
  if (!now) return skip("cannot be read");
  const auto known = known_.find(path);
  if (known != known_.end() && known->second.modified_ns == now->modified_ns &&
      known->second.bytes == now->bytes) {
    ++report_.unchanged;
    return Done{};
  }
  if (now->bytes > max_file_bytes) return skip("over 16 MiB");
  auto bytes = read_file(path, max_file_bytes);
  if (!bytes.ok()) return skip("cannot be read");
  const std::string checksum = fmt::format("{:08x}-{}", crc32c(bytes_of(*bytes)), bytes->size());
  const auto text = readable_text(*std::move(bytes), stop_);
  if (!text) return skip(text.error().message());

  std::map<std::string, std::vector<float>> vectors;  // of texts that were embedded before
  std::set<std::string> old_ids;
  if (known != known_.end()) {
    old_ids.insert(known->second.ids.begin(), known->second.ids.end());
    for (Document& document : TRY(collection_.get(known->second.ids, {.vector = true})))
      vectors.emplace(std::move(document.text), std::move(document.vector));
  }
  std::size_t number = 0;
  for (Chunk& chunk : split_text(*text, options_.chunks)) {
    Document document;
    document.id = fmt::format("{}#{}", path, number);
    document.metadata = Json::object({{"path", path},
                                      {"chunk", number++},
                                      {"line", chunk.line},
                                      {"heading", chunk.heading},
                                      {"modified_ns", now->modified_ns},
                                      {"bytes", now->bytes},
                                      {"checksum", checksum}});
    document.text = std::move(chunk.text);
    old_ids.erase(document.id);
    if (const auto found = vectors.find(document.text); found != vectors.end()) {
      document.vector = found->second;
    } else {
      unembedded_.push_back(batch_.upserts.size());
      // A piece is about what it stands under.
      texts_.push_back(chunk.heading.empty() ? document.text
                                             : fmt::format("{}\n{}", chunk.heading, document.text));
    }
    batch_.upserts.push_back(std::move(document));
  }
  (known != known_.end() ? report_.changed : report_.added) += 1;
  report_.chunks_written += number;
  report_.chunks_removed += old_ids.size();
  batch_.removals.insert(batch_.removals.end(), old_ids.begin(), old_ids.end());
  return batch_.upserts.size() < chunks_at_once ? Status(Done{}) : flush();
}

Status Indexer::flush() {
  if (!texts_.empty()) {
    auto vectors = TRY(embed_(texts_, stop_));
    for (std::size_t i = 0; i < unembedded_.size(); ++i)
      batch_.upserts[unembedded_[i]].vector = std::move(vectors[i]);
    report_.chunks_embedded += texts_.size();
  }
  TRY(collection_.write(batch_));
  batch_ = {};
  unembedded_.clear();
  texts_.clear();
  return Done{};
}

}  // namespace

Result<FileReport> index_files(Collection& collection, const std::vector<std::string>& paths,
                               const FileOptions& options, const Embed& embed,
                               const std::function<void(double share)>& done,
                               std::stop_token stop) {
  Indexer indexer(collection, options, embed, std::move(stop));
  for (const std::string& path : paths) TRY(indexer.find(path));
  TRY(indexer.update(done));
  return std::move(indexer).report();
}

}  // namespace hearth::vectors
