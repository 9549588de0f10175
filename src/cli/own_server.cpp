#include "cli/own_server.h"

#include <fmt/core.h>

#include <cstdlib>

#include "cli/settings.h"
#include "library/transfer.h"

namespace hearth::cli {
namespace {

constexpr std::size_t max_answer_bytes = 64u << 20;

ErrorKind kind_of(int status) {
  switch (status) {
    case 404:
      return ErrorKind::not_found;
    case 501:
      return ErrorKind::unsupported;
    case 503:
      return ErrorKind::unavailable;
    default:
      return status >= 500 ? ErrorKind::io : ErrorKind::invalid;
  }
}

// {"error": {"message": ...}} or {"error": "..."}
std::string message_of(const Json& answer, int status) {
  const Json* error = answer.find("error");
  if (error && error->is_string()) return error->as_string();
  const Json* message = error ? error->find("message") : nullptr;
  if (message && message->is_string()) return message->as_string();
  return fmt::format("the server answered {}", status);
}

}  // namespace

std::string server_address(const ServerConfig& server) {
  // Where it listens on all addresses, it listens on this one.
  std::string host = server.host;
  if (host == "0.0.0.0" || host == "::") host = "127.0.0.1";
  if (host.contains(':')) host = "[" + host + "]";
  return fmt::format("{}://{}:{}", server.tls_cert.empty() ? "http" : "https", host, server.port);
}

Result<Json> ask_server(const Arguments& arguments, const std::string& method,
                        const std::string& path, const Json& body) {
  const Config config = TRY(read_config(arguments));
  const std::string address = server_address(config.server);
  TransferRequest request;
  request.url = address + path;
  request.method = method;
  request.is_direct = true;
  request.stall_seconds = 3600;  // a model may be long in loading
  if (const char* key = std::getenv("HEARTH_API_KEY")) request.bearer = key;
  if (!body.is_null()) request.body = write_json(body);
  std::string text;
  TransferSink sink;
  sink.body = [&](std::span<const std::byte> bytes) -> Status {
    if (text.size() + bytes.size() > max_answer_bytes)
      return Error(ErrorKind::exhausted, "the server's answer is too long");
    text.append(reinterpret_cast<const char*>(bytes.data()), bytes.size());
    return Done{};
  };
  const auto head = transfer(request, sink);
  if (!head && head.error().kind() == ErrorKind::unavailable)
    return Error(ErrorKind::unavailable,
                 fmt::format("no server answers at {}: `hearth serve` starts one", address));
  if (!head) return head.error();
  auto answer = text.empty() ? Result<Json>(Json()) : parse_json(text);
  if (!answer) answer = Json();
  if (head->status >= 400) return Error(kind_of(head->status), message_of(*answer, head->status));
  return answer;
}

std::span<const Option> server_options() {
  static const std::vector<Option> list = [] {
    std::vector<Option> own;
    for (const Option& option : setting_options("server."))
      if (option.name == "--host" || option.name == "--port") own.push_back(option);
    return own;
  }();
  return list;
}

}  // namespace hearth::cli
