// Pulling: a model from a hub into our store.
#pragma once

#include <cstdint>
#include <functional>
#include <stop_token>
#include <string>
#include <vector>

#include "library/folders.h"
#include "library/hub.h"
#include "library/reference.h"
#include "library/store.h"

namespace hearth {

// What a name means to the hubs.
struct PullTarget {
  Reference remote;
  std::string name;  // of the catalog; empty: none
};
// Errors: invalid (nothing to download: it is a file, or part of the program), not_found.
Result<PullTarget> pull_target(const std::string& text, const LibraryFolders& folders);

struct FileProgress {
  std::string name;
  std::uint64_t bytes = 0, total = 0;  // total 0: not known
};

struct PullProgress {
  std::uint64_t bytes = 0, total = 0;  // total 0: not known
  double bytes_per_second = 0;         // lately; 0: not known yet
  std::size_t files = 0;               // that are fetched
  std::vector<FileProgress> each;      // of them; empty while another process fetches them
  bool is_waiting = false;  // another process fetches the same model; these are its bytes

  double seconds_left() const;  // negative: not known
};

struct PullHooks {
  std::stop_token stop;
  std::function<void(const PullProgress& progress)>
      progress;                                         // some times a second; caller's thread
  std::function<void(const std::string& text)> remark;  // from any thread, one at a time
  std::uint64_t most_bytes = ~0ull;  // a larger model is refused before anything is fetched
};

struct Pulled {
  Manifest manifest;
  std::string folder;
  bool was_here = false;  // with the same content already
};

// `name`: of the catalog, kept with the model; empty: none.
// However it ends, and whenever the process is killed, the store holds whole, verified models only,
// and a later pull goes on where this one ended.  Two processes share one download.
// Errors: those of plan_download and download; unavailable (offline), exhausted (disk, or
// larger than asked for).
Result<Pulled> pull(const Reference& reference, const std::string& name,
                    const LibraryFolders& folders, const Network& network, const PullHooks& hooks);

}  // namespace hearth
