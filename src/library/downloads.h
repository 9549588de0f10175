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

#include "base/result.h"
#include "library/lifecycle.h"
#include "library/pull.h"

namespace hearth {

struct Download {
  enum class State { queued, running, done, failed, cancelled } state = State::queued;
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

  bool is_over() const { return state > State::running; }
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

  // Whoever asks for the same model shares its download.  Errors: those of pull_target,
  // unavailable (offline), exhausted (too many wait).
  Result<Download> add(const std::string& model, int priority = 0);
  std::optional<Download> find(int id) const;
  std::vector<Download> list() const;  // the latest last; those that ended long ago are forgotten
  // Errors: not_found, invalid (it is over).
  Status cancel(int id);

  // Called some times a second while a download runs, and when it changes, without a lock.
  int observe(Observer observer);
  void forget(int observer);
  void forget_all();

 private:
  struct Job;
  using JobPointer = std::shared_ptr<Job>;

  void work(std::stop_token leaving);
  void run(const JobPointer& job);
  JobPointer next();  // with the lock held
  Result<Download> enqueue(const std::string& model, int priority);
  void take_up();
  void keep();
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
