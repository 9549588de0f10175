// hearth mcp: the Model Context Protocol over standard input and output, for programs that start
// their servers themselves.  Source: Model Context Protocol, revision 2025-11-25, "Transports",
// stdio: one message a line.
#include <fmt/core.h>
#include <unistd.h>

#include <atomic>
#include <cstdio>
#include <mutex>

#include "cli/rows.h"
#include "cli/serving.h"

namespace hearth::cli {
namespace {

constexpr std::size_t max_line_bytes = 64u << 20;

// Lines to standard output, from any thread, and how many answers are still to come.
class Output {
 public:
  void line(const std::string& text) {
    const std::lock_guard lock(mutex_);
    std::fwrite(text.data(), 1, text.size(), stdout);
    std::fputc('\n', stdout);
    std::fflush(stdout);
  }
  void begin() { ++open_; }
  void end() {
    --open_;
    open_.notify_all();
  }
  void wait() {
    for (int open = open_; open > 0; open = open_) open_.wait(open);
  }

 private:
  std::mutex mutex_;
  std::atomic<int> open_{0};
};

std::string failure_line(int code, std::string_view message) {
  return write_json(
      Json::object({{"jsonrpc", "2.0"},
                    {"id", Json()},
                    {"error", Json::object({{"code", code}, {"message", message}})}}));
}

// The answer to one line.
class LineResponder final : public http::Responder {
 public:
  explicit LineResponder(Output& output) : output_(output) { output_.begin(); }
  ~LineResponder() override { output_.end(); }
  LineResponder(const LineResponder&) = delete;
  LineResponder& operator=(const LineResponder&) = delete;

  void send(http::Response response) override {
    if (response.body.empty()) return;
    const auto body = parse_json(response.body);
    if (body && body->find("jsonrpc")) return output_.line(response.body);
    // Refused before it was read: the server is full.
    constexpr int internal_error = -32603;
    output_.line(failure_line(internal_error, response.body));
  }
  void start_stream(http::StreamStart) override {}
  void write(std::string_view) override {}
  void finish() override {}
  bool is_open() const override { return true; }
  std::size_t pending_bytes() const override { return 0; }
  std::stop_token stop() const override { return stop_.get_token(); }

 private:
  Output& output_;
  std::stop_source stop_;
};

void ask(server::ApiServer& server, Output& output, std::string line) {
  static std::uint64_t number = 0;
  http::Request request;
  request.id = fmt::format("req_mcp{}", ++number);
  request.method = "POST";
  request.path = "/mcp";
  request.body = std::move(line);
  server.ask(std::move(request), std::make_shared<LineResponder>(output));
}

// Whole lines of standard input, to its end.  One that is too long is refused and passed over.
void answer_lines(server::ApiServer& server, Output& output) {
  constexpr int parse_error = -32700;
  std::string line;
  bool is_too_long = false;
  std::vector<char> buffer(64u << 10);
  for (ssize_t got = 0; (got = ::read(STDIN_FILENO, buffer.data(), buffer.size())) > 0;) {
    std::string_view rest(buffer.data(), static_cast<std::size_t>(got));
    while (!rest.empty()) {
      const std::size_t end = rest.find('\n');
      if (!is_too_long) line += rest.substr(0, end);
      is_too_long = is_too_long || line.size() > max_line_bytes;
      rest.remove_prefix(end == rest.npos ? rest.size() : end + 1);
      if (end == std::string_view::npos) continue;
      if (is_too_long)
        output.line(
            failure_line(parse_error, fmt::format("a message is over {} bytes", max_line_bytes)));
      else if (line.find_first_not_of(" \t\r") != line.npos)
        ask(server, output, std::move(line));
      line.clear();
      is_too_long = false;
    }
  }
}

Status run(App&, const Arguments& arguments) {
  const Config config = TRY(read_tuned_config(arguments));
  const std::unique_ptr<LiveLibrary> library = TRY(open_library(arguments, config));
  server::ApiServerOptions options = api_options(config);
  options.listens = false;
  Output output;
  const auto server = TRY(server::ApiServer::create(config.server, *library, options));
  answer_lines(*server, output);
  output.wait();
  return Done{};
}

}  // namespace

const Command mcp_command{
    .name = "mcp",
    .arguments = "",
    .summary = "Speak the Model Context Protocol on standard input and output.",
    .details =
        "For editors and agents that start their servers: the command is `hearth`, its argument\n"
        "`mcp`.  Tools to list, search, download, load and ask models, to embed and rank texts and "
        "to\n"
        "search collections.  A running `hearth serve` has the same at /mcp.\n"
        "The other way round, `hearth mcp list` and its kin use servers of others.",
    .options = {},
    .run = run};

}  // namespace hearth::cli
