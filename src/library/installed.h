// The models that are here under the names that clients write, for a process that lives long.
#pragma once

#include <atomic>
#include <chrono>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/guarded.h"
#include "base/result.h"
#include "library/aliases.h"
#include "library/folders.h"
#include "library/local_models.h"

namespace hearth {

// The one that the name means: any form of reference, with or without ":latest", "ollama:" or
// "hf:", an alias, a name of the catalog.  Paths only of what is in the list: a client names no
// files of this machine.  nullptr: none.
const LocalModel* find_by_name(const std::vector<LocalModel>& models, std::string_view name,
                               const LibraryFolders& folders);

// Thread-safe.
class InstalledModels {
 public:
  using List = std::shared_ptr<const std::vector<LocalModel>>;

  explicit InstalledModels(LibraryFolders folders);

  // The built-in ones first, each described.  Looks at the disk again when that was a while ago.
  List list();
  // As find_by_name; looks again before it says no.  Errors: not_found, with the nearest name and
  // how to get it.
  Result<LocalModel> find(const std::string& name);
  // What the name says for requests that do not; empty where it is no alias.
  Preset preset(std::string_view name) const;
  // A file of the user's own, wherever it is: it belongs to the list from now on.
  void allow(LocalModel model);
  // The disk holds something else now.
  void note_change();
  // Somebody calls note_change() whenever it does: a list stays good until then.
  void trust_notes(bool is_told) { is_told_ = is_told; }

  const LibraryFolders& folders() const { return folders_; }

 private:
  List look();

  std::shared_ptr<const Aliases> aliases() const;

  const LibraryFolders folders_;
  const std::vector<LocalModel> builtin_;
  std::vector<LocalModel> allowed_;
  std::atomic<bool> is_told_ = false;
  std::mutex mutex_;  // held while looking: others want the same answer
  List list_;
  struct KnownAliases {
    std::optional<FileIdentity> file;  // when they were read
    std::shared_ptr<const Aliases> aliases = std::make_shared<Aliases>();
  };
  mutable Guarded<KnownAliases> known_aliases_;  // every request asks for its name's preset
  std::chrono::steady_clock::time_point looked_;
};

}  // namespace hearth
