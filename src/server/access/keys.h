// KeyRing: who may come in.  Keys are kept as digests and compared in constant time.
#pragma once

#include <atomic>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/guarded.h"
#include "base/store_files.h"
#include "http/message.h"
#include "http/secrets.h"
#include "server/access/records.h"

namespace hearth::server {

// Thread-safe.
class KeyRing {
 public:
  struct Files {
    std::string lines;  // server.api_key_file; empty: none
    // What `hearth keys` manages; read again when it changes, looked at once a second.  Empty:
    // none.
    std::string store;
  };
  KeyRing();  // without keys
  ~KeyRing();
  // Errors: io, invalid (with the line; or a file can be read by others), corrupt.
  static Result<std::unique_ptr<KeyRing>> open(Files files);

  // A key is needed.  Once there was one, it stays so, whatever happens to the files.
  bool is_needed() const;

  struct Verdict {
    std::shared_ptr<const KeyRecord> key;  // which one it was
    const char* refusal = nullptr;         // why not; nullptr: let in
    int status = 0;                        // of the refusal
  };
  // The key of `Authorization: Bearer` or `x-api-key`.  Without keys, everybody is let in.
  Verdict check(const http::Headers& headers, Scope scope);
  // By id; nullptr: there is none that could be used now.
  std::shared_ptr<const KeyRecord> find(std::string_view id) const;
  // Those of `hearth keys`.
  std::vector<std::shared_ptr<const KeyRecord>> records() const;

 private:
  struct Table;
  void look_again();

  Files files_;
  Guarded<std::shared_ptr<const Table>> table_;
  std::optional<FileIdentity> identity_;
  std::atomic<std::int64_t> next_look_{0};  // of the steady clock, in milliseconds
};

// One key to a line: the key itself, or "sha256:" and its digest in hex; after white space, the
// scopes it has (all when absent).  '#' begins a comment.
using LineKeys = std::vector<std::pair<http::Sha256, std::shared_ptr<const KeyRecord>>>;
Result<LineKeys> parse_key_lines(std::string_view text);

}  // namespace hearth::server
