#include "server/access/ledger.h"

#include <fmt/core.h>

#include <utility>

#include "base/bytes.h"
#include "base/disk.h"
#include "base/log.h"
#include "base/store_files.h"
#include "server/describe.h"

namespace hearth::server {
namespace {

constexpr std::uint64_t max_usage_bytes = 64 << 20;
constexpr std::size_t max_waiting_bytes = 8 << 20;  // of lines, when the disk is slow
constexpr std::chrono::seconds write_every{5};
constexpr double ms = 1000;

Json text_or_null(const std::string& text) { return text.empty() ? Json() : Json(text); }

double rounded(double seconds) {
  return static_cast<double>(static_cast<std::int64_t>(seconds * ms * 1000)) / 1000;
}

Json line_of(const Account& account, double seconds) {
  return Json::object({{"time", time_now()},
                       {"request", account.request_id},
                       {"trace", account.trace.trace_id},
                       {"span", account.trace.span_id},
                       {"key", text_or_null(account.key_id)},
                       {"name", text_or_null(account.key_name)},
                       {"peer", account.peer},
                       {"method", account.method},
                       {"route", account.route},
                       {"model", text_or_null(account.model)},
                       {"status", account.status},
                       {"prompt_tokens", account.prompt_tokens},
                       {"cached_tokens", account.cached_tokens},
                       {"completion_tokens", account.completion_tokens},
                       {"queue_ms", rounded(account.queue_seconds)},
                       {"prefill_ms", rounded(account.prefill_seconds)},
                       {"decode_ms", rounded(account.decode_seconds)},
                       {"total_ms", rounded(seconds)}});
}

void log_request(const Account& account, double seconds) {
  log_info(
      "request id={} trace={} key={} method={} route={} model='{}' status={} prompt_tokens={} "
      "cached_tokens={} completion_tokens={} queue_ms={:.1f} prefill_ms={:.1f} decode_ms={:.1f} "
      "total_ms={:.1f}",
      account.request_id, account.trace.trace_id, account.key_id.empty() ? "-" : account.key_id,
      account.method, account.route, account.model, account.status, account.prompt_tokens,
      account.cached_tokens, account.completion_tokens, account.queue_seconds * ms,
      account.prefill_seconds * ms, account.decode_seconds * ms, seconds * ms);
}

}  // namespace

Account::~Account() {
  if (ledger) ledger->close(*this);
}

Result<Json> read_usage_file(const std::string& path) {
  if (path.empty() || !is_file(path)) return Json::object();
  const std::string text = TRY(read_file(path, max_usage_bytes));
  auto json = parse_json(text);
  if (!json) return std::move(json).error().within(path);
  const Json* keys = json->find("keys");
  if (!keys || !keys->is_object())
    return Error(ErrorKind::corrupt, fmt::format("{}: 'keys': needs an object", path));
  return *keys;
}

Ledger::Ledger(LedgerOptions options) : options_(std::move(options)) {}

Result<std::unique_ptr<Ledger>> Ledger::open(LedgerOptions options) {
  const Json usage = TRY(read_usage_file(options.usage_file));
  std::unique_ptr<Ledger> ledger(new Ledger(std::move(options)));
  for (const auto& [id, used] : usage.as_object()) ledger->meter(id)->restore(used);
  if (!ledger->options_.usage_file.empty() || !ledger->options_.audit_file.empty())
    ledger->writer_ =
        std::jthread([raw = ledger.get()](const std::stop_token& leaving) { raw->run(leaving); });
  return ledger;
}

Ledger::~Ledger() {
  if (!writer_.joinable()) return;
  writer_.request_stop();
  writer_.join();
}

std::shared_ptr<Meter> Ledger::meter(const std::string& key_id) {
  const std::lock_guard lock(mutex_);
  std::shared_ptr<Meter>& meter = meters_[key_id];
  if (!meter) meter = std::make_shared<Meter>();
  return meter;
}

Json Ledger::usage(const std::string& key_id) const {
  const std::lock_guard lock(mutex_);
  const auto found = meters_.find(key_id);
  return found == meters_.end() ? Json() : found->second->usage();
}

void Ledger::close(const Account& account) {
  const std::chrono::duration<double> took = std::chrono::steady_clock::now() - account.began;
  if (account.meter)
    account.meter->end({.prompt_tokens = account.prompt_tokens,
                        .completion_tokens = account.completion_tokens,
                        .is_failed = account.status >= 500},
                       Moment::now());
  log_request(account, took.count());
  if (options_.audit_file.empty()) return;
  const std::string line = write_json(line_of(account, took.count())) + "\n";
  const std::lock_guard lock(mutex_);
  if (lines_.size() + line.size() > max_waiting_bytes)
    ++dropped_;
  else
    lines_ += line;
  woken_.notify_one();
}

void Ledger::run(const std::stop_token& leaving) {
  while (!leaving.stop_requested()) {
    std::string lines;
    std::uint64_t dropped = 0;
    {
      std::unique_lock lock(mutex_);
      woken_.wait_for(lock, leaving, write_every, [this] { return !lines_.empty(); });
      lines.swap(lines_);
      dropped = std::exchange(dropped_, 0);
    }
    write_lines(lines);
    if (dropped > 0) log_warning("audit lines dropped count={}", dropped);
    write_usage();
  }
  write_lines(std::exchange(lines_, {}));
  write_usage();
}

void Ledger::write_lines(const std::string& lines) {
  if (lines.empty()) return;
  const std::shared_ptr<Files> files = system_files();
  const std::string& path = options_.audit_file;
  const auto written = [&]() -> Status {
    TRY(files->make_folder(parent_folder(path)));
    const auto before = file_identity(path);
    if (before && before->bytes + lines.size() > options_.max_audit_bytes)
      for (int i = options_.audit_files - 1; i > 0; --i) {
        const std::string from = i == 1 ? path : fmt::format("{}.{}", path, i - 1);
        if (is_file(from)) TRY(files->rename(from, fmt::format("{}.{}", path, i)));
      }
    auto file = is_file(path) ? TRY(files->append_to(path)) : TRY(files->create(path));
    return file->append(bytes_of(lines));
  }();
  if (!written.ok()) log_warning("audit log not written error='{}'", written.error().message());
}

// A crash loses the use of the last seconds at most.
void Ledger::write_usage() {
  if (options_.usage_file.empty()) return;
  std::map<std::string, std::shared_ptr<Meter>> meters;
  {
    const std::lock_guard lock(mutex_);
    meters = meters_;
  }
  std::uint64_t changes = 0;
  for (const auto& [id, meter] : meters) changes += meter->changes();
  if (changes == written_changes_) return;
  Json keys = Json::object();
  for (const auto& [id, meter] : meters) keys.set(id, meter->usage());
  const std::string text = write_json(Json::object({{"keys", std::move(keys)}})) + "\n";
  const Status written = replace_file(options_.usage_file, bytes_of(text));
  if (written.ok())
    written_changes_ = changes;
  else
    log_warning("use of keys not written error='{}'", written.error().message());
}

}  // namespace hearth::server
