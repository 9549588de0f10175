#include "mcp/web.h"

#include <fmt/core.h>

#include "library/transfer.h"
#include "mcp/settings.h"

namespace hearth::mcp {
namespace {

constexpr std::size_t max_answer_bytes = 256 << 10;
constexpr int stall_seconds = 30;

Result<WebAnswer> ask(TransferRequest request, const std::stop_token& stop) {
  request.stall_seconds = stall_seconds;
  request.headers.push_back("Accept: application/json, text/event-stream");
  std::string body;
  TransferSink sink;
  sink.body = [&](std::span<const std::byte> bytes) -> Status {
    if (bytes.size() > max_answer_bytes - body.size())
      return Error(ErrorKind::exhausted, "its answer is too long");
    body.append(reinterpret_cast<const char*>(bytes.data()), bytes.size());
    return Done{};
  };
  const TransferHead head = TRY(transfer(request, sink, stop));
  if (origin_of(head.url) != origin_of(request.url))
    return Error(ErrorKind::invalid, fmt::format("{} leads to another place", request.url));
  WebAnswer answer{.status = head.status, .json = Json(), .challenge = ""};
  answer.challenge = head.header("www-authenticate");
  if (auto json = parse_json(body, {.max_bytes = max_answer_bytes, .max_depth = 32});
      json && json->is_object())
    answer.json = std::move(*json);
  return answer;
}

}  // namespace

Result<WebAnswer> fetch(const std::string& url, const std::stop_token& stop) {
  TransferRequest request;
  request.url = url;
  return ask(std::move(request), stop);
}

Result<WebAnswer> post_json(const std::string& url, const Json& body, const std::stop_token& stop) {
  TransferRequest request;
  request.url = url;
  request.method = "POST";
  request.body = write_json(body);
  return ask(std::move(request), stop);
}

Result<WebAnswer> post_form(const std::string& url, const Form& form,
                            const std::string& authorization, const std::stop_token& stop) {
  TransferRequest request;
  request.url = url;
  request.method = "POST";
  request.body = query_of(form);
  request.headers.emplace_back("Content-Type: application/x-www-form-urlencoded");
  if (!authorization.empty()) request.headers.push_back("Authorization: " + authorization);
  return ask(std::move(request), stop);
}

std::string form_encoded(std::string_view text) {
  std::string out;
  for (const char c : text) {
    const bool is_plain = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
                          (c >= '0' && c <= '9') || c == '-' || c == '.' || c == '_' || c == '~';
    out += is_plain ? std::string(1, c) : fmt::format("%{:02X}", static_cast<unsigned char>(c));
  }
  return out;
}

std::string query_of(const Form& form) {
  std::string text;
  for (const auto& [name, value] : form)
    text +=
        fmt::format("{}{}={}", text.empty() ? "" : "&", form_encoded(name), form_encoded(value));
  return text;
}

std::string path_of(std::string_view url) {
  const std::size_t gap = url.find("://");
  const std::size_t slash = gap == url.npos ? url.npos : url.find_first_of("/?#", gap + 3);
  if (slash == url.npos || url[slash] != '/') return "/";
  return std::string(url.substr(slash, url.find_first_of("?#", slash) - slash));
}

bool is_this_machine(std::string_view url) {
  const std::string origin = origin_of(url);
  std::string_view host = origin;
  host.remove_prefix(std::min(host.size(), host.find("://") + 3));
  host =
      host.starts_with('[') ? host.substr(0, host.find(']') + 1) : host.substr(0, host.find(':'));
  if (host == "localhost" || host.ends_with(".localhost") || host == "[::1]") return true;
  return host.starts_with("127.") && host.find_first_not_of("0123456789.") == host.npos;
}

}  // namespace hearth::mcp
