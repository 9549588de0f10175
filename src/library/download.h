// Files from the network: resumed, retried and verified.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <stop_token>
#include <string>
#include <vector>

#include "base/result.h"
#include "library/rate_limit.h"
#include "library/store.h"

namespace hearth {

// How the network is used; made by standard_network() from environment and settings.
struct Network {
  std::string hub = "https://huggingface.co";
  std::string ollama = "https://registry.ollama.ai";
  std::string hub_token;  // goes to `hub` only
  // Addresses of the same paths as `hub`'s, tried in turn when it fails.
  std::vector<std::string> mirrors;
  std::shared_ptr<RateLimit> limit;  // none: as fast as it goes
  std::string offline;               // not empty: nothing is fetched, and this is why
  int stall_seconds = 30;            // a connection as slow as stopped for so long is given up
  int parallel_files = 4;
  int connections = 3;  // for one large file
  int attempts = 6;     // in a row without a byte of progress
  // Of a repository that has several and a reference that names none: this one, where it takes no
  // more than so many bytes; empty: the usual one.
  std::string quantisation;
  std::uint64_t quantisation_bytes = ~0ull;
  // Addresses of this machine and of its private networks are not asked, whoever names them.
  bool only_public = false;
};

struct RemoteFile {
  std::string name;  // path in the model's folder
  std::string url;
  std::string bearer;
  std::uint64_t bytes = 0;  // 0: not known before
  std::string sha256;       // lower-case hex; empty: not known before
  std::string git_blob;     // Git's SHA-1 of a file kept in Git itself; empty: not known
};

struct DownloadHooks {
  std::stop_token stop;
  std::function<void(std::int64_t bytes)> received;     // negative: bytes that were thrown away
  std::function<void(const std::string& text)> remark;  // why it waits
};

// Gets the file into `folder`, going on where an earlier attempt, of this process or another,
// ended. The name appears when size and hash are right.  Only one caller may work on a folder at a
// time. Errors: not_found, invalid (401, 403), unavailable (after all attempts), corrupt (not the
// file that was promised), exhausted (disk), io, cancelled.
Result<StoredFile> download(const RemoteFile& file, const std::string& folder,
                            const Network& network, const DownloadHooks& hooks);

// How much of the file lies in `folder` already.
std::uint64_t bytes_here(const RemoteFile& file, const std::string& folder);
// Lets a whole file in `folder`, known to be right, count as downloaded.
Status keep_for_download(const std::string& folder, const std::string& name,
                         const std::string& sha256);
// Forgets what only downloads need.
Status remove_download_state(const std::string& folder);

// A short text, with the same retries.  `refusal` may put an answer of 400 and above in better
// words; nothing: the usual ones.
struct TextRequest {
  std::string url, bearer;
  std::vector<std::string> headers;
  std::uint64_t max_bytes = 32u << 20;
  std::function<std::optional<Error>(int status, const std::string& error_code)> refusal;
};
Result<std::string> fetch_text(const TextRequest& request, const Network& network,
                               const DownloadHooks& hooks);

}  // namespace hearth
