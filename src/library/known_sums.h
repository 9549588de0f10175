// What the bytes of files were when all of them were last read: damage that nothing wrote is seen,
// and models known to be damaged are left alone.
#pragma once

#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "base/store_files.h"
#include "library/folders.h"
#include "library/local_models.h"

namespace hearth {

struct KnownSum {
  FileIdentity identity;  // then
  std::string sha256;     // lower-case hex; empty: it could not be read
  std::string problem;    // it is not what was promised; empty: it is, or nothing was
};
using KnownSums = std::map<std::string, KnownSum, std::less<>>;  // by path

// Empty where there are none, or none that can be read.
KnownSums read_known_sums(const LibraryFolders& folders);
// Adds `news` to what is known, and forgets what is known of files that are gone.  Errors: io.
Status remember_sums(const LibraryFolders& folders, const KnownSums& news);

bool is_sha256(std::string_view text);  // lower-case hex
// The SHA-256 in the name of the file that `path` leads to, as Hugging Face's cache and Ollama's
// store have it: "<hash>" or "sha256-<hash>".  Empty: none.
std::string promised_by_name(const std::string& path);

// One content, which may lie on this machine more than once; pointers into the list.
struct ModelCopies {
  const LocalModel* model;                // ours, if one of them is
  std::vector<const LocalModel*> others;  // with a file of the same sum
};
// In the order of the list.
std::vector<ModelCopies> find_copies(const std::vector<LocalModel>& models, const KnownSums& sums);

// Why the model is set aside: a file of it was found damaged, and is still the same.
std::optional<Error> damage_of(const LocalModel& model, const KnownSums& sums);

}  // namespace hearth
