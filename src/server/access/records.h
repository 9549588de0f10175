// KeyRecord: what is kept of an API key, and the file that `hearth keys` manages.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/json.h"
#include "base/result.h"

namespace hearth::server {

// What a key may be used for; an endpoint takes keys that have one of its scopes.
enum class Scope : std::uint8_t {
  none = 0,         // no key is needed
  chat = 1,         // text: conversations, completions, tokens
  embed = 2,        // vectors of texts, ranking
  models = 4,       // which models there are
  collections = 8,  // documents, vector stores
  metrics = 16,     // the counters
  manage = 32,      // load, fetch and remove models; what every key used
  files = 9,        // chat or collections
  infer = 15,       // any of the first four
  any = 63
};
// "chat,embed": names with commas between; "infer" and "all" stand for several, "admin" is manage.
// nullopt: a name that is none.
std::optional<std::uint8_t> parse_scopes(std::string_view text);
std::vector<std::string> scope_names(std::uint8_t scopes);

constexpr std::int64_t standard_open_requests = 64;

// 0: no limit.  A minute is any sixty seconds, a day is one of UTC.
struct KeyLimits {
  std::int64_t requests_per_minute = 0, tokens_per_minute = 0;
  std::int64_t requests_per_day = 0, tokens_per_day = 0;
  std::int64_t open = standard_open_requests;  // in progress at once
};

struct KeyRecord {
  std::string id;            // public: names the key in lists, logs and usage
  std::string name;          // whose it is
  std::string salt, digest;  // hex; the digest is HMAC-SHA256 of the key by the salt
  std::uint8_t scopes = 0;
  KeyLimits limits;
  std::int64_t created = 0, expires = 0, revoked = 0;  // Unix time; 0: never

  bool is_usable(std::int64_t now) const { return !revoked && (expires == 0 || now < expires); }
};

// A new key: "hearth-<id>-<secret>", told once and never kept.
struct NewKey {
  std::string text;
  KeyRecord record;
};
NewKey make_key(std::string name, std::uint8_t scopes, const KeyLimits& limits,
                std::int64_t expires, std::int64_t now);
std::string digest_of_key(std::string_view salt, std::string_view key);
// The id in such a key; "" when it has not this form.
std::string_view id_of_key(std::string_view key);

// Without what could help to guess a key.
Json to_json(const KeyRecord& record);

// An absent file holds none.  Errors: invalid (others may read it), corrupt, io.
Result<std::vector<KeyRecord>> read_key_store(const std::string& path);
// Reads the file, changes it and writes it; alone, whoever else tries.
Status change_key_store(const std::string& path,
                        const std::function<Status(std::vector<KeyRecord>&)>& change);
// Errors: invalid: others may read the file.
Status check_private(const std::string& path);

}  // namespace hearth::server
