#include "library/downloads.h"

#include <fmt/core.h>

#include <algorithm>
#include <ctime>

#include "base/files.h"
#include "base/json.h"
#include "base/log.h"
#include "base/store_files.h"

namespace hearth {
namespace {

constexpr int downloads_at_once = 2;  // each takes several files at a time
constexpr std::size_t max_waiting = 1000, max_kept = 200;
constexpr std::uint64_t max_kept_bytes = 4 << 20;
constexpr std::int64_t max_priority = 100;

}  // namespace

std::string_view name_of(Download::State state) {
  switch (state) {
    case Download::State::queued:
      return "queued";
    case Download::State::running:
      return "downloading";
    case Download::State::done:
      return "done";
    case Download::State::failed:
      return "failed";
    case Download::State::cancelled:
      return "cancelled";
  }
  return "";
}

struct DownloadQueue::Job {
  Download view;
  PullTarget target;
  std::stop_source stop;
};

DownloadQueue::DownloadQueue(LibraryFolders folders, Network network, Lifecycles& lifecycles,
                             std::function<void()> done)
    : folders_(std::move(folders)),
      network_(std::move(network)),
      lifecycles_(lifecycles),
      done_(std::move(done)) {
  if (network_.offline.empty()) take_up();
  for (int i = 0; i < downloads_at_once; ++i)
    threads_.emplace_back([this](std::stop_token leaving) { work(leaving); });
}

DownloadQueue::~DownloadQueue() {
  for (std::jthread& thread : threads_) thread.request_stop();
  std::vector<JobPointer> running;
  {
    const std::lock_guard lock(mutex_);
    is_leaving_ = true;
    observers_.clear();
    for (const auto& [id, job] : jobs_) running.push_back(job);
  }
  for (const JobPointer& job : running) job->stop.request_stop();
  threads_.clear();
}

void DownloadQueue::take_up() {
  const auto text = read_file(folders_.downloads, max_kept_bytes);
  if (!text) return;  // none were left
  const auto json = parse_json(*text);
  const Json* list = json ? json->find("downloads") : nullptr;
  if (list == nullptr || !list->is_array()) {
    log_warning("downloads_unreadable file={}", folders_.downloads);
    return;
  }
  for (const Json& item : list->as_array()) {
    const auto model = optional<std::string>(item, "model", "");
    const auto priority = optional<std::int64_t>(item, "priority", 0);
    if (!model || model->empty() || !priority) continue;
    const auto added = enqueue(
        *model, static_cast<int>(std::clamp<std::int64_t>(*priority, -max_priority, max_priority)));
    if (!added) log_warning("download_dropped model={} why={}", *model, added.error().message());
  }
  keep();
}

// Writes down what is not over.  What a queue was at when it ended is meant to go on.
void DownloadQueue::keep() {
  if (folders_.downloads.empty()) return;
  const std::lock_guard one(keeping_);
  Json list = Json::array();
  {
    const std::lock_guard lock(mutex_);
    if (is_leaving_) return;
    for (const auto& [id, job] : jobs_)
      if (!job->view.is_over())
        list.push_back(
            Json::object({{"model", job->view.model}, {"priority", job->view.priority}}));
  }
  const std::string text = write_json(Json::object({{"downloads", std::move(list)}}));
  Status kept = make_folders(parent_folder(folders_.downloads));
  if (kept.ok()) kept = replace_file(folders_.downloads, std::as_bytes(std::span(text)));
  if (!kept.ok()) log_warning("downloads_not_kept why={}", kept.error().message());
}

Result<Download> DownloadQueue::add(const std::string& model, int priority) {
  Download view = TRY(enqueue(model, priority));
  keep();
  woken_.notify_one();
  return view;
}

Result<Download> DownloadQueue::enqueue(const std::string& model, int priority) {
  if (!network_.offline.empty())
    return Error(ErrorKind::unavailable,
                 fmt::format("{}: not fetched, since {}", model, network_.offline));
  PullTarget target = TRY(pull_target(model, folders_));
  Download view;
  {
    const std::lock_guard lock(mutex_);
    std::size_t waiting = 0;
    for (const auto& [id, job] : jobs_) {
      if (job->view.is_over()) continue;
      ++waiting;
      if (job->view.reference != target.remote.text()) continue;
      job->view.priority = std::max(job->view.priority, priority);
      return job->view;
    }
    if (waiting >= max_waiting)
      return Error(ErrorKind::exhausted, fmt::format("{} downloads wait already", waiting));
    while (jobs_.size() >= max_kept) {
      const auto old =
          std::ranges::find_if(jobs_, [](const auto& item) { return item.second->view.is_over(); });
      if (old == jobs_.end()) break;
      jobs_.erase(old);
    }
    auto job = std::make_shared<Job>();
    job->view.id = next_id_++;
    job->view.model = model;
    job->view.reference = target.remote.text();
    job->view.name = target.name.empty() ? job->view.reference : target.name;
    job->view.priority = priority;
    job->target = std::move(target);
    view = job->view;
    jobs_[view.id] = std::move(job);
  }
  return view;
}

// With the lock held.
DownloadQueue::JobPointer DownloadQueue::next() {
  JobPointer best;
  for (const auto& [id, job] : jobs_)
    if (job->view.state == Download::State::queued &&
        (!best || job->view.priority > best->view.priority))
      best = job;
  return best;
}

void DownloadQueue::work(std::stop_token leaving) {
  for (;;) {
    JobPointer job;
    {
      std::unique_lock lock(mutex_);
      if (!woken_.wait(lock, leaving, [&] { return (job = next()) != nullptr; })) return;
      if (leaving.stop_requested()) return;
      job->view.state = Download::State::running;
      job->view.began_seconds = std::time(nullptr);
    }
    run(job);
  }
}

void DownloadQueue::change(const JobPointer& job, const std::function<void(Download&)>& edit) {
  Download view;
  std::vector<Observer> observers;
  {
    const std::lock_guard lock(mutex_);
    edit(job->view);
    view = job->view;
    for (const auto& [id, observer] : observers_) observers.push_back(observer);
  }
  for (const Observer& observer : observers) observer(view);
}

// A model in memory goes its own way while a newer revision is fetched.
void DownloadQueue::note(const JobPointer& job, ModelEvent event, const std::string& detail) {
  (void)lifecycles_.apply(job->view.name, event, detail).ok();
}

void DownloadQueue::run(const JobPointer& job) {
  note(job, ModelEvent::discover);
  note(job, ModelEvent::download);
  change(job, [](Download&) {});
  PullHooks hooks;
  hooks.stop = job->stop.get_token();
  hooks.progress = [&](const PullProgress& progress) {
    if (progress.total > 0)
      lifecycles_.advance(job->view.name,
                          static_cast<double>(progress.bytes) / static_cast<double>(progress.total),
                          progress.total);
    change(job, [&](Download& view) { view.progress = progress; });
  };
  hooks.remark = [&](const std::string& text) {
    change(job, [&](Download& view) { view.remark = text; });
  };
  auto pulled = pull(job->target.remote, job->target.name, folders_, network_, hooks);
  const bool is_cancelled = !pulled && pulled.error().kind() == ErrorKind::cancelled;
  if (pulled) {
    // Sizes and checksums were looked at as the bytes came.
    for (const ModelEvent event :
         {ModelEvent::finish_download, ModelEvent::validate, ModelEvent::finish_validate})
      note(job, event);
    if (done_) done_();
  } else {
    note(job, is_cancelled ? ModelEvent::cancel : ModelEvent::fail, pulled.error().message());
  }
  change(job, [&](Download& view) {
    view.ended_seconds = std::time(nullptr);
    view.remark.clear();
    if (pulled) {
      view.state = Download::State::done;
      view.was_here = pulled->was_here;
      view.files = pulled->manifest.files;
      view.progress.bytes = view.progress.total = pulled->manifest.bytes();
      if (pulled->manifest.name.empty()) view.name = pulled->manifest.reference;
    } else {
      view.state = is_cancelled ? Download::State::cancelled : Download::State::failed;
      view.error = pulled.error();
    }
  });
  keep();
}

std::optional<Download> DownloadQueue::find(int id) const {
  const std::lock_guard lock(mutex_);
  const auto found = jobs_.find(id);
  return found == jobs_.end() ? std::nullopt : std::optional(found->second->view);
}

std::vector<Download> DownloadQueue::list() const {
  const std::lock_guard lock(mutex_);
  std::vector<Download> all;
  for (const auto& [id, job] : jobs_) all.push_back(job->view);
  return all;
}

Status DownloadQueue::cancel(int id) {
  JobPointer job;
  bool is_waiting = false;
  {
    const std::lock_guard lock(mutex_);
    const auto found = jobs_.find(id);
    if (found == jobs_.end())
      return Error(ErrorKind::not_found, fmt::format("there is no download {}", id));
    job = found->second;
    if (job->view.is_over())
      return Error(ErrorKind::invalid,
                   fmt::format("download {} is {}", id, name_of(job->view.state)));
    is_waiting = job->view.state == Download::State::queued;
    if (is_waiting) job->view.state = Download::State::cancelled;
  }
  job->stop.request_stop();
  if (is_waiting) {
    change(job, [](Download&) {});
    keep();
  }
  return Done{};
}

int DownloadQueue::observe(Observer observer) {
  const std::lock_guard lock(mutex_);
  observers_[next_observer_] = std::move(observer);
  return next_observer_++;
}

void DownloadQueue::forget_all() {
  std::map<int, Observer> gone;  // their ends are not ours to wait for with the lock held
  const std::lock_guard lock(mutex_);
  gone.swap(observers_);
}

void DownloadQueue::forget(int observer) {
  const std::lock_guard lock(mutex_);
  observers_.erase(observer);
}

}  // namespace hearth
