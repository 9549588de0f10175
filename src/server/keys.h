// API keys: kept as digests, compared in constant time.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "http/message.h"
#include "http/secrets.h"

namespace hearth::server {

// What a key may be used for.
enum class Scope : std::uint8_t { none = 0, infer = 1, metrics = 2, manage = 4 };

// Immutable; thread-safe.
class KeyRing {
 public:
  // One key to a line: the key itself, or "sha256:" and its digest in hex; after white space, the
  // scopes it has ("infer", "metrics", "manage", with commas between; all when absent).  '#' begins
  // a comment.  Errors: io, invalid (with the line; or the file can be read by others).
  static Result<KeyRing> load(const std::string& file);
  static Result<KeyRing> parse(std::string_view text);

  bool is_empty() const { return keys_.empty(); }
  std::size_t size() const { return keys_.size(); }

  struct Verdict {
    std::optional<std::size_t> key;  // which one it was
    const char* refusal = nullptr;   // why not; nullptr: let in
    int status = 0;                  // of the refusal
  };
  // The key of `Authorization: Bearer` or `x-api-key`.  Without keys, everybody is let in.
  Verdict check(const http::Headers& headers, Scope scope) const;
  // The key's own label, which tells nothing about it: separates what its users share in caches.
  std::string label(std::size_t key) const;

 private:
  struct Key {
    http::Sha256 digest;
    std::uint8_t scopes;
  };
  std::vector<Key> keys_;
};

}  // namespace hearth::server
