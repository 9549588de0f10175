// Whether the bytes on the disk are still those that were promised.
#pragma once

#include <functional>
#include <stop_token>
#include <string>
#include <vector>

#include "library/download.h"
#include "library/local_models.h"

namespace hearth {

struct VerifiedFile {
  std::string path, sha256;  // what it needs to be
  std::string problem;       // empty: it is right
};

struct VerifyHooks {
  std::stop_token stop;
  std::function<void(std::uint64_t bytes)> read;  // as it goes
};

// Every file of the model whose SHA-256 is known: in our store from model.json; in Hugging Face's
// cache and Ollama's store a file is named by it.  Empty: nothing is known.  Errors: io, cancelled.
Result<std::vector<VerifiedFile>> verify(const LocalModel& model, const VerifyHooks& hooks = {});

// Makes the model an unfinished download that lacks the wrong files only: pull() of what the
// manifest says gets those.  Errors: invalid (another program's), io, unavailable (it is being
// downloaded; offline).
Result<Manifest> prepare_repair(const LibraryFolders& folders, const Network& network,
                                const LocalModel& model, const std::vector<VerifiedFile>& files);

}  // namespace hearth
