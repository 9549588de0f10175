#include "library/download.h"

#include <fmt/core.h>

#include <array>
#include <cstdio>

#include "base/files.h"
#include "base/json.h"
#include "base/store_files.h"
#include "base/utf8.h"
#include "library/addresses.h"
#include "library/checksum.h"
#include "library/content_range.h"
#include "library/retry.h"
#include "library/stretches.h"

namespace hearth {
namespace {

// What must be known of an unfinished file to go on with it.
struct DownloadState {
  std::string url, sha256;  // what was asked for
  std::string etag;         // what the server called it; empty: it did not say
};

std::string state_path(const std::string& folder, const std::string& name) {
  return join_path(join_path(folder, ".state"), store_name(name) + ".json");
}

DownloadState read_state(const std::string& path) {
  DownloadState state;
  const auto text = read_file(path, 1 << 16);
  const auto json = text ? parse_json(*text) : Result<Json>(Json());
  if (!json || !json->is_object()) return state;
  state.url = optional<std::string>(*json, "url", "").value_or("");
  state.sha256 = optional<std::string>(*json, "sha256", "").value_or("");
  state.etag = optional<std::string>(*json, "etag", "").value_or("");
  return state;
}

Status write_state(const std::string& path, const DownloadState& state) {
  const std::string text = write_json(
      Json::object({{"url", state.url}, {"sha256", state.sha256}, {"etag", state.etag}}));
  return replace_file(path, std::as_bytes(std::span(text)));
}

bool is_same_file(const RemoteFile& file, const DownloadState& state) {
  return file.sha256.empty() ? state.url == file.url : state.sha256 == file.sha256;
}

// One file on its way.
class Download {
 public:
  Download(const RemoteFile& file, const std::string& folder, const Network& network,
           const DownloadHooks& hooks)
      : file_(file),
        path_(join_path(folder, file.name)),
        part_path_(path_ + ".part"),
        state_path_(state_path(folder, file.name)),
        ahead_path_(state_path_ + ".ahead"),
        network_(network),
        hooks_(hooks),
        addresses_(file.url, file.bearer, network),
        checksum_(file.bytes) {}

  Result<StoredFile> run();

 private:
  Status begin();
  Result<bool> attempt(Retries& retries);
  Result<bool> take_ahead();
  Status take_head(const TransferHead& head);
  Status take_body(std::span<const std::byte> bytes);
  bool has_hash() const { return !file_.sha256.empty() || !file_.git_blob.empty(); }
  bool can_go_on() const;
  Status start_over();
  Result<StoredFile> verify();

  const RemoteFile& file_;
  const std::string path_, part_path_, state_path_, ahead_path_;
  const Network& network_;
  const DownloadHooks& hooks_;
  Addresses addresses_;
  Checksum checksum_;
  DownloadState state_;
  std::optional<GrowingFile> part_;
  std::optional<Stretches> ahead_;  // of a large file
  bool was_resumed_ = false, was_repeated_ = false;
  std::optional<Refusal> refusal_;      // of the last answer
  std::optional<std::uint64_t> total_;  // as the last answer gave it
};

Status Download::begin() {
  TRY(make_folders(parent_folder(path_)));
  part_.emplace(TRY(GrowingFile::open(part_path_)));
  if (part_->size() == 0) return Done{};
  state_ = read_state(state_path_);
  const bool fits = file_.bytes == 0 || part_->size() <= file_.bytes;
  if (is_same_file(file_, state_) && fits && can_go_on()) {
    if (hooks_.received) hooks_.received(static_cast<std::int64_t>(part_->size()));
    return add_file(checksum_, part_path_);
  }
  TRY(Stretches::forget(ahead_path_, file_.bytes));
  return part_->truncate(0);
}

// Without a hash to hold the whole to, only the server can tell that the rest belongs to it.
bool Download::can_go_on() const { return has_hash() || !state_.etag.empty(); }

Status Download::start_over() {
  ahead_.reset();  // what another connection has may be of another file
  TRY(Stretches::forget(ahead_path_, file_.bytes));
  if (hooks_.received) hooks_.received(-static_cast<std::int64_t>(part_->size()));
  checksum_.restart();
  state_.etag.clear();
  return part_->truncate(0);
}

Status Download::take_head(const TransferHead& head) {
  refusal_ = refusal_of(head);
  if (refusal_) return Done{};  // its body is of no interest
  const std::string encoding = head.header("content-encoding");
  if (!encoding.empty() && encoding != "identity")
    return Error(ErrorKind::io, fmt::format("the server sends '{}' where the file itself was asked "
                                            "for",
                                            printable(encoding)));
  if (head.header("content-type").starts_with("text/html") && !file_.name.ends_with(".html"))
    return Error(ErrorKind::corrupt,
                 "the server sent a web page instead of the file (a sign-in page of the network?)");
  // Another server has another name for the same bytes.
  const std::string etag = addresses_.is_mirror() && has_hash() ? "" : head.header("etag");
  total_ = head.length;
  if (head.status == 206) {
    const auto range = parse_content_range(head.header("content-range"));
    const bool is_rest = range && range->first == part_->size();
    const bool is_same = etag.empty() || state_.etag.empty() || etag == state_.etag;
    if (!is_rest || !is_same) {
      TRY(start_over());
      return Error(ErrorKind::unavailable, is_rest ? "the file changed on the server meanwhile"
                                                   : "the server sent another part of the file");
    }
    total_ = range->total;
  } else if (part_->size() > 0) {
    TRY(start_over());  // the whole file: the server knows no parts, or the file has changed
  }
  if (file_.bytes > 0 && total_ && *total_ != file_.bytes)
    return Error(ErrorKind::unavailable,
                 fmt::format("the server's file has {} bytes, needs {}", *total_, file_.bytes));
  if (part_->size() == 0) {
    state_ = {.url = file_.url, .sha256 = file_.sha256, .etag = etag.starts_with("W/") ? "" : etag};
    TRY(write_state(state_path_, state_));
  }
  return Done{};
}

Status Download::take_body(std::span<const std::byte> bytes) {
  if (refusal_) return Done{};
  if (file_.bytes > 0 && bytes.size() > file_.bytes - part_->size()) {
    TRY(start_over());
    return Error(ErrorKind::unavailable,
                 fmt::format("the server sent more than the {} bytes of the "
                             "file",
                             file_.bytes));
  }
  TRY(part_->append(bytes));
  checksum_.add(bytes);
  if (hooks_.received) hooks_.received(static_cast<std::int64_t>(bytes.size()));
  if (network_.limit) network_.limit->take(bytes.size(), hooks_.stop);
  return Done{};
}

// One request.  What came is kept, however it ends.  False: another one is needed.
Result<bool> Download::attempt(Retries& retries) {
  if (file_.bytes > 0 && part_->size() == file_.bytes) return true;
  if (part_->size() > 0 && !can_go_on()) TRY(start_over());
  const std::uint64_t end = ahead_ ? ahead_->claim(part_->size()) : file_.bytes;
  if (ahead_ && end == part_->size()) {
    TRY(take_ahead());
    return false;
  }
  const std::uint64_t before = part_->size();
  was_resumed_ = was_resumed_ || before > 0;
  refusal_.reset();
  total_.reset();
  const bool asks_for_same = before > 0 && !(addresses_.is_mirror() && has_hash());
  TransferRequest request{.url = addresses_.url(),
                          .bearer = addresses_.bearer(),
                          .headers = {"Accept-Encoding: identity"},
                          .from_byte = before,
                          .if_range = asks_for_same ? state_.etag : "",
                          .stall_seconds = network_.stall_seconds,
                          .only_public = network_.only_public};
  if (end < file_.bytes) request.to_byte = end - 1;
  const TransferSink sink{.head = [this](const TransferHead& head) { return take_head(head); },
                          .body = [this](auto bytes) { return take_body(bytes); }};
  const auto done = transfer(request, sink, hooks_.stop);
  if (part_->size() > before) retries.progressed();
  if (!done) {
    TRY(addresses_.try_again(retries, done.error()));
    return false;
  }
  if (refusal_) {
    if (done->status == 416) TRY(start_over());
    // A signed address that expired answers 403; the next attempt begins at the first address.
    const bool is_worth_it = before > 0 && (done->status == 416 || done->status == 403);
    TRY(addresses_.try_again(
        retries,
        is_worth_it ? Error(ErrorKind::unavailable, refusal_->error.message()) : refusal_->error,
        refusal_->retry_after_seconds));
    return false;
  }
  const std::uint64_t whole = file_.bytes > 0 ? file_.bytes : total_.value_or(part_->size());
  if (part_->size() >= whole) return true;
  const std::uint64_t needed = request.to_byte > 0 ? end : whole;
  if (part_->size() >= needed) return false;  // the next stretch
  TRY(addresses_.try_again(
      retries, Error(ErrorKind::unavailable,
                     fmt::format("the server ended after {} of {} bytes", part_->size(), needed))));
  return false;
}

Result<bool> Download::take_ahead() {
  return ahead_->take(part_->size(), [this](std::span<const std::byte> bytes) -> Status {
    TRY(part_->append(bytes));
    checksum_.add(bytes);
    return Done{};
  });
}

// Errors: corrupt.
Result<StoredFile> Download::verify() {
  const StoredFile stored{.name = file_.name, .bytes = part_->size(), .sha256 = checksum_.sha256()};
  if (!file_.sha256.empty() && stored.sha256 != file_.sha256)
    return Error(ErrorKind::corrupt, fmt::format("SHA-256 is {}, needs {}: not the file that was "
                                                 "promised",
                                                 stored.sha256, file_.sha256));
  if (file_.sha256.empty() && !file_.git_blob.empty())
    if (const std::string id = checksum_.git_blob(); id != file_.git_blob)
      return Error(ErrorKind::corrupt,
                   fmt::format("Git's id is {}, needs {}: not the file that was "
                               "promised",
                               id, file_.git_blob));
  if (stored.bytes == 0 && file_.bytes != 0) return Error(ErrorKind::corrupt, "an empty file");
  if (file_.name.ends_with(".gguf")) {
    std::array<char, 4> magic{};
    std::size_t got = 0;
    if (std::FILE* in = std::fopen(part_path_.c_str(), "rbe")) {
      got = std::fread(magic.data(), 1, magic.size(), in);
      std::fclose(in);
    }
    if (std::string_view(magic.data(), got) != "GGUF")
      return Error(ErrorKind::corrupt, "what came is no GGUF file");
  }
  return stored;
}

Result<StoredFile> Download::run() {
  TRY(begin());
  const std::uint64_t missing = file_.bytes - std::min(file_.bytes, part_->size());
  if (network_.connections > 1 && has_hash() && missing >= 2 * stretch_bytes)
    ahead_.emplace(file_, ahead_path_, part_->size(), network_, hooks_);
  for (;;) {
    Retries retries(network_, hooks_);
    while (!TRY(attempt(retries))) {
    }
    ahead_.reset();
    auto stored = verify();
    if (stored) {
      TRY(part_->sync());
      TRY(move_path(part_path_, path_));
      return stored;
    }
    TRY(start_over());
    const bool is_mirrored = addresses_.is_mirror();
    if (is_mirrored) addresses_.drop_mirror();
    // Once more from the beginning: what lay there, or what came, may have been damaged.
    if (!was_resumed_ && !is_mirrored && (was_repeated_ || !has_hash())) return stored;
    was_resumed_ = false;
    was_repeated_ = true;
    if (hooks_.remark) hooks_.remark(stored.error().message() + ": it is fetched once more");
  }
}

}  // namespace

Result<StoredFile> download(const RemoteFile& file, const std::string& folder,
                            const Network& network, const DownloadHooks& hooks) {
  // A file that has its name was verified against the hash it was asked for with.
  const std::string path = join_path(folder, file.name);
  if (const std::uint64_t bytes = bytes_here(file, folder); bytes > 0 && is_file(path)) {
    if (hooks.received) hooks.received(static_cast<std::int64_t>(bytes));
    StoredFile stored{.name = file.name, .bytes = bytes, .sha256 = file.sha256};
    if (stored.sha256.empty()) {
      Checksum checksum(bytes);
      TRY(add_file(checksum, path));
      stored.sha256 = checksum.sha256();
    }
    return stored;
  }
  Download one(file, folder, network, hooks);
  auto stored = one.run();
  if (!stored && stored.error().kind() != ErrorKind::cancelled)
    return std::move(stored).error().within(file.name);
  return stored;
}

std::uint64_t bytes_here(const RemoteFile& file, const std::string& folder) {
  const std::string path = join_path(folder, file.name);
  const bool is_same = is_same_file(file, read_state(state_path(folder, file.name)));
  if (!is_same) return 0;
  if (const auto whole = file_identity(path))
    return file.bytes == 0 || whole->bytes == file.bytes ? whole->bytes : 0;
  const auto part = file_identity(path + ".part");
  return part ? part->bytes : 0;
}

Status keep_for_download(const std::string& folder, const std::string& name,
                         const std::string& sha256) {
  return write_state(state_path(folder, name), {.url = "", .sha256 = sha256, .etag = ""});
}

Status remove_download_state(const std::string& folder) {
  return remove_all(join_path(folder, ".state"));
}

Result<std::string> fetch_text(const TextRequest& request, const Network& network,
                               const DownloadHooks& hooks) {
  Retries retries(network, hooks);
  Addresses addresses(request.url, request.bearer, network);
  for (;;) {
    std::string text;
    const TransferSink sink{.head = {}, .body = [&](std::span<const std::byte> bytes) -> Status {
                              if (bytes.size() > request.max_bytes - text.size())
                                return Error(ErrorKind::io, "the server's answer is too long");
                              text.append(reinterpret_cast<const char*>(bytes.data()),
                                          bytes.size());
                              return Done{};
                            }};
    const auto head = transfer({.url = addresses.url(),
                                .bearer = addresses.bearer(),
                                .headers = request.headers,
                                .from_byte = 0,
                                .if_range = "",
                                .stall_seconds = network.stall_seconds,
                                .only_public = network.only_public},
                               sink, hooks.stop);
    if (!head) {
      TRY(addresses.try_again(retries, head.error()));
      continue;
    }
    const auto refusal = refusal_of(*head);
    if (!refusal) return text;
    if (request.refusal && !addresses.is_mirror())
      if (auto better = request.refusal(head->status, head->header("x-error-code"))) return *better;
    TRY(addresses.try_again(retries, refusal->error, refusal->retry_after_seconds));
  }
}

}  // namespace hearth
