// One HTTP request, followed through redirects.  transfer.cpp is the one source that knows libcurl.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <span>
#include <stop_token>
#include <string>
#include <vector>

#include "base/result.h"

namespace hearth {

struct TransferRequest {
  std::string url;
  std::string bearer;                // sent to the origin of `url` alone, never past a redirect
  std::vector<std::string> headers;  // "Accept: ..."
  std::uint64_t from_byte = 0;       // above 0: a Range request
  std::uint64_t to_byte = 0;         // the last one wanted; 0: to the end
  std::string if_range;              // an ETag
  int stall_seconds = 30;            // under 1 KB/s for so long is a broken connection
  std::string method = "GET";        // only a GET is redirected
  std::string body = {};             // of JSON, but for a Content-Type among the headers
  bool is_direct = false;            // past all proxies: this machine
  bool only_public = false;          // no connection to this machine or a private network
};

struct TransferHead {
  int status = 0;
  std::string url;  // the last one
  // Names in lower case.  Those that begin with "x-" stay from every hop, the others are of the
  // last.
  std::map<std::string, std::string, std::less<>> headers;
  std::optional<std::uint64_t> length;  // of the body

  std::string header(std::string_view name) const;  // empty: absent
};

struct TransferSink {
  std::function<Status(const TransferHead& head)> head;  // before the first byte of the body
  std::function<Status(std::span<const std::byte> bytes)> body;
};

// Whatever the status is, the body goes to the sink; an error of the sink ends the transfer and is
// returned.  Proxies come from http_proxy, https_proxy, all_proxy and no_proxy.
// Errors: unavailable (the network: another attempt may go well), io (certificates, redirects that
// are refused, addresses that are not public), cancelled.
Result<TransferHead> transfer(const TransferRequest& request, const TransferSink& sink,
                              std::stop_token stop = {});

// Seconds since 1970; negative: not a date.
std::int64_t parse_http_date(const std::string& text);

// "a b/c.gguf" -> "a%20b/c.gguf".
std::string percent_encoded(std::string_view path);

}  // namespace hearth
