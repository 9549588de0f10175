// When to try again, and after how long.
#pragma once

#include <optional>
#include <stop_token>
#include <string>

#include "base/result.h"
#include "library/download.h"
#include "library/transfer.h"

namespace hearth {

// An answer of 400 and above as an error: unavailable where waiting may help, with the server's
// Retry-After.
struct Refusal {
  Error error;
  double retry_after_seconds = 0;
};
std::optional<Refusal> refusal_of(const TransferHead& head);

// Seconds from now that a Retry-After header means; 0: none, or nonsense.
double retry_after_seconds(const std::string& header, std::int64_t now_seconds);

class Retries {
 public:
  Retries(const Network& network, const DownloadHooks& hooks) : network_(network), hooks_(hooks) {}

  // Counts begin anew: bytes have come.
  void progressed() { failures_ = 0; }
  // Waits and returns, or says why there is no use.
  Status wait(const Error& error, double retry_after = 0);

 private:
  const Network& network_;
  const DownloadHooks& hooks_;
  int failures_ = 0, total_ = 0;
};

}  // namespace hearth
