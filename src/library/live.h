// LiveLibrary: the library of a server.  Any installed model is loaded when it is asked for, and
// models come and go while it runs.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "library/downloads.h"
#include "library/installed.h"
#include "library/library.h"
#include "library/lifecycle.h"

namespace hearth {

class ShelfWatch;

// By name.
struct LibraryNews {
  std::vector<std::string> came, left;
};

// Thread-safe: its parts are.
class LiveLibrary {
 public:
  // Errors: those of Library::create.
  static Result<std::unique_ptr<LiveLibrary>> create(LibraryOptions options,
                                                     const Network& network);
  ~LiveLibrary();

  ModelPool& pool() { return library->pool(); }
  // Out of our store and out of memory.  Errors: invalid (another program's, or the program's own),
  // not_found, io.
  Status remove(const std::string& name);

  // From now on until stop_watching(): looks at the folders when something happens in them, and
  // tells what came and left, from a thread of its own.
  void watch(std::function<void(const LibraryNews& news)> tell);
  void stop_watching();

  Lifecycles lifecycles;
  InstalledModels installed;
  std::unique_ptr<Library> library;
  std::unique_ptr<DownloadQueue> downloads;

 private:
  LiveLibrary(const LibraryFolders& folders, const Network& network);
  Status repair(const LocalModel& model, std::stop_token stop);
  void note(const std::string& name, ModelEvent event, double share);
  void note_arrival(const std::string& name);

  const Network network_;
  std::unique_ptr<ShelfWatch> watch_;
};

// Why `hearth rm` and the server do not remove this model; nothing: they may.
std::optional<Error> why_not_ours(const LocalModel& model);

}  // namespace hearth
