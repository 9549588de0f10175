// Whether a model is what was promised: its header, its tensors, its bytes, and that it runs.
#pragma once

#include <functional>
#include <stop_token>
#include <string>
#include <vector>

#include "library/download.h"
#include "library/library.h"
#include "library/local_models.h"

namespace hearth {

// What is asked of a model.
enum class VerifyLevel {
  header,    // it opens and says what it is
  tensors,   // all that its architecture needs is there, in shape, with its tokenizer; instantly
  checksum,  // its bytes are those that were promised
  run,       // all of these, and it makes a token, or a vector, of ordinary numbers
};
std::string_view name_of(VerifyLevel level);
// Errors: invalid (the levels there are).
Result<VerifyLevel> verify_level(std::string_view name);

struct VerifiedFile {
  std::string path, sha256;  // what it needs to be; where nothing says so, what it is
  std::string problem;       // empty: it is right
  // Who says what it needs to be: whoever it came from; we, who read it before; nobody.
  enum class Promise { source, memory, none } promise = Promise::source;
};

struct VerifyHooks {
  std::stop_token stop;
  std::function<void(std::uint64_t bytes)> read;  // as it goes
};

// Every file of the model.  In our store model.json says its SHA-256; in Hugging Face's cache and
// Ollama's store a file is named by it; of others it is remembered from now on, so that damage is
// seen the next time.  A model with wrong files is set aside (known_sums.h) until they change or
// are found right.  Errors: io, cancelled.
Result<std::vector<VerifiedFile>> verify(const LocalModel& model, const LibraryFolders& folders,
                                         const VerifyHooks& hooks = {});

struct Verdict {
  std::vector<VerifiedFile> files;  // where checksums were asked for
  // What is wrong besides, and at which level; empty: nothing.
  std::string problem;
  VerifyLevel failed_at = VerifyLevel::header;

  bool has_wrong_files() const;
  bool has_promise() const;  // somebody says what a file of it needs to be
  bool is_right() const { return problem.empty() && !has_wrong_files(); }
  // What a person can do about it; empty: nothing is wrong.
  std::string advice(const LocalModel& model) const;
};

// `load` brings the model into memory when it is to run.  Errors: io, cancelled.
Result<Verdict> verify(const LocalModel& model, VerifyLevel level, const LibraryFolders& folders,
                       const VerifyHooks& hooks, const std::function<Result<Lease>()>& load);

// Makes the model an unfinished download that lacks the wrong files only: pull() of what the
// manifest says gets those.  Errors: invalid (another program's), io, unavailable (it is being
// downloaded; offline).
Result<Manifest> prepare_repair(const LibraryFolders& folders, const Network& network,
                                const LocalModel& model, const std::vector<VerifiedFile>& files);

}  // namespace hearth
