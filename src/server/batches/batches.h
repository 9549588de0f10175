// Batches: kept on disk, worked off while nobody else wants the models, gone on with after a
// restart.
#pragma once

#include <condition_variable>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <set>
#include <string>
#include <thread>
#include <vector>

#include "server/batches/batch.h"
#include "server/service.h"

namespace hearth::server {

// Thread-safe.  Of each tenant's batches only that tenant sees any.
class Batches {
 public:
  // folder: of all batches.  Begins at once with what was not finished.
  Batches(Service& service, std::string folder);
  ~Batches();
  Batches(const Batches&) = delete;
  Batches& operator=(const Batches&) = delete;

  // Takes a batch with its input, one request a line.
  Result<Batch> add(Batch batch, std::string_view input);
  std::optional<Batch> find(std::string_view id, std::string_view tenant) const;
  // Oldest first; those whose id begins so.
  std::vector<Batch> list(std::string_view tenant, std::string_view prefix) const;
  // As it is from now on; nothing: there is none.
  Result<std::optional<Batch>> cancel(std::string_view id, std::string_view tenant);
  Status remove(std::string_view id);
  // The lines of the answers so far: {"custom_id", "response"} or {"custom_id", "error"}.
  Result<std::string> answers(std::string_view id) const;

 private:
  class LineResponder;
  struct Answer {
    std::size_t line;
    http::Response response;
  };
  struct Work;

  void run(const std::stop_token& leaving);
  std::optional<Batch> next() const;
  void work_on(Batch batch, const std::stop_token& leaving);
  void begin(Batch& batch, BatchInput& input);
  void answer_lines(Work& work, const std::stop_token& leaving);
  void ask(Work& work, std::size_t line);
  void take(Work& work, const Answer& answer);
  bool has_room(const Work& work) const;
  void finish(Work& work, BatchStatus end);
  bool is_cancelled(const std::string& id) const;
  void save(const Batch& batch);
  std::string path(std::string_view id, std::string_view end) const;

  Service& service_;
  const std::string folder_;
  mutable std::mutex mutex_;
  std::condition_variable_any woken_;
  std::map<std::string, Batch, std::less<>> batches_;
  std::vector<Answer> answers_;  // that have come, of the batch that is worked on
  std::jthread worker_;
};

// The batches of the service, or why there are none.
Checked<Batches*> batches_of(Service& service);

}  // namespace hearth::server
