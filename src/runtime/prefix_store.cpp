#include "runtime/prefix_store.h"

#include <fmt/core.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cstring>
#include <filesystem>
#include <memory>

#include "base/check.h"
#include "base/crc32c.h"
#include "base/digest.h"
#include "base/files.h"
#include "base/log.h"
#include "base/store_files.h"

namespace hearth {
namespace {

namespace fs = std::filesystem;

constexpr std::string_view suffix = ".kv";
constexpr std::uint64_t magic = 0x31564b4854524148;  // "HARTHKV1"
constexpr std::size_t max_waiting_bytes = 64u << 20;
constexpr std::uint64_t min_free_bytes = 1ull << 30;  // of the disk

struct Header {
  std::uint64_t magic, page_bytes;
  PrefixStore::Id id;
  std::uint32_t checksum, zero;
};
static_assert(sizeof(Header) == 40);

class Hasher {
 public:
  void add(const void* bytes, std::size_t size) {
    stream_.add({static_cast<const std::byte*>(bytes), size});
  }
  void add(std::string_view text) {  // with its length: no two lists of texts are alike
    const std::uint64_t size = text.size();
    add(&size, sizeof size);
    add(text.data(), text.size());
  }
  PrefixStore::Id finish() {
    const Sha256 digest = stream_.finish();
    PrefixStore::Id id;
    std::copy_n(digest.begin(), id.size(), id.begin());
    return id;
  }

 private:
  Sha256Stream stream_;
};

std::string folder_name(const std::string& model) {
  Hasher hasher;
  hasher.add(model);
  return hex_text(hasher.finish());
}

}  // namespace

std::size_t PrefixStore::Hash::operator()(const Id& id) const {
  std::size_t hash;
  std::memcpy(&hash, id.data(), sizeof hash);
  return hash;
}

PrefixStore::PrefixStore(PrefixStoreOptions options, std::size_t page_bytes)
    : options_(std::move(options)),
      page_bytes_(page_bytes),
      folder_(join_path(options_.folder, folder_name(options_.model))) {}

PrefixStore::~PrefixStore() {
  writer_.request_stop();
  woken_.notify_all();
}

Result<std::unique_ptr<PrefixStore>> PrefixStore::open(const PrefixStoreOptions& options,
                                                       std::size_t page_bytes) {
  std::unique_ptr<PrefixStore> store(new PrefixStore(options, page_bytes));
  TRY(make_folders(store->folder_));
  store->index();
  store->writer_ =
      std::jthread([raw = store.get()](std::stop_token leaving) { raw->work(std::move(leaving)); });
  return store;
}

void PrefixStore::index() {
  for (const std::string& name : list_folder(folder_).value_or({})) {
    Id id;
    if (name.ends_with(suffix) &&
        parse_hex(std::string_view(name).substr(0, name.size() - suffix.size()), id))
      held_.insert(id);
  }
}

PrefixStore::Id PrefixStore::root(std::string_view salt, bool deterministic, ops::Tier tier) const {
  Hasher hasher;
  hasher.add(options_.model);
  hasher.add(salt);
  const std::uint8_t kind[2] = {deterministic, static_cast<std::uint8_t>(tier)};
  hasher.add(kind, sizeof kind);
  return hasher.finish();
}

PrefixStore::Id PrefixStore::next(const Id& before, std::span<const Token> tokens) {
  Hasher hasher;
  hasher.add(before.data(), before.size());
  hasher.add(tokens.data(), tokens.size_bytes());
  return hasher.finish();
}

std::string PrefixStore::path_of(const Id& id) const {
  return join_path(folder_, hex_text(id) + std::string(suffix));
}

bool PrefixStore::holds(const Id& id) const {
  const std::lock_guard lock(mutex_);
  return held_.contains(id);
}

bool PrefixStore::read(const Id& id, std::span<std::byte> page) {
  {
    const std::lock_guard lock(mutex_);
    if (!held_.contains(id)) return false;
    const auto waits = std::ranges::find(waiting_, id, &Waiting::id);
    if (waits != waiting_.end()) {
      std::ranges::copy(waits->page, page.begin());
      return true;
    }
  }
  const std::string path = path_of(id);
  const auto file = MappedFile::open(path);
  Header header;
  bool is_right = file && (*file)->bytes().size() == sizeof header + page.size();
  if (is_right) {
    std::memcpy(&header, (*file)->bytes().data(), sizeof header);
    std::memcpy(page.data(), (*file)->bytes().data() + sizeof header, page.size());
    is_right = header.magic == magic && header.page_bytes == page.size() && header.id == id &&
               header.checksum == crc32c(page);
  }
  if (is_right) {
    std::error_code ignored;  // only when it is removed
    fs::last_write_time(path, fs::file_time_type::clock::now(), ignored);
    return true;
  }
  (void)remove_all(path).ok();
  forget(id);
  return false;
}

void PrefixStore::forget(const Id& id) {
  const std::lock_guard lock(mutex_);
  held_.erase(id);
}

void PrefixStore::write(const Id& id, std::span<const std::byte> page) {
  HEARTH_CHECK(page.size() == page_bytes_);
  {
    const std::lock_guard lock(mutex_);
    if (waiting_.size() * page_bytes_ >= max_waiting_bytes || !held_.insert(id).second) return;
    waiting_.push_back({id, {page.begin(), page.end()}});
  }
  woken_.notify_one();
}

// The page stays in the queue, where it can be read, until it is on the disk.
void PrefixStore::work(std::stop_token leaving) {
  make_room();
  for (;;) {
    const Waiting* next = nullptr;
    bool is_time = false;
    {
      std::unique_lock lock(mutex_);
      if (!woken_.wait(lock, leaving, [&] { return !waiting_.empty(); })) return;
      next = &waiting_.front();
      written_ += page_bytes_ + sizeof(Header);
      is_time = written_ > options_.max_bytes / 16;
      if (is_time) written_ = 0;
    }
    if (is_time) make_room();
    const bool is_put = put(*next);
    const std::lock_guard lock(mutex_);
    if (!is_put) held_.erase(next->id);
    waiting_.pop_front();
  }
}

bool PrefixStore::put(const Waiting& waiting) {
  if (free_disk_bytes(folder_) < min_free_bytes + page_bytes_) return false;
  Header header{.magic = magic,
                .page_bytes = page_bytes_,
                .id = waiting.id,
                .checksum = crc32c(waiting.page),
                .zero = 0};
  std::vector<std::byte> bytes(sizeof header + waiting.page.size());
  std::memcpy(bytes.data(), &header, sizeof header);
  std::ranges::copy(waiting.page, bytes.begin() + sizeof header);
  // Not synced: what a power cut leaves of it fails its checksum.
  const std::string path = path_of(waiting.id), part = fmt::format("{}.{}.part", path, ::getpid());
  std::error_code error;
  auto file = GrowingFile::open(part);
  if (!file || !file->truncate(0).ok() || !file->append(bytes).ok()) {
    fs::remove(part, error);
    return false;
  }
  fs::rename(part, path, error);
  return !error;
}

// Other models' files count, and leave, like this one's.
void PrefixStore::make_room() {
  struct File {
    fs::file_time_type used;
    std::uint64_t bytes;
    fs::path path;
  };
  std::vector<File> files;
  std::uint64_t sum = 0;
  std::error_code error;
  for (fs::recursive_directory_iterator at(options_.folder, error), end; !error && at != end;
       at.increment(error)) {
    std::error_code gone;
    if (at->path().extension() == ".part" &&  // of a process that was killed
        at->last_write_time(gone) < fs::file_time_type::clock::now() - std::chrono::hours(1))
      fs::remove(at->path(), gone);
    if (at->path().extension() != suffix || !at->is_regular_file(gone)) continue;
    files.push_back({at->last_write_time(gone), at->file_size(gone), at->path()});
    if (gone)
      files.pop_back();
    else
      sum += files.back().bytes;
  }
  if (sum <= options_.max_bytes) return;
  std::ranges::sort(files, {}, &File::used);
  const std::uint64_t goal = options_.max_bytes - options_.max_bytes / 8;
  for (const File& file : files) {
    if (sum <= goal) break;
    fs::remove(file.path, error);
    sum -= file.bytes;
    Id id;
    if (file.path.parent_path() != fs::path(folder_) || !parse_hex(file.path.stem().string(), id))
      continue;
    const std::lock_guard lock(mutex_);
    held_.erase(id);
  }
}

}  // namespace hearth
