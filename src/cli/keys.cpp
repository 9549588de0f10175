// hearth keys create, list, show, revoke: API keys for the people who use this server.
#include <fmt/core.h>

#include <algorithm>
#include <ctime>

#include "base/duration.h"
#include "base/utf8.h"
#include "cli/rows.h"
#include "cli/settings.h"
#include "cli/table.h"
#include "server/access/ledger.h"

namespace hearth::cli {
namespace {

using server::KeyLimits;
using server::KeyRecord;

constexpr std::size_t max_name_bytes = 128;
constexpr std::int64_t max_limit = 1'000'000'000'000;
constexpr std::string_view standard_scopes = "chat,embed,models,collections";

struct LimitOption {
  const char* option;
  std::int64_t KeyLimits::* value;
  const char* text;  // in lists
};
constexpr LimitOption limit_options[] = {
    {"--requests-per-minute", &KeyLimits::requests_per_minute, "requests/min"},
    {"--tokens-per-minute", &KeyLimits::tokens_per_minute, "tokens/min"},
    {"--requests-per-day", &KeyLimits::requests_per_day, "requests/day"},
    {"--tokens-per-day", &KeyLimits::tokens_per_day, "tokens/day"},
    {"--open", &KeyLimits::open, "at once"}};

std::string joined(const std::vector<std::string>& words, std::string_view between) {
  std::string text;
  for (const std::string& word : words) text += (text.empty() ? "" : std::string(between)) + word;
  return text;
}

std::string limits_text(const KeyLimits& limits) {
  std::vector<std::string> parts;
  for (const LimitOption& row : limit_options) {
    const std::int64_t value = limits.*row.value;
    const bool is_standard = row.value == &KeyLimits::open && value == KeyLimits().open;
    if (value > 0 && !is_standard) parts.push_back(fmt::format("{} {}", value, row.text));
  }
  return parts.empty() ? "-" : joined(parts, ", ");
}

std::string date_text(std::int64_t seconds) {
  if (seconds == 0) return "never";
  const std::time_t time = seconds;
  std::tm local{};
  localtime_r(&time, &local);
  char text[32];
  std::strftime(text, sizeof text, "%Y-%m-%d %H:%M", &local);
  return text;
}

std::string state_of(const KeyRecord& record) {
  if (record.revoked) return "revoked";
  if (!record.is_usable(std::time(nullptr))) return "expired";
  return record.expires ? "until " + date_text(record.expires) : "in use";
}

// "30d" from now, or "2027-01-31", the last day.
Result<std::int64_t> read_expiry(const std::string& text) {
  if (text.empty()) return std::int64_t{0};
  std::tm day{};
  if (const char* end = ::strptime(text.c_str(), "%Y-%m-%d", &day); end && *end == '\0') {
    day.tm_isdst = -1;
    day.tm_mday += 1;
    return static_cast<std::int64_t>(std::mktime(&day));
  }
  const auto span = parse_duration(text);
  if (!span || *span <= Milliseconds(0) || *span == forever)
    return Error(ErrorKind::invalid,
                 fmt::format("--expires '{}': needs a span of time such as 30d, or a date such as "
                             "2027-01-31",
                             printable(text)));
  return std::time(nullptr) + std::chrono::duration_cast<std::chrono::seconds>(*span).count();
}

// By id, or by name where only one has it.
Result<std::size_t> find_key(const std::vector<KeyRecord>& records, const std::string& asked) {
  std::vector<std::size_t> found;
  for (std::size_t i = 0; i < records.size(); ++i) {
    if (records[i].id == asked) return i;
    if (records[i].name == asked) found.push_back(i);
  }
  if (found.size() == 1) return found.front();
  if (found.empty())
    return Error(ErrorKind::not_found,
                 fmt::format("no key '{}'; `hearth keys list --all` shows them", printable(asked)));
  return Error(ErrorKind::invalid,
               fmt::format("{} keys are named '{}': say the id of one", found.size(), asked));
}

Result<std::string> store_of(const Arguments& arguments) {
  return key_store_path(TRY(read_config(arguments)));
}

Json with_usage(const KeyRecord& record, const Json& usage) {
  Json json = to_json(record);
  const Json* used = usage.find(record.id);
  json.set("usage", used ? *used : Json());
  return json;
}

Status create(App& app, const Arguments& arguments) {
  const std::string& name = arguments[0];
  if (name.empty() || name.size() > max_name_bytes || printable(name) != name)
    return Error(ErrorKind::invalid,
                 fmt::format("a name of 1 to {} plain characters is needed", max_name_bytes));
  const std::vector<std::string> asked = arguments.all("--scope");
  const std::string scopes = asked.empty() ? std::string(standard_scopes) : joined(asked, ",");
  const auto mask = server::parse_scopes(scopes);
  if (!mask)
    return Error(ErrorKind::invalid, fmt::format("--scope '{}': knows {}", printable(scopes),
                                                 joined(server::scope_names(255), ", ")));
  KeyLimits limits;
  for (const LimitOption& row : limit_options)
    limits.*row.value = TRY(arguments.integer(row.option, limits.*row.value, 0, max_limit));
  const std::int64_t expires = TRY(read_expiry(arguments.text("--expires")));
  const server::NewKey made = server::make_key(name, *mask, limits, expires, std::time(nullptr));
  bool is_first = false;
  const std::string store = TRY(store_of(arguments));
  TRY(server::change_key_store(store, [&](std::vector<KeyRecord>& records) -> Status {
    is_first = records.empty();
    records.push_back(made.record);
    return Done{};
  }));
  if (arguments.has("--json")) {
    Json json = to_json(made.record);
    json.set("key", made.text);
    app.out.json(json);
    return Done{};
  }
  app.out.line(app.out.bold(made.text));
  app.out.line(fmt::format("Keep it now: it is not shown again.  For {}: {}.", name,
                           joined(server::scope_names(*mask), ", ")));
  if (is_first)
    app.out.line(
        "It is the first key: from now on the server asks everybody for one, Hearth's own commands "
        "too (HEARTH_API_KEY).");
  return Done{};
}

std::string tokens_today(const Json& usage, const std::string& id) {
  const Json* used = usage.find(id);
  const Json* days = used ? used->find("days") : nullptr;
  char today[16];
  const std::time_t now = std::time(nullptr);
  std::tm utc{};
  gmtime_r(&now, &utc);
  std::strftime(today, sizeof today, "%Y-%m-%d", &utc);
  const Json* day = days ? days->find(today) : nullptr;
  const auto number = [&](const char* name) {
    const Json* value = day ? day->find(name) : nullptr;
    return value && value->is_integer() ? value->as_integer() : 0;
  };
  return fmt::format("{} requests, {} tokens", number("requests"),
                     number("prompt_tokens") + number("completion_tokens"));
}

Status list(App& app, const Arguments& arguments) {
  const std::string store = TRY(store_of(arguments));
  const std::vector<KeyRecord> records = TRY(server::read_key_store(store));
  const Json usage = TRY(server::read_usage_file(key_usage_path()));
  Json keys = Json::array();
  std::vector<TableRow> rows;
  for (const KeyRecord& record : records) {
    if (record.revoked && !arguments.has("--all")) continue;
    keys.push_back(with_usage(record, usage));
    rows.push_back({record.id, record.name, joined(server::scope_names(record.scopes), ","),
                    limits_text(record.limits), state_of(record), tokens_today(usage, record.id)});
  }
  if (arguments.has("--json"))
    app.out.json(Json::object({{"store", store}, {"keys", std::move(keys)}}));
  else if (rows.empty())
    app.out.line("No keys; `hearth keys create NAME` makes one.");
  else
    print_table(app.out, {"ID", "NAME", "SCOPES", "LIMITS", "STATE", "TODAY"}, rows);
  return Done{};
}

Status show(App& app, const Arguments& arguments) {
  const std::string store = TRY(store_of(arguments));
  const std::vector<KeyRecord> records = TRY(server::read_key_store(store));
  const KeyRecord& record = records[TRY(find_key(records, arguments[0]))];
  const Json usage = TRY(server::read_usage_file(key_usage_path()));
  if (arguments.has("--json")) {
    app.out.json(with_usage(record, usage));
    return Done{};
  }
  app.out.row("id", record.id);
  app.out.row("name", record.name);
  app.out.row("scopes", joined(server::scope_names(record.scopes), ", "));
  app.out.row("limits", limits_text(record.limits));
  app.out.row("made", date_text(record.created));
  app.out.row("state", state_of(record));
  const Json* used = usage.find(record.id);
  const auto number = [&](const char* name) {
    const Json* value = used ? used->find(name) : nullptr;
    return value && value->is_integer() ? value->as_integer() : 0;
  };
  app.out.row("last used", date_text(number("last_used")));
  app.out.row("requests", fmt::format("{}, {} refused, {} failed", number("requests"),
                                      number("refused"), number("failed")));
  app.out.row("tokens", fmt::format("{} read, {} written", number("prompt_tokens"),
                                    number("completion_tokens")));
  app.out.row("today", tokens_today(usage, record.id));
  return Done{};
}

Status revoke(App& app, const Arguments& arguments) {
  Json done = Json::array();
  const std::string store = TRY(store_of(arguments));
  const bool forgets = arguments.has("--forget");
  const auto mark = [&](std::vector<KeyRecord>& records) -> Status {
    for (const std::string& asked : arguments.positional()) {
      const std::size_t index = TRY(find_key(records, asked));
      done.push_back(records[index].id);
      if (forgets)
        records.erase(records.begin() + static_cast<std::ptrdiff_t>(index));
      else if (!records[index].revoked)
        records[index].revoked = std::time(nullptr);
    }
    return Done{};
  };
  TRY(server::change_key_store(store, mark));
  if (arguments.has("--json"))
    app.out.json(Json::object({{"revoked", std::move(done)}}));
  else
    for (const Json& id : done.as_array())
      app.out.line(fmt::format("{} opens nothing any more", id.as_string()));
  return Done{};
}

const Option store_option{"--key-store", "TEXT",
                          "File of the keys; as the setting server.key_store."};

constexpr Option create_options[] = {
    {"--scope", "NAME",
     "What it may be used for: chat, embed, models, collections, metrics, admin; may be given "
     "several times.  Without it: the first four.",
     true},
    {"--requests-per-minute", "N", "Requests in any sixty seconds; 0: no limit."},
    {"--tokens-per-minute", "N", "Tokens read and written in any sixty seconds; 0: no limit."},
    {"--requests-per-day", "N", "Requests of a day (UTC); 0: no limit."},
    {"--tokens-per-day", "N", "Tokens of a day (UTC); 0: no limit."},
    {"--open", "N", "Requests in progress at once (64); 0: no limit."},
    {"--expires", "WHEN", "After a span of time such as 30d, or a date, its last day."},
    {"--key-store", "TEXT", "File of the keys; as the setting server.key_store."}};
constexpr Option list_options[] = {
    {"--all", "", "Also those that were revoked."},
    {"--key-store", "TEXT", "File of the keys; as the setting server.key_store."}};
constexpr Option revoke_options[] = {
    {"--forget", "", "Forget them altogether; without any key left, none is needed."},
    {"--key-store", "TEXT", "File of the keys; as the setting server.key_store."}};

}  // namespace

const Command keys_create_command{
    .name = "keys create",
    .arguments = "NAME",
    .summary = "Make an API key for somebody.",
    .details =
        "The key is shown once; only a salted digest of it is kept.  Running servers know it\n"
        "within a second.  As soon as there is a key, every request needs one.\n\n"
        "  hearth keys create ada --scope chat --tokens-per-day 500000 --expires 90d",
    .options = create_options,
    .run = create};

const Command keys_list_command{.name = "keys list",
                                .arguments = "",
                                .summary = "List the API keys and what they used today.",
                                .details = "A running server writes use down every five seconds.",
                                .options = list_options,
                                .run = list};

const Command keys_show_command{.name = "keys show",
                                .arguments = "KEY",
                                .summary = "Show one API key, by id or name, and all it used.",
                                .details = "",
                                .options = {&store_option, 1},
                                .run = show};

const Command keys_revoke_command{
    .name = "keys revoke",
    .arguments = "KEY...",
    .summary = "Have API keys, by id or name, open nothing any more.",
    .details = "Running servers know within a second; requests in progress end as they would.",
    .options = revoke_options,
    .run = revoke};

}  // namespace hearth::cli
