#include "server/access/keys.h"

#include <fmt/core.h>

#include <algorithm>
#include <chrono>

#include "base/ascii.h"
#include "base/files.h"
#include "base/log.h"

namespace hearth::server {
namespace {

constexpr std::uint64_t max_file_bytes = 1 << 20;
constexpr std::size_t min_key_bytes = 16, max_key_bytes = 512;
constexpr std::size_t max_keys = 4096;
constexpr std::int64_t look_every_ms = 1000;
constexpr std::string_view blank = " \t\r";

std::string_view next_word(std::string_view& line) {
  line.remove_prefix(std::min(line.find_first_not_of(blank), line.size()));
  const std::string_view word = line.substr(0, line.find_first_of(blank));
  line.remove_prefix(word.size());
  return word;
}

int hex_digit(char c) {
  constexpr std::string_view digits = "0123456789abcdef";
  const std::size_t place = digits.find(c);
  return place == std::string_view::npos ? -1 : static_cast<int>(place);
}

std::optional<http::Sha256> parse_digest(std::string_view hex) {
  http::Sha256 digest;
  if (hex.size() != 2 * digest.size()) return std::nullopt;
  for (std::size_t i = 0; i < digest.size(); ++i) {
    const int high = hex_digit(hex[2 * i]), low = hex_digit(hex[2 * i + 1]);
    if (high < 0 || low < 0) return std::nullopt;
    digest[i] = static_cast<std::uint8_t>(high * 16 + low);
  }
  return digest;
}

// The key that a request carries; "" when it carries none.  nullopt: two that differ.
std::optional<std::string> presented_key(const http::Headers& headers) {
  if (http::count_headers(headers, "Authorization") > 1 ||
      http::count_headers(headers, "x-api-key") > 1)
    return std::nullopt;
  std::string bearer, plain;
  if (const std::string* value = http::find_header(headers, "Authorization")) {
    std::string_view rest = *value;
    if (equal_ignoring_case(next_word(rest), "bearer")) bearer = next_word(rest);
  }
  if (const std::string* value = http::find_header(headers, "x-api-key")) plain = *value;
  if (!bearer.empty() && !plain.empty() && bearer != plain) return std::nullopt;
  return bearer.empty() ? plain : bearer;
}

std::int64_t steady_ms() {
  using namespace std::chrono;
  return duration_cast<milliseconds>(steady_clock::now().time_since_epoch()).count();
}

std::int64_t unix_now() {
  using namespace std::chrono;
  return duration_cast<seconds>(system_clock::now().time_since_epoch()).count();
}

// Names the key, and tells nothing about it.
std::string id_of_digest(const http::Sha256& digest) {
  const http::Sha256 again =
      http::sha256({reinterpret_cast<const char*>(digest.data()), digest.size()});
  return "file-" + http::hex_text(again).substr(0, 10);
}

}  // namespace

struct KeyRing::Table {
  LineKeys lines;
  std::map<std::string, std::shared_ptr<const KeyRecord>, std::less<>> records;  // by id
  bool is_needed = false;

  void add(KeyRecord record) {
    auto kept = std::make_shared<const KeyRecord>(std::move(record));
    records[kept->id] = kept;
  }
};

Result<LineKeys> parse_key_lines(std::string_view text) {
  LineKeys keys;
  for (int number = 1; !text.empty(); ++number) {
    std::string_view line = take_line(text);
    line = line.substr(0, line.find('#'));
    const std::string_view word = next_word(line);
    if (word.empty()) continue;
    const std::string_view names = next_word(line);
    const auto scopes = parse_scopes(names.empty() ? "all" : names);
    const bool is_digest = word.starts_with("sha256:");
    const auto digest = is_digest ? parse_digest(word.substr(7)) : http::sha256(word);
    if (!digest || !scopes || !next_word(line).empty())
      return Error(ErrorKind::invalid,
                   fmt::format("line {}: needs a key or sha256:DIGEST, then scopes", number));
    if (!is_digest && (word.size() < min_key_bytes || word.size() > max_key_bytes))
      return Error(ErrorKind::invalid,
                   fmt::format("line {}: a key of {} characters: needs {} to {}", number,
                               word.size(), min_key_bytes, max_key_bytes));
    if (keys.size() == max_keys)
      return Error(ErrorKind::invalid, fmt::format("more than {} keys", max_keys));
    KeyRecord record;
    record.id = id_of_digest(*digest);
    record.name = fmt::format("line {}", number);
    record.scopes = *scopes;
    keys.emplace_back(*digest, std::make_shared<const KeyRecord>(std::move(record)));
  }
  if (keys.empty()) return Error(ErrorKind::invalid, "holds no key");
  return keys;
}

KeyRing::KeyRing() : table_(std::make_shared<const Table>()) {}
KeyRing::~KeyRing() = default;

Result<std::unique_ptr<KeyRing>> KeyRing::open(Files files) {
  auto ring = std::make_unique<KeyRing>();
  auto table = std::make_shared<Table>();
  if (!files.lines.empty()) {
    TRY(check_private(files.lines));
    const std::string text = TRY(read_file(files.lines, max_file_bytes));
    auto keys = parse_key_lines(text);
    if (!keys) return std::move(keys).error().within(files.lines);
    table->lines = std::move(*keys);
  }
  if (!files.store.empty()) {
    ring->identity_ = file_identity(files.store);
    for (KeyRecord& record : TRY(read_key_store(files.store))) table->add(std::move(record));
  }
  table->is_needed = !table->lines.empty() || !table->records.empty();
  ring->files_ = std::move(files);
  ring->table_.with([&](auto& held) { held = std::move(table); });
  return ring;
}

bool KeyRing::is_needed() const {
  return table_.with([](const auto& table) { return table->is_needed; });
}

std::shared_ptr<const KeyRecord> KeyRing::find(std::string_view id) const {
  const auto table = table_.with([](const auto& held) { return held; });
  std::shared_ptr<const KeyRecord> found;
  if (const auto record = table->records.find(id); record != table->records.end())
    found = record->second;
  for (const auto& [digest, record] : table->lines)
    if (record->id == id) found = record;
  return found && found->is_usable(unix_now()) ? found : nullptr;
}

std::vector<std::shared_ptr<const KeyRecord>> KeyRing::records() const {
  std::vector<std::shared_ptr<const KeyRecord>> all;
  const auto table = table_.with([](const auto& held) { return held; });
  for (const auto& [id, record] : table->records) all.push_back(record);
  return all;
}

// What one thread found to have changed, the others need not look at.
void KeyRing::look_again() {
  if (files_.store.empty()) return;
  const std::int64_t now = steady_ms();
  std::int64_t next = next_look_;
  if (now < next || !next_look_.compare_exchange_strong(next, now + look_every_ms)) return;
  table_.with([&](std::shared_ptr<const Table>& table) {
    const auto identity = file_identity(files_.store);
    if (identity == identity_) return;
    identity_ = identity;
    auto records = read_key_store(files_.store);
    if (!records) {
      log_warning("keys are as they were error='{}'", records.error().message());
      return;
    }
    auto fresh = std::make_shared<Table>();
    fresh->lines = table->lines;
    for (KeyRecord& record : *records) fresh->add(std::move(record));
    fresh->is_needed = table->is_needed || !fresh->records.empty();
    table = std::move(fresh);
  });
}

KeyRing::Verdict KeyRing::check(const http::Headers& headers, Scope scope) {
  look_again();
  const auto table = table_.with([](const auto& held) { return held; });
  if (!table->is_needed || scope == Scope::none) return {};
  const auto presented = presented_key(headers);
  if (!presented) return {{}, "the request carries two different API keys", 401};
  if (presented->empty())
    return {{}, "an API key is needed: Authorization: Bearer KEY, or x-api-key: KEY", 401};
  std::shared_ptr<const KeyRecord> found;
  if (const auto record = table->records.find(id_of_key(*presented));
      record != table->records.end()) {
    const auto digest = parse_digest(record->second->digest);
    if (digest &&
        http::equal_in_constant_time(*digest, http::hmac_sha256(record->second->salt, *presented)))
      found = record->second;
  }
  const http::Sha256 plain =
      http::sha256(presented->size() <= max_key_bytes ? *presented : std::string());
  for (const auto& [digest, record] : table->lines)
    if (http::equal_in_constant_time(digest, plain)) found = record;
  if (!found) return {{}, "this API key is not known here", 401};
  if (found->revoked) return {{}, "this API key was revoked", 401};
  if (!found->is_usable(unix_now())) return {{}, "this API key has expired", 401};
  if ((found->scopes & static_cast<std::uint8_t>(scope)) == 0)
    return {found, "this API key may not be used for this", 403};
  return {found, nullptr, 0};
}

}  // namespace hearth::server
