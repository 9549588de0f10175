#include "library/downloads.h"

#include <fmt/core.h>

#include <algorithm>
#include <ctime>

#include "base/files.h"
#include "base/json.h"
#include "base/log.h"
#include "hardware/memory.h"
#include "hardware/system_files.h"
#include "library/catalog.h"
#include "library/shared_file.h"

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
    case Download::State::paused:
      return "paused";
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
  std::stop_source stop;  // of the present attempt
  DownloadQueue::Wish wish;
  enum class Stop { again, pause, cancel } stops_to = Stop::again;  // what a stop of it means
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
    Wish wish;
    wish.priority =
        static_cast<int>(std::clamp<std::int64_t>(*priority, -max_priority, max_priority));
    wish.any_size = optional<bool>(item, "any_size", false).value_or(false);
    wish.only_public = optional<bool>(item, "only_public", false).value_or(false);
    const auto added = enqueue(*model, wish);
    if (!added)
      log_warning("download_dropped model={} why={}", *model, added.error().message());
    else if (optional<bool>(item, "paused", false).value_or(false))
      jobs_[added->id]->view.state = Download::State::paused;  // nobody else knows of it yet
  }
  keep();
}

// Writes down what is not over, beside what other servers have written.  What a queue was at when
// it ended is meant to go on.
void DownloadQueue::keep() {
  if (folders_.downloads.empty()) return;
  const std::lock_guard one(keeping_);
  bool is_leaving = false;
  const Status kept = update_json_file(folders_.downloads, max_kept_bytes, [&](Json before) {
    const std::lock_guard lock(mutex_);
    is_leaving = is_leaving_;
    return is_leaving_ ? std::move(before) : with_own(before);
  });
  if (!kept.ok() && !is_leaving) log_warning("downloads_not_kept why={}", kept.error().message());
}

// With the lock held: the file with our downloads as they are now.
Json DownloadQueue::with_own(const Json& before) const {
  Json list = Json::array();
  const Json* others = before.find("downloads");
  if (others && others->is_array())
    for (const Json& item : others->as_array()) {
      const auto model = optional<std::string>(item, "model", "");
      const bool is_ours = std::ranges::any_of(
          jobs_, [&](const auto& job) { return model && job.second->view.model == *model; });
      if (!is_ours) list.push_back(item);
    }
  for (const auto& [id, job] : jobs_)
    if (!job->view.is_over())
      list.push_back(Json::object({{"model", job->view.model},
                                   {"priority", job->view.priority},
                                   {"any_size", job->wish.any_size},
                                   {"only_public", job->wish.only_public},
                                   {"paused", job->stops_to == Job::Stop::pause ||
                                                  job->view.state == Download::State::paused}}));
  return Json::object({{"downloads", std::move(list)}});
}

Result<Download> DownloadQueue::add(const std::string& model, const Wish& wish) {
  Download view = TRY(enqueue(model, wish));
  keep();
  woken_.notify_one();
  return view;
}

Result<Download> DownloadQueue::enqueue(const std::string& model, const Wish& wish) {
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
      job->view.priority = std::max(job->view.priority, wish.priority);
      job->wish.any_size = job->wish.any_size || wish.any_size;
      if (job->view.state == Download::State::paused) job->view.state = Download::State::queued;
      job->stops_to = Job::Stop::again;
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
    job->view.priority = wish.priority;
    job->wish = wish;
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
    std::stop_token stop;
    {
      std::unique_lock lock(mutex_);
      if (!woken_.wait(lock, leaving, [&] { return (job = next()) != nullptr; })) return;
      if (leaving.stop_requested()) return;
      job->view.state = Download::State::running;
      job->stops_to = Job::Stop::again;
      job->stop = std::stop_source();
      job->view.began_seconds = std::time(nullptr);
      stop = job->stop.get_token();
    }
    run(job, stop);
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

// What was asked for may have become one of several: its way goes on under the name it is listed
// by.
void DownloadQueue::take_name(const JobPointer& job, const Manifest& manifest) {
  const std::string name = manifest.name.empty() ? manifest.reference : manifest.name;
  if (name == job->view.name) return;
  for (const ModelEvent event :
       {ModelEvent::cancel, ModelEvent::remove, ModelEvent::finish_cleanup})
    note(job, event);
  change(job, [&](Download& view) { view.name = name; });
  for (const ModelEvent event :
       {ModelEvent::discover, ModelEvent::download, ModelEvent::finish_download})
    note(job, event);
}

void DownloadQueue::run(const JobPointer& job, const std::stop_token& stop) {
  note(job, ModelEvent::discover);
  note(job, ModelEvent::download);
  change(job, [](Download&) {});
  PullHooks hooks;
  hooks.stop = stop;
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
  Network network = network_;
  {
    const std::lock_guard lock(mutex_);
    if (!job->wish.any_size)
      hooks.most_bytes = memory_for_models(hardware::read_memory(hardware::machine_root()));
    network.only_public = job->wish.only_public && job->target.remote.kind == Reference::Kind::url;
  }
  auto pulled = pull(job->target.remote, job->target.name, folders_, network, hooks);
  const bool is_stopped = !pulled && pulled.error().kind() == ErrorKind::cancelled;
  if (pulled) {
    note(job, ModelEvent::finish_download);
    take_name(job, pulled->manifest);
    // Sizes and checksums were looked at as the bytes came.
    for (const ModelEvent event : {ModelEvent::validate, ModelEvent::finish_validate})
      note(job, event);
    if (done_) done_();
  } else {
    note(job, is_stopped ? ModelEvent::cancel : ModelEvent::fail, pulled.error().message());
  }
  change(job, [&](Download& view) {
    view.ended_seconds = std::time(nullptr);
    view.remark.clear();
    if (pulled) {
      view.state = Download::State::done;
      view.was_here = pulled->was_here;
      view.files = pulled->manifest.files;
      view.progress.bytes = view.progress.total = pulled->manifest.bytes();
    } else if (is_stopped && !is_leaving_ && job->stops_to != Job::Stop::cancel) {
      const bool is_pausing = job->stops_to == Job::Stop::pause;
      view.state = is_pausing ? Download::State::paused : Download::State::queued;
      view.ended_seconds = 0;
      view.progress.bytes_per_second = 0;
    } else {
      view.state = is_stopped ? Download::State::cancelled : Download::State::failed;
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

// Does `edit` to one that is not over, with the lock held, then stops its attempt if it says so.
Status DownloadQueue::steer(int id, const std::function<bool(Job& job)>& edit) {
  JobPointer job;
  std::stop_source stop(std::nostopstate);
  {
    const std::lock_guard lock(mutex_);
    const auto found = jobs_.find(id);
    if (found == jobs_.end())
      return Error(ErrorKind::not_found, fmt::format("there is no download {}", id));
    job = found->second;
    if (job->view.is_over())
      return Error(ErrorKind::invalid,
                   fmt::format("download {} is {}", id, name_of(job->view.state)));
    if (edit(*job)) stop = job->stop;
  }
  stop.request_stop();
  woken_.notify_one();
  change(job, [](Download&) {});
  keep();
  return Done{};
}

Status DownloadQueue::cancel(int id) {
  return steer(id, [](Job& job) {
    job.stops_to = Job::Stop::cancel;
    if (job.view.state == Download::State::running) return true;
    job.view.state = Download::State::cancelled;
    return false;
  });
}

Status DownloadQueue::pause(int id) {
  return steer(id, [](Job& job) {
    job.stops_to = Job::Stop::pause;
    if (job.view.state == Download::State::running) return true;
    job.view.state = Download::State::paused;
    return false;
  });
}

Status DownloadQueue::resume(int id) {
  return steer(id, [](Job& job) {
    job.stops_to = Job::Stop::again;  // one that is about to pause waits for its turn again
    if (job.view.state == Download::State::paused) job.view.state = Download::State::queued;
    return false;
  });
}

Status DownloadQueue::set_priority(int id, int priority) {
  return steer(id, [priority](Job& job) {
    job.view.priority = priority;
    return false;
  });
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
