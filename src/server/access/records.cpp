#include "server/access/records.h"

#include <fmt/core.h>

#include <algorithm>
#include <chrono>
#include <filesystem>
#include <thread>

#include "base/bytes.h"
#include "base/disk.h"
#include "http/secrets.h"

namespace hearth::server {
namespace {

constexpr std::uint64_t max_file_bytes = 16 << 20;
constexpr std::string_view key_start = "hearth-";
constexpr std::size_t id_letters = 10, secret_letters = 40, salt_letters = 22;
constexpr int lock_tries = 100;
constexpr std::chrono::milliseconds lock_pause{50};

struct ScopeName {
  std::string_view name;
  Scope scope;
};
constexpr ScopeName single_scopes[] = {
    {"chat", Scope::chat},       {"embed", Scope::embed},
    {"models", Scope::models},   {"collections", Scope::collections},
    {"metrics", Scope::metrics}, {"admin", Scope::manage}};
constexpr ScopeName other_scopes[] = {
    {"manage", Scope::manage}, {"infer", Scope::infer}, {"all", Scope::any}};

struct LimitName {
  const char* name;
  std::int64_t KeyLimits::* value;
};
constexpr LimitName limit_names[] = {{"requests_per_minute", &KeyLimits::requests_per_minute},
                                     {"tokens_per_minute", &KeyLimits::tokens_per_minute},
                                     {"requests_per_day", &KeyLimits::requests_per_day},
                                     {"tokens_per_day", &KeyLimits::tokens_per_day},
                                     {"open", &KeyLimits::open}};

Json time_json(std::int64_t seconds) { return seconds ? Json(seconds) : Json(); }

Result<KeyRecord> read_record(const Json& json) {
  KeyRecord record;
  record.id = TRY(required<std::string>(json, "id"));
  record.name = TRY(required<std::string>(json, "name"));
  record.salt = TRY(required<std::string>(json, "salt"));
  record.digest = TRY(required<std::string>(json, "digest"));
  record.created = TRY(optional<std::int64_t>(json, "created", 0));
  record.expires = TRY(optional<std::int64_t>(json, "expires", 0));
  record.revoked = TRY(optional<std::int64_t>(json, "revoked", 0));
  const Json* scopes = json.find("scopes");
  if (!scopes || !scopes->is_array()) return Error(ErrorKind::corrupt, "'scopes': needs a list");
  for (const Json& name : scopes->as_array()) {
    const auto scope = name.is_string() ? parse_scopes(name.as_string()) : std::nullopt;
    if (!scope) return Error(ErrorKind::corrupt, "'scopes': holds an unknown one");
    record.scopes |= *scope;
  }
  if (const Json* limits = json.find("limits"))
    for (const LimitName& row : limit_names)
      record.limits.*row.value =
          TRY(optional<std::int64_t>(*limits, row.name, record.limits.*row.value));
  return record;
}

Result<std::vector<KeyRecord>> read_records(std::string_view text) {
  const Json json = TRY(parse_json(text));
  const Json* keys = json.find("keys");
  if (!keys || !keys->is_array()) return Error(ErrorKind::corrupt, "'keys': needs a list");
  std::vector<KeyRecord> records;
  for (const Json& item : keys->as_array()) records.push_back(TRY(read_record(item)));
  return records;
}

std::string write_records(const std::vector<KeyRecord>& records) {
  Json keys = Json::array();
  for (const KeyRecord& record : records) {
    Json json = to_json(record);
    json.set("salt", record.salt);
    json.set("digest", record.digest);
    keys.push_back(std::move(json));
  }
  return write_json(Json::object({{"keys", std::move(keys)}}), {.indent = 1}) + "\n";
}

}  // namespace

std::optional<std::uint8_t> parse_scopes(std::string_view text) {
  unsigned scopes = 0;
  while (!text.empty()) {
    const std::string_view name = text.substr(0, text.find(','));
    text.remove_prefix(std::min(text.size(), name.size() + 1));
    unsigned found = 0;
    for (const ScopeName& row : single_scopes)
      if (row.name == name) found = static_cast<unsigned>(row.scope);
    for (const ScopeName& row : other_scopes)
      if (row.name == name) found = static_cast<unsigned>(row.scope);
    if (found == 0) return std::nullopt;
    scopes |= found;
  }
  return static_cast<std::uint8_t>(scopes);
}

std::vector<std::string> scope_names(std::uint8_t scopes) {
  std::vector<std::string> names;
  for (const ScopeName& row : single_scopes)
    if (scopes & static_cast<unsigned>(row.scope)) names.emplace_back(row.name);
  return names;
}

std::string digest_of_key(std::string_view salt, std::string_view key) {
  return http::hex_text(http::hmac_sha256(salt, key));
}

NewKey make_key(std::string name, std::uint8_t scopes, const KeyLimits& limits,
                std::int64_t expires, std::int64_t now) {
  NewKey made;
  KeyRecord& record = made.record;
  record.id = http::random_letters(id_letters);
  record.name = std::move(name);
  record.salt = http::random_letters(salt_letters);
  record.scopes = scopes;
  record.limits = limits;
  record.created = now;
  record.expires = expires;
  made.text = fmt::format("{}{}-{}", key_start, record.id, http::random_letters(secret_letters));
  record.digest = digest_of_key(record.salt, made.text);
  return made;
}

std::string_view id_of_key(std::string_view key) {
  if (!key.starts_with(key_start)) return "";
  key.remove_prefix(key_start.size());
  const std::size_t dash = key.find('-');
  return dash == id_letters && key.size() == id_letters + 1 + secret_letters ? key.substr(0, dash)
                                                                             : "";
}

Json to_json(const KeyRecord& record) {
  Json scopes = Json::array();
  for (const std::string& name : scope_names(record.scopes)) scopes.push_back(name);
  Json limits = Json::object();
  for (const LimitName& row : limit_names)
    if (record.limits.*row.value) limits.set(row.name, record.limits.*row.value);
  return Json::object({{"id", record.id},
                       {"name", record.name},
                       {"scopes", std::move(scopes)},
                       {"limits", std::move(limits)},
                       {"created", record.created},
                       {"expires", time_json(record.expires)},
                       {"revoked", time_json(record.revoked)}});
}

Status check_private(const std::string& path) {
  std::error_code error;
  const auto status = std::filesystem::status(path, error);
  using std::filesystem::perms;
  constexpr perms others = perms::group_all | perms::others_all;
  if (!error && status.type() != std::filesystem::file_type::not_found &&
      (status.permissions() & others) != perms::none)
    return Error(ErrorKind::invalid,
                 fmt::format("'{}': others may read it; needs mode 0600", path));
  return Done{};
}

Result<std::vector<KeyRecord>> read_key_store(const std::string& path) {
  if (!is_file(path)) return std::vector<KeyRecord>();
  TRY(check_private(path));
  const std::string text = TRY(read_file(path, max_file_bytes));
  auto records = read_records(text);
  if (!records) return std::move(records).error().within(path);
  return records;
}

Status change_key_store(const std::string& path,
                        const std::function<Status(std::vector<KeyRecord>&)>& change) {
  const std::shared_ptr<Files> files = system_files();
  TRY(files->make_folder(parent_folder(path)));
  auto lock = files->lock(path + ".lock");
  for (int i = 0; i < lock_tries && !lock; ++i) {
    std::this_thread::sleep_for(lock_pause);
    lock = files->lock(path + ".lock");
  }
  if (!lock) return lock.error();
  std::vector<KeyRecord> records = TRY(read_key_store(path));
  TRY(change(records));
  return replace_file(path, bytes_of(write_records(records)));
}

}  // namespace hearth::server
