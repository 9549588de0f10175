#include "library/pull.h"

#include <fmt/core.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cmath>
#include <condition_variable>
#include <ctime>
#include <filesystem>
#include <mutex>
#include <thread>

#include "base/files.h"
#include "base/store_files.h"
#include "library/reuse.h"

namespace hearth {
namespace {

namespace fs = std::filesystem;
using Clock = std::chrono::steady_clock;

// Stays free: a full disk breaks more than this pull.
constexpr std::uint64_t reserve_bytes = 256u << 20;
constexpr auto tick = std::chrono::milliseconds(100);
constexpr double speed_seconds = 3;  // over which the speed is averaged

bool is_same_model(const Manifest& manifest, const DownloadPlan& plan) {
  if (manifest.reference != plan.reference || manifest.main != plan.main) return false;
  if (manifest.files.size() != plan.files.size()) return false;
  return std::ranges::all_of(plan.files, [&](const RemoteFile& wanted) {
    const auto held = std::ranges::find(manifest.files, wanted.name, &StoredFile::name);
    if (held == manifest.files.end()) return false;
    if (!wanted.sha256.empty()) return held->sha256 == wanted.sha256;
    // A commit's files never change; of an address nobody can say without fetching it.
    return wanted.bytes == 0 || held->bytes == wanted.bytes;
  });
}

bool has_all_files(const std::string& folder, const Manifest& manifest) {
  return std::ranges::all_of(manifest.files, [&](const StoredFile& file) {
    const auto identity = file_identity(join_path(folder, file.name));
    return identity && identity->bytes == file.bytes;
  });
}

bool is_complete(const std::string& folder, const DownloadPlan& plan, Manifest& manifest) {
  auto read = read_manifest(folder);
  if (!read || !is_same_model(*read, plan) || !has_all_files(folder, *read)) return false;
  manifest = std::move(*read);
  return true;
}

// Takes away what an earlier pull of another revision left.
void remove_strangers(const std::string& folder, const DownloadPlan& plan) {
  std::vector<fs::path> strangers;
  std::error_code error;
  for (fs::recursive_directory_iterator at(folder, error), end; !error && at != end;
       at.increment(error)) {
    std::string name = at->path().lexically_relative(folder).string();
    if (at->is_directory(error) || name.starts_with(".state/")) continue;
    if (name.ends_with(".part")) name.resize(name.size() - 5);
    if (std::ranges::none_of(plan.files, [&](const RemoteFile& f) { return f.name == name; }))
      strangers.push_back(at->path());
  }
  for (const fs::path& path : strangers) fs::remove(path, error);
}

std::uint64_t bytes_in(const std::string& folder) {
  std::uint64_t sum = 0;
  std::error_code error;
  for (fs::recursive_directory_iterator at(folder, error), end; !error && at != end;
       at.increment(error))
    if (at->is_regular_file(error)) sum += at->file_size(error);
  return sum;
}

// The speed of late: what came, forgotten exponentially.
class Speed {
 public:
  double update(std::uint64_t bytes) {
    const auto now = Clock::now();
    const double seconds = std::chrono::duration<double>(now - last_).count();
    if (seconds < 0.05) return speed_;
    const double gained = bytes > bytes_ ? static_cast<double>(bytes - bytes_) : 0;
    const double keep = is_first_ ? 0 : std::exp(-seconds / speed_seconds);
    if (bytes_known_) speed_ = keep * speed_ + (1 - keep) * gained / seconds;
    is_first_ = !bytes_known_;
    bytes_known_ = true;
    bytes_ = bytes;
    last_ = now;
    return speed_;
  }

 private:
  Clock::time_point last_ = Clock::now();
  std::uint64_t bytes_ = 0;
  double speed_ = 0;
  bool is_first_ = true, bytes_known_ = false;
};

// Waits while another process fetches the same model, showing how far it is.
Result<FileLock> take_lock(const std::string& path, const std::string& partial,
                           const DownloadPlan& plan, const PullHooks& hooks) {
  Speed speed;
  bool is_told = false;
  for (;;) {
    auto lock = TRY(FileLock::try_take(path));
    if (lock) return *std::move(lock);
    if (!is_told && hooks.remark)
      hooks.remark("another hearth is fetching this model: waiting for it");
    is_told = true;
    if (hooks.stop.stop_requested()) return Error(ErrorKind::cancelled, "stopped");
    const std::uint64_t bytes = bytes_in(partial);
    if (hooks.progress)
      hooks.progress({.bytes = std::min(bytes, plan.bytes()),
                      .total = plan.bytes(),
                      .bytes_per_second = speed.update(bytes),
                      .files = plan.files.size(),
                      .each = {},
                      .is_waiting = true});
    std::this_thread::sleep_for(tick);
  }
}

Status check_disk(const std::string& folder, const DownloadPlan& plan) {
  std::uint64_t needed = 0;
  for (const RemoteFile& file : plan.files)
    needed += file.bytes - std::min(file.bytes, bytes_here(file, folder));
  const std::uint64_t free = free_disk_bytes(folder);
  if (needed == 0 || free >= needed + reserve_bytes) return Done{};
  return Error(ErrorKind::exhausted,
               fmt::format("{}: {:.2f} GB are still to come, {:.2f} GB are free on the disk of {}; "
                           "`hearth du` shows what lies where",
                           plan.reference, static_cast<double>(needed) / 1e9,
                           static_cast<double>(free) / 1e9, parent_folder(parent_folder(folder))));
}

// All files of a plan, some at a time.
class Fetching {
 public:
  Fetching(const DownloadPlan& plan, const std::string& folder, const Network& network,
           const PullHooks& hooks)
      : plan_(plan),
        folder_(folder),
        network_(network),
        hooks_(hooks),
        stored_(plan.files.size()),
        received_(plan.files.size()) {}

  Result<std::vector<StoredFile>> run() {
    const auto count = std::min<std::size_t>(plan_.files.size(),
                                             static_cast<std::size_t>(network_.parallel_files));
    running_ = count;
    const std::stop_callback on_stop(hooks_.stop, [this] { stop_.request_stop(); });
    std::vector<std::jthread> threads;
    for (std::size_t i = 0; i < count; ++i) threads.emplace_back([this] { work(); });
    show_until_done();
    threads.clear();
    if (error_) return *std::move(error_);
    if (hooks_.stop.stop_requested()) return Error(ErrorKind::cancelled, "stopped");
    return std::move(stored_);
  }

 private:
  void work() {
    DownloadHooks hooks{
        .stop = stop_.get_token(), .received = {}, .remark = [this](const std::string& text) {
          const std::lock_guard lock(mutex_);
          if (hooks_.remark) hooks_.remark(text);
        }};
    for (std::size_t i = next_++; i < plan_.files.size(); i = next_++) {
      hooks.received = [this, i](std::int64_t bytes) { received_[i] += bytes; };
      auto stored = download(plan_.files[i], folder_, network_, hooks);
      const std::lock_guard lock(mutex_);
      if (stored) {
        stored_[i] = *std::move(stored);
        continue;
      }
      if (!error_) error_ = std::move(stored).error();
      stop_.request_stop();  // the others would be in vain, but what they have is kept
      break;
    }
    const std::lock_guard lock(mutex_);
    if (--running_ == 0) done_.notify_all();
  }

  void show_until_done() {
    Speed speed;
    std::unique_lock lock(mutex_);
    for (;;) {
      const bool is_done = done_.wait_for(lock, tick, [this] { return running_ == 0; });
      lock.unlock();
      if (hooks_.progress) hooks_.progress(progress(speed));
      if (is_done) return;
      lock.lock();
    }
  }

  PullProgress progress(Speed& speed) const {
    PullProgress now;
    now.total = plan_.bytes();
    now.files = plan_.files.size();
    for (std::size_t i = 0; i < plan_.files.size(); ++i) {
      const RemoteFile& file = plan_.files[i];
      const auto bytes = static_cast<std::uint64_t>(std::max<std::int64_t>(0, received_[i]));
      now.each.push_back({file.name, bytes, file.bytes});
      now.bytes += bytes;
    }
    now.bytes_per_second = speed.update(now.bytes);
    return now;
  }

  const DownloadPlan& plan_;
  const std::string& folder_;
  const Network& network_;
  const PullHooks& hooks_;
  std::stop_source stop_;
  std::atomic<std::size_t> next_ = 0;
  std::mutex mutex_;  // of what follows, and of remarks
  std::condition_variable done_;
  std::size_t running_ = 0;
  std::vector<StoredFile> stored_;
  std::optional<Error> error_;
  std::vector<std::atomic<std::int64_t>> received_;  // of each file
};

}  // namespace

double PullProgress::seconds_left() const {
  if (total <= bytes || bytes_per_second < 1) return total > 0 && bytes >= total ? 0 : -1;
  return static_cast<double>(total - bytes) / bytes_per_second;
}

Result<Pulled> pull(const Reference& reference, const std::string& name,
                    const LibraryFolders& folders, const Network& network, const PullHooks& hooks) {
  if (!network.offline.empty())
    return Error(ErrorKind::unavailable,
                 fmt::format("{}: not fetched, since {}", reference.text(), network.offline));
  const DownloadHooks planning{.stop = hooks.stop, .received = {}, .remark = hooks.remark};
  const DownloadPlan plan = TRY(plan_download(reference, network, planning));
  const std::string folder = join_path(folders.models, store_name(plan.reference));
  const std::string partial = partial_folder(folders.models, plan.reference);
  const FileLock lock = TRY(take_lock(partial + ".lock", partial, plan, hooks));

  Pulled pulled{.manifest = {}, .folder = folder};
  if (is_complete(folder, plan, pulled.manifest)) {
    pulled.was_here = true;
    TRY(remove_all(partial));
    return pulled;
  }
  if (plan.bytes() > hooks.most_bytes)
    return Error(
        ErrorKind::exhausted,
        fmt::format("{}: its weights take {:.1f} GB, and this machine has {:.1f} GB for "
                    "models: it would hardly run. `hearth pull --force` fetches it all the same",
                    plan.reference, static_cast<double>(plan.bytes()) / 1e9,
                    static_cast<double>(hooks.most_bytes) / 1e9));
  if (!is_complete(partial, plan, pulled.manifest)) {
    TRY(make_folders(partial));
    remove_strangers(partial, plan);
    TRY(reuse_files(plan, partial, folders, hooks));
    TRY(check_disk(partial, plan));
    Fetching fetching(plan, partial, network, hooks);
    std::vector<StoredFile> files = TRY(fetching.run());
    pulled.manifest = {.reference = plan.reference,
                       .name = name,
                       .revision = plan.revision,
                       .main = plan.main,
                       .pulled_seconds = std::time(nullptr),
                       .files = std::move(files)};
    TRY(write_manifest(partial, pulled.manifest));
  }
  TRY(remove_download_state(partial));
  TRY(move_path(partial, folder));  // from here on the model is there
  TRY(remove_all(partial));         // an older revision, when there was one
  return pulled;
}

}  // namespace hearth
