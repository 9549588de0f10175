// Stretches: a large file over several connections.  One caller fetches it from its beginning; the
// others fetch stretches ahead of it, each into a file of its own, which the caller takes over when
// it gets there.
#pragma once

#include <condition_variable>
#include <cstdint>
#include <functional>
#include <mutex>
#include <span>
#include <stop_token>
#include <string>
#include <thread>
#include <vector>

#include "base/result.h"
#include "library/download.h"

namespace hearth {

constexpr std::uint64_t stretch_bytes = 64u << 20;

// For files of known size and hash: nothing else tells that the stretches belong together.
class Stretches {
 public:
  // `path`: of the files ahead, without their offset.  Begins at once, behind byte `from`.
  Stretches(const RemoteFile& file, std::string path, std::uint64_t from, const Network& network,
            const DownloadHooks& hooks);
  ~Stretches();  // stops; what came is kept for the next attempt

  // The end of what the caller, at byte `from`, fetches itself; `from`: another connection does.
  std::uint64_t claim(std::uint64_t from);

  using Sink = std::function<Status(std::span<const std::byte> bytes)>;
  // The stretch at `from`, when it has come; false: it did not, the caller may claim it.
  Result<bool> take(std::uint64_t from, const Sink& sink);

  static Status forget(const std::string& path, std::uint64_t bytes);  // what lies ahead

 private:
  enum class State : std::uint8_t { open, fetching, here, taken };

  void work(std::stop_token stop);
  bool fetch(std::size_t stretch, std::stop_token stop);
  std::uint64_t end_of(std::size_t stretch) const;

  const RemoteFile& file_;
  const std::string path_;
  const Network& network_;
  const DownloadHooks& hooks_;
  std::mutex mutex_;  // of what follows
  std::condition_variable_any changed_;
  std::vector<State> states_;
  std::size_t head_;  // the caller's stretch
  std::vector<std::jthread> threads_;
};

}  // namespace hearth
