// A server at an address.  Source: Model Context Protocol, revision 2025-11-25, "Transports",
// Streamable HTTP.
#include <fmt/core.h>

#include <algorithm>
#include <condition_variable>
#include <thread>

#include "base/ascii.h"
#include "base/guarded.h"
#include "base/utf8.h"
#include "http/message.h"
#include "library/transfer.h"
#include "mcp/oauth.h"
#include "mcp/transport.h"

namespace hearth::mcp {
namespace {

constexpr std::size_t max_stream_bytes = 64 << 20;  // of one answer, all its messages together
constexpr int stall_seconds = 3600;                 // the deadline ends what takes too long

// Fires when the time has come, or somebody else's stop does.
class Limit {
 public:
  explicit Limit(const Deadline& deadline)
      : outer_(deadline.stop, [this] { source_.request_stop(); }),
        waiter_([this, time = deadline.time](const std::stop_token& leaving) {
          std::unique_lock lock(mutex_);
          woken_.wait_until(lock, leaving, time, [] { return false; });
          if (!leaving.stop_requested()) source_.request_stop();
        }) {}
  std::stop_token token() const { return source_.get_token(); }

 private:
  std::stop_source source_;
  std::stop_callback<std::function<void()>> outer_;
  std::mutex mutex_;
  std::condition_variable_any woken_;
  std::jthread waiter_;
};

class HttpTransport final : public Transport {
 public:
  HttpTransport(const ServerSettings& server, Hearing hearing)
      : server_(server), hearing_(std::move(hearing)) {}
  ~HttpTransport() override {
    if (!session().empty()) (void)end_session().ok();
  }

  Status send(const std::string& message, bool is_request, const Deadline& deadline) override;
  bool has_answered() const override { return true; }
  void set_version(const std::string& version) override {
    facts_.with([&](Facts& facts) { facts.version = version; });
  }

 private:
  struct Facts {
    std::string session, version;
    std::optional<Grant> grant;
  };
  std::string session() const {
    return facts_.with([](const Facts& facts) { return facts.session; });
  }
  struct Answer {
    TransferHead head;
    std::string body;  // but for a stream, which has been heard
    bool is_stream = false;
  };
  TransferRequest request(const std::string& method) const;
  Status end_session();
  Status take(std::string_view text, bool is_request);
  Result<Answer> post(const std::string& message, bool is_request, const Deadline& deadline);
  bool has_own_key() const;
  Status enter(const std::stop_token& stop);
  Result<bool> enter_again(const std::stop_token& stop);
  Error refusal(const Answer& answer) const;

  const ServerSettings server_;
  const Hearing hearing_;
  Guarded<Facts> facts_;
};

TransferRequest HttpTransport::request(const std::string& method) const {
  TransferRequest request;
  request.url = server_.url;
  request.method = method;
  request.stall_seconds = stall_seconds;
  request.headers = {"Accept: application/json, text/event-stream"};
  const Facts facts = facts_.with([](const Facts& own) { return own; });
  if (!facts.session.empty()) request.headers.push_back("Mcp-Session-Id: " + facts.session);
  if (!facts.version.empty()) request.headers.push_back("MCP-Protocol-Version: " + facts.version);
  for (const auto& [name, value] : server_.headers)
    request.headers.push_back(fmt::format("{}: {}", name, value));
  if (facts.grant) request.bearer = facts.grant->access_token;
  return request;
}

bool HttpTransport::has_own_key() const {
  return std::ranges::any_of(server_.headers, [](const auto& header) {
    return equal_ignoring_case(header.first, "Authorization");
  });
}

// With what a person's sign-in has led to, if somebody has signed in.
Status HttpTransport::enter(const std::stop_token& stop) {
  if (server_.grants.empty() || has_own_key()) return Done{};
  auto grant = facts_.with([](const Facts& facts) { return facts.grant; });
  if (!grant) grant = TRY(Grants(server_.grants).find(server_.name, server_.url));
  if (!grant) return Done{};
  if (has_expired(*grant) && !grant->refresh_token.empty())
    if (auto fresh = renew(server_, *grant, stop)) grant = std::move(*fresh);
  facts_.with([&](Facts& facts) { facts.grant = grant; });
  return Done{};
}

// After a refusal: whether there is a newer token to try.
Result<bool> HttpTransport::enter_again(const std::stop_token& stop) {
  const auto old = facts_.with([](const Facts& facts) { return facts.grant; });
  if (!old) return false;
  auto fresh = renew(server_, *old, stop);
  if (!fresh) {
    if (fresh.error().kind() == ErrorKind::not_found) return false;
    return std::move(fresh).error();
  }
  facts_.with([&](Facts& facts) { facts.grant = std::move(*fresh); });
  return true;
}

Error HttpTransport::refusal(const Answer& answer) const {
  const int status = answer.head.status;
  const Challenge challenge = parse_challenge(answer.head.header("www-authenticate"));
  if (server_.grants.empty() || has_own_key())
    return Error(ErrorKind::unavailable, fmt::format("it answers {}: it wants {} key", status,
                                                     has_own_key() ? "another" : "a"));
  if (status == 403 && challenge.error == "insufficient_scope")
    return Error(ErrorKind::unavailable,
                 fmt::format("it wants to be allowed more: `hearth mcp login {} --scope \"{}\"`",
                             server_.name, printable(challenge.scope, 200)));
  return Error(ErrorKind::unavailable,
               fmt::format("it answers {}: `hearth mcp login {}` signs in, or \"headers\" of its "
                           "settings may carry a key",
                           status, server_.name));
}

Status HttpTransport::end_session() {
  const Limit limit({std::chrono::steady_clock::now() + std::chrono::seconds(2), {}});
  TransferSink sink;
  sink.body = [](std::span<const std::byte>) -> Status { return Done{}; };
  TRY(transfer(request("DELETE"), sink, limit.token()));
  return Done{};
}

Status HttpTransport::take(std::string_view text, bool is_request) {
  if (text.empty()) return Done{};
  auto message = parse_json(text, message_limits);
  if (!message) {
    if (!is_request) return Done{};  // what stands in an answer to what needs none
    return Error(ErrorKind::invalid,
                 fmt::format("it sends what is no message: {}", message.error().message()));
  }
  if (message->is_object()) hearing_.message(std::move(*message));
  return Done{};
}

Result<HttpTransport::Answer> HttpTransport::post(const std::string& message, bool is_request,
                                                  const Deadline& deadline) {
  TransferRequest post = request("POST");
  post.body = message;
  const Limit limit(deadline);
  Answer answer;
  std::size_t taken = 0;
  EventReader events;
  Status problem = Done{};
  TransferSink sink;
  sink.head = [&](const TransferHead& head) -> Status {
    answer.is_stream = head.header("content-type").starts_with("text/event-stream");
    if (const std::string id = head.header("mcp-session-id"); !id.empty() && head.status < 300)
      facts_.with([&](Facts& facts) { facts.session = id; });
    return Done{};
  };
  sink.body = [&](std::span<const std::byte> bytes) -> Status {
    taken += bytes.size();
    const std::string_view text(reinterpret_cast<const char*>(bytes.data()), bytes.size());
    if (taken > max_stream_bytes) return Error(ErrorKind::exhausted, "it sends without end");
    if (!answer.is_stream) {
      answer.body += text;
      if (answer.body.size() > max_message_bytes)
        return Error(ErrorKind::exhausted,
                     fmt::format("a message is over {} bytes", max_message_bytes));
      return Done{};
    }
    TRY(events.add(text, [&](std::string_view data) {
      if (problem.ok()) problem = take(data, is_request);
    }));
    return problem;
  };
  auto head = transfer(post, sink, limit.token());
  if (!head) {
    if (head.error().kind() != ErrorKind::cancelled) return std::move(head).error();
    if (deadline.stop.stop_requested()) return Error(ErrorKind::cancelled, "stopped");
    return Error(ErrorKind::unavailable, "it does not answer in time");
  }
  answer.head = std::move(*head);
  return answer;
}

Status HttpTransport::send(const std::string& message, bool is_request, const Deadline& deadline) {
  TRY(enter(deadline.stop));
  Answer answer = TRY(post(message, is_request, deadline));
  if (answer.head.status == 401 && TRY(enter_again(deadline.stop)))
    answer = TRY(post(message, is_request, deadline));
  const int status = answer.head.status;
  if (status == 401 || status == 403) return refusal(answer);
  if (status == 404 && !session().empty()) {
    facts_.with([](Facts& facts) { facts.session.clear(); });
    return Error(ErrorKind::unavailable, "it has forgotten the session");
  }
  if (status >= 400 && (!is_request || answer.body.empty() || answer.body.front() != '{'))
    return Error(ErrorKind::unavailable, fmt::format("it answers {}: {}", status,
                                                     printable(answer.body.substr(0, 200), 200)));
  return answer.is_stream ? Status(Done{}) : take(answer.body, is_request);
}

}  // namespace

std::unique_ptr<Transport> connect_http(const ServerSettings& server, Hearing hearing) {
  return std::make_unique<HttpTransport>(server, std::move(hearing));
}

Status EventReader::add(std::string_view bytes,
                        const std::function<void(std::string_view)>& event) {
  for (const char c : bytes) {
    const bool is_pair = after_cr_ && c == '\n';
    after_cr_ = c == '\r';
    if (is_pair) continue;
    if (c != '\n' && c != '\r') {
      line_ += c;
      continue;
    }
    take_line(line_, event);
    line_.clear();
    if (data_.size() > max_message_bytes) break;
  }
  if (line_.size() + data_.size() > max_message_bytes)
    return Error(ErrorKind::exhausted,
                 fmt::format("a message is over {} bytes", max_message_bytes));
  return Done{};
}

void EventReader::take_line(std::string_view line,
                            const std::function<void(std::string_view)>& event) {
  if (line.empty()) {
    if (has_data_) event(data_);
    data_.clear();
    has_data_ = false;
    return;
  }
  constexpr std::string_view field = "data:";
  if (!line.starts_with(field)) return;
  line.remove_prefix(field.size());
  if (line.starts_with(' ')) line.remove_prefix(1);
  if (has_data_) data_ += '\n';
  data_ += line;
  has_data_ = true;
}

}  // namespace hearth::mcp
