// DownloadQueue: the downloads of a process that lives long, some at a time, the urgent ones first.
#pragma once

#include <condition_variable>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

#include "base/json.h"
#include "base/result.h"
#include "library/lifecycle.h"
#include "library/pull.h"

namespace hearth {

struct Download {
  enum class State { queued, running, paused, done, failed, cancelled } state = State::queued;
  int id = 0;
  std::string model;      // as it was asked for
  std::string name;       // as it will be listed
  std::string reference;  // where it comes from
  int priority = 0;       // greater first
  PullProgress progress;
  std::string remark;  // why it waits
  bool was_here = false;
  std::optional<Error> error;                         // of a failed one
  std::int64_t began_seconds = 0, ended_seconds = 0;  // Unix time; 0: not yet
  std::vector<StoredFile> files;                      // of one that is done

  bool is_over() const { return state > State::paused; }
};
std::string_view name_of(Download::State state);

// Thread-safe.  What is not over when the queue ends is taken up by the next one over the same
// folders: LibraryFolders::downloads holds it.
class DownloadQueue {
 public:
  using Observer = std::function<void(const Download& download)>;

  // `done`: after a model came, before anybody is told.  `lifecycles` outlives the queue.
  DownloadQueue(LibraryFolders folders, Network network, Lifecycles& lifecycles,
                std::function<void()> done);
  ~DownloadQueue();  // stops them; what came is kept

  struct Wish {
    int priority = 0;
    bool any_size = false;     // larger than what this machine can give a model, too
    bool only_public = false;  // of an address that the client names: see Network
  };
  // Whoever asks for the same model shares its download.  Errors: those of pull_target,
  // unavailable (offline), exhausted (too many wait).
  Result<Download> add(const std::string& model, const Wish& wish);
  std::optional<Download> find(int id) const;
  std::vector<Download> list() const;  // the latest last; those that ended long ago are forgotten
  // What came is kept.  Each of these: errors not_found, invalid (it is over).
  Status cancel(int id);
  // Until it is resumed, over restarts too.  Nothing happens to one that is paused, or that runs,
  // already.
  Status pause(int id);
  Status resume(int id);
  // Of one that waits: what runs is not interrupted.
  Status set_priority(int id, int priority);

  // Called some times a second while a download runs, and when it changes, without a lock.
  int observe(Observer observer);
  void forget(int observer);
  void forget_all();

 private:
  struct Job;
  using JobPointer = std::shared_ptr<Job>;

  void work(std::stop_token leaving);
  void run(const JobPointer& job, const std::stop_token& stop);
  Status steer(int id, const std::function<bool(Job& job)>& edit);
  JobPointer next();  // with the lock held
  Result<Download> enqueue(const std::string& model, const Wish& wish);
  void take_up();
  void keep();
  Json with_own(const Json& before) const;
  void take_name(const JobPointer& job, const Manifest& manifest);
  void note(const JobPointer& job, ModelEvent event, const std::string& detail = "");
  void change(const JobPointer& job, const std::function<void(Download&)>& edit);

  const LibraryFolders folders_;
  const Network network_;
  Lifecycles& lifecycles_;
  const std::function<void()> done_;
  mutable std::mutex mutex_;  // of what follows
  std::condition_variable_any woken_;
  std::map<int, JobPointer> jobs_;
  std::map<int, Observer> observers_;
  int next_id_ = 1, next_observer_ = 1;
  bool is_leaving_ = false;
  std::mutex keeping_;  // the file
  std::vector<std::jthread> threads_;
};

}  // namespace hearth
