// Grants: what a person's sign-in at a server of the Model Context Protocol has led to, in a file
// that nobody else may read.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "base/json.h"

namespace hearth::mcp {

struct Grant {
  std::string url;     // of the server it is for, and of no other
  std::string issuer;  // who gave it
  std::string token_url, client_id, client_secret, client_method;  // to have it renewed
  std::string access_token, refresh_token, scope, resource;
  std::int64_t expires_at = 0;  // seconds since 1970; 0: nobody said
};

// Used by several processes at once.
class Grants {
 public:
  // `path`: mode 0600; made with the first grant.
  explicit Grants(std::string path) : path_(std::move(path)) {}

  // Of the server with this name, as long as it is at the same address.  Errors: invalid (others
  // may read the file), io, corrupt.
  Result<std::optional<Grant>> find(const std::string& server, const std::string& url) const;
  Status keep(const std::string& server, const Grant& grant);
  // False: there was none.
  Result<bool> forget(const std::string& server);

 private:
  Result<Json> read() const;
  Status change(const std::string& server, const Grant* grant, bool& was_there);
  std::string path_;
};

}  // namespace hearth::mcp
