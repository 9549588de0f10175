// Ledger: what every key used, and one line of every request.  No content: who, what, when, how
// much, and how it ended.
#pragma once

#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "server/access/meter.h"
#include "server/access/trace.h"

namespace hearth::server {

class Ledger;

// One request.  Used by one thread at a time; told to the ledger when it goes.
struct Account {
  Account() = default;
  Account(const Account&) = delete;
  Account& operator=(const Account&) = delete;
  ~Account();

  Ledger* ledger = nullptr;
  std::shared_ptr<Meter> meter;  // of its key, if it is measured
  std::string key_id, key_name;  // empty: no key
  std::string request_id, peer, method, route, model;
  Trace trace;
  std::chrono::steady_clock::time_point began = std::chrono::steady_clock::now();
  int status = 0;  // 0: the client left before it was answered
  std::int64_t prompt_tokens = 0, cached_tokens = 0, completion_tokens = 0;
  double queue_seconds = 0, prefill_seconds = 0, decode_seconds = 0;
};

struct LedgerOptions {
  std::string usage_file;                    // empty: use is forgotten with the process
  std::string audit_file;                    // one JSON line a request; empty: none
  std::uint64_t max_audit_bytes = 16 << 20;  // then it becomes ".1", and so on
  int audit_files = 5;                       // of them are kept
};

// Thread-safe.
class Ledger {
 public:
  // Errors: corrupt, io: the usage file.
  static Result<std::unique_ptr<Ledger>> open(LedgerOptions options);
  ~Ledger();  // writes what is left to be written

  std::shared_ptr<Meter> meter(const std::string& key_id);
  Json usage(const std::string& key_id) const;  // null: it was never used
  void close(const Account& account);           // the request is over

 private:
  explicit Ledger(LedgerOptions options);
  void run(const std::stop_token& leaving);
  void write_lines(const std::string& lines);
  void write_usage();

  const LedgerOptions options_;
  mutable std::mutex mutex_;
  std::condition_variable_any woken_;
  std::map<std::string, std::shared_ptr<Meter>> meters_;
  std::string lines_;
  std::uint64_t dropped_ = 0;
  std::uint64_t written_changes_ = 0;  // of the usage that is on disk; the writer's alone
  std::jthread writer_;
};

// {id: usage} of a usage file; an absent one holds none.  Errors: corrupt, io.
Result<Json> read_usage_file(const std::string& path);

}  // namespace hearth::server
