#include "http/message.h"

#include <fmt/core.h>

#include <ctime>

#include "base/ascii.h"
#include "base/json.h"

namespace hearth::http {
namespace {

std::string_view type_of(int status) {
  switch (status) {
    case 401:
      return "authentication_error";
    case 403:
      return "permission_error";
    case 429:
      return "rate_limit_error";
    default:
      return status >= 500 ? "server_error" : "invalid_request_error";
  }
}

}  // namespace

const std::string* find_header(const Headers& headers, std::string_view name) {
  for (const Header& header : headers)
    if (equal_ignoring_case(header.name, name)) return &header.value;
  return nullptr;
}

std::size_t count_headers(const Headers& headers, std::string_view name) {
  std::size_t count = 0;
  for (const Header& header : headers) count += equal_ignoring_case(header.name, name);
  return count;
}

std::string error_json(const Problem& problem) {
  return write_json(Json::object(
      {{"error", Json::object({{"message", problem.message},
                               {"type", type_of(problem.status)},
                               {"param", problem.param.empty() ? Json() : Json(problem.param)},
                               {"code", problem.code}})}}));
}

Response error_response(const Problem& problem) {
  Response response = json_response(error_json(problem), problem.status);
  if (problem.retry_after_seconds > 0)
    response.headers.push_back({"Retry-After", fmt::format("{}", problem.retry_after_seconds)});
  return response;
}

Response json_response(std::string body, int status) {
  return {status, {{"Content-Type", "application/json"}}, std::move(body)};
}

std::string_view reason_phrase(int status) {
  static constexpr std::pair<int, std::string_view> phrases[] = {
      {100, "Continue"},
      {101, "Switching Protocols"},
      {200, "OK"},
      {202, "Accepted"},
      {204, "No Content"},
      {400, "Bad Request"},
      {401, "Unauthorized"},
      {403, "Forbidden"},
      {404, "Not Found"},
      {405, "Method Not Allowed"},
      {408, "Request Timeout"},
      {409, "Conflict"},
      {413, "Content Too Large"},
      {414, "URI Too Long"},
      {415, "Unsupported Media Type"},
      {417, "Expectation Failed"},
      {422, "Unprocessable Content"},
      {426, "Upgrade Required"},
      {429, "Too Many Requests"},
      {431, "Request Header Fields Too Large"},
      {499, "Client Closed Request"},
      {500, "Internal Server Error"},
      {501, "Not Implemented"},
      {503, "Service Unavailable"},
      {505, "HTTP Version Not Supported"},
  };
  for (const auto& [code, phrase] : phrases)
    if (code == status) return phrase;
  return "Status";
}

std::string format_head(int status, const Headers& headers) {
  std::string head = fmt::format("HTTP/1.1 {} {}\r\n", status, reason_phrase(status));
  for (const Header& header : headers) {
    head += header.name;
    head += ": ";
    for (const char c : header.value)
      head += static_cast<unsigned char>(c) < 0x20 || c == 0x7f ? ' ' : c;
    head += "\r\n";
  }
  head += "\r\n";
  return head;
}

std::string http_date(std::int64_t unix_seconds) {
  static constexpr const char* days[] = {"Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat"};
  static constexpr const char* months[] = {"Jan", "Feb", "Mar", "Apr", "May", "Jun",
                                           "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"};
  const std::time_t time = unix_seconds;
  std::tm utc{};
  gmtime_r(&time, &utc);
  return fmt::format("{}, {:02} {} {} {:02}:{:02}:{:02} GMT", days[utc.tm_wday], utc.tm_mday,
                     months[utc.tm_mon], utc.tm_year + 1900, utc.tm_hour, utc.tm_min, utc.tm_sec);
}

}  // namespace hearth::http
