// GraphPool: operator graphs in memory, those used last.
#pragma once

#include <chrono>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "base/files.h"
#include "graphs/executor.h"
#include "library/local_models.h"

namespace hearth::server {

constexpr std::size_t most_graphs = 4;

struct GraphLimits {
  std::chrono::milliseconds time{60'000};
  std::uint64_t memory_bytes = std::uint64_t{4} << 30;  // of what one run holds at once
};

// Thread-safe: runs of one graph take turns, and all share the threads.
class GraphPool {
 public:
  explicit GraphPool(int threads);  // 0: as many as there are cores to use
  ~GraphPool();

  // From memory, or from the file; method: as open_graph takes it.  Errors: those of open_graph.
  Result<std::shared_ptr<const graphs::Runner>> open(const LocalModel& model,
                                                     const std::string& method = "");
  // Errors: invalid, exhausted (time or memory), cancelled.
  Result<std::vector<graphs::Value>> run(
      const graphs::Runner& runner, const std::map<std::string, graphs::Value, std::less<>>& inputs,
      const GraphLimits& limits, std::stop_token stop);

 private:
  struct Entry {
    std::string path, method;
    FileIdentity identity;
    std::shared_ptr<const graphs::Runner> runner;
  };
  ThreadPool& threads();

  const int wanted_threads_;
  std::mutex mutex_;
  std::unique_ptr<ThreadPool> threads_;  // made with the first run
  std::vector<Entry> entries_;           // the one used last is last
};

}  // namespace hearth::server
