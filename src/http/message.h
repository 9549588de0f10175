// Requests and responses as values.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace hearth::http {

struct Header {
  std::string name, value;
};
using Headers = std::vector<Header>;

// The first header of that name (any case), or nullptr.
const std::string* find_header(const Headers& headers, std::string_view name);
std::size_t count_headers(const Headers& headers, std::string_view name);

struct Request {
  std::string id;      // ours, unique: "req_..."; every response carries it as x-request-id
  std::string method;  // as sent
  std::string path;    // decoded; begins with one '/', has no empty, "." or ".." parts, no '/' last
  std::vector<std::pair<std::string, std::string>> query;  // decoded
  Headers headers;
  std::string body;
  std::string peer;  // the client's address without the port
  bool is_tls = false;
  bool is_loopback = true;  // the client is this machine

  const std::string* header(std::string_view name) const { return find_header(headers, name); }
};

struct Response {
  int status = 200;
  Headers headers;  // Content-Length, Date, Connection and the request id are added by the server
  std::string body;
};

// What went wrong, for programs (status, code) and people (message).
struct Problem {
  int status = 400;
  std::string code;  // stable: "not_found"
  std::string message;
  std::string param;            // the request field at fault, or empty
  int retry_after_seconds = 0;  // 0: no Retry-After
};

// The error object that OpenAI's clients read.  Source: OpenAI API reference, "Error codes".
std::string error_json(const Problem& problem);
Response error_response(const Problem& problem);
Response json_response(std::string body, int status = 200);

std::string_view reason_phrase(int status);

// "HTTP/1.1 200 OK\r\n", the headers and the empty line.  Control bytes in values become spaces, so
// that no value can begin a header of its own.
std::string format_head(int status, const Headers& headers);
// "Sat, 21 Nov 2026 03:07:45 GMT".  Source: RFC 9110, section 5.6.7.
std::string http_date(std::int64_t unix_seconds);

}  // namespace hearth::http
