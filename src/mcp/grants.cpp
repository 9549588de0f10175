#include "mcp/grants.h"

#include <fmt/core.h>
#include <sys/stat.h>
#include <unistd.h>

#include <chrono>
#include <thread>

#include "base/bytes.h"
#include "base/files.h"
#include "base/store_files.h"
#include "mcp/content.h"

namespace hearth::mcp {
namespace {

constexpr std::uint64_t max_file_bytes = 1 << 20;
constexpr std::chrono::milliseconds lock_patience{5000}, lock_step{20};

Grant grant_of(const Json& json) {
  Grant grant{.url = text_in(json, "url"),
              .issuer = text_in(json, "issuer"),
              .token_url = text_in(json, "token_url"),
              .client_id = text_in(json, "client_id"),
              .client_secret = text_in(json, "client_secret"),
              .client_method = text_in(json, "client_method"),
              .access_token = text_in(json, "access_token"),
              .refresh_token = text_in(json, "refresh_token"),
              .scope = text_in(json, "scope"),
              .resource = text_in(json, "resource")};
  const Json* expires = json.find("expires_at");
  if (expires && expires->is_integer()) grant.expires_at = expires->as_integer();
  return grant;
}

Json json_of(const Grant& grant) {
  return Json::object({{"url", grant.url},
                       {"issuer", grant.issuer},
                       {"token_url", grant.token_url},
                       {"client_id", grant.client_id},
                       {"client_secret", grant.client_secret},
                       {"client_method", grant.client_method},
                       {"access_token", grant.access_token},
                       {"refresh_token", grant.refresh_token},
                       {"scope", grant.scope},
                       {"resource", grant.resource},
                       {"expires_at", grant.expires_at}});
}

Result<FileLock> take_lock(const std::string& path) {
  const auto deadline = std::chrono::steady_clock::now() + lock_patience;
  for (;;) {
    if (auto lock = TRY(FileLock::try_take(path))) return std::move(*lock);
    if (std::chrono::steady_clock::now() > deadline)
      return Error(ErrorKind::unavailable, fmt::format("{}: another program holds it", path));
    std::this_thread::sleep_for(lock_step);
  }
}

}  // namespace

Result<Json> Grants::read() const {
  struct stat facts{};
  if (::stat(path_.c_str(), &facts) != 0) return Json::object();
  if (facts.st_uid != ::geteuid() || (facts.st_mode & 077) != 0)
    return Error(
        ErrorKind::invalid,
        fmt::format("{}: holds tokens and must be yours alone; `chmod 600` mends that", path_));
  const std::string text = TRY(read_file(path_, max_file_bytes));
  Json all = TRY(parse_json(text));
  if (!all.is_object()) return Error(ErrorKind::corrupt, fmt::format("{}: no object", path_));
  return all;
}

Result<std::optional<Grant>> Grants::find(const std::string& server, const std::string& url) const {
  const Json all = TRY(read());
  const Json* found = all.find(server);
  if (!found || !found->is_object()) return std::optional<Grant>();
  Grant grant = grant_of(*found);
  if (grant.url != url || grant.access_token.empty()) return std::optional<Grant>();
  return std::optional(std::move(grant));
}

Status Grants::change(const std::string& server, const Grant* grant, bool& was_there) {
  const FileLock lock = TRY(take_lock(path_ + ".lock"));
  const Json all = TRY(read());
  Json changed = Json::object();
  was_there = false;
  for (const auto& [name, value] : all.as_object()) {
    if (name == server)
      was_there = true;
    else
      changed.set(name, value);
  }
  if (grant) changed.set(server, json_of(*grant));
  const std::string text = write_json(changed);
  return replace_file(path_, bytes_of(text));
}

Status Grants::keep(const std::string& server, const Grant& grant) {
  bool was_there = false;
  return change(server, &grant, was_there);
}

Result<bool> Grants::forget(const std::string& server) {
  const Json all = TRY(read());
  if (!all.find(server)) return false;
  bool was_there = false;
  TRY(change(server, nullptr, was_there));
  return was_there;
}

}  // namespace hearth::mcp
