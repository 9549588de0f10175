// streams_bench [--streams N] [--seconds S] [--disconnects N]
// What the server itself costs, with a model that takes a token every 50 ms and computes nothing:
//   1. N streams at once (1,000): the gaps between the events of each, memory and processor time;
//   2. ten times the load that it can take: what is still done, and how refusals come;
//   3. clients that leave in the middle (10,000): what is left of them.
// The clients are a process of their own on the same machine.  Every bar is printed, met or missed;
// ends with 1 when one is missed.
#include <fcntl.h>
#include <fmt/core.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cstdlib>
#include <cstring>
#include <random>
#include <thread>

#include "base/files.h"
#include "server/scripted.h"
#include "server/serve.h"

using namespace hearth;
using Clock = std::chrono::steady_clock;

namespace {

constexpr auto tick = std::chrono::milliseconds(50);
constexpr std::uint32_t overload_places = 64, overload_queue = 64;
constexpr int overload_tokens = 20;

// The bars.  What clients leave is the allocator's own, which does not grow with them.
constexpr double max_off_ms = 25, max_stream_kib = 64, min_goodput = 0.9, max_refusal_ms = 100,
                 max_left_kib = 16;

double seconds_since(Clock::time_point begin) {
  return std::chrono::duration<double>(Clock::now() - begin).count();
}

// Sleeps to the next tick, so that every stream of a batch gets one token a tick.
std::function<void()> paced() {
  return [next = Clock::now()]() mutable {
    const auto now = Clock::now();
    next += tick;
    if (next < now) next = now;
    std::this_thread::sleep_until(next);
  };
}

std::string request_text(int tokens) {
  const std::string body = fmt::format(
      R"({{"model":"scripted","stream":true,"max_tokens":{},"messages":[{{"role":"user","content":"Go on."}}]}})",
      tokens);
  return fmt::format(
      "POST /v1/chat/completions HTTP/1.1\r\nHost: localhost\r\nContent-Type: "
      "application/json\r\nContent-Length: {}\r\n\r\n{}",
      body.size(), body);
}

// One request on a connection of its own.
struct Client {
  int socket = -1;
  int status = 0, events = 0, leave_after = -1;
  bool is_done = false, has_retry = false;
  Clock::time_point asked, last_event, ended;
  std::string line;
};

struct Totals {
  int whole = 0, refused = 0, refused_without_retry = 0, broken = 0, left = 0;
  std::vector<double> gaps, first, refusals;  // ms
};

// Many clients in one thread.
class Clients {
 public:
  explicit Clients(std::uint16_t port) : port_(port), poll_(::epoll_create1(0)) {}
  ~Clients() { ::close(poll_); }

  void start(int tokens, int leave_after = -1) {
    auto client = std::make_unique<Client>();
    client->socket = ::socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
    client->leave_after = leave_after;
    client->asked = Clock::now();
    sockaddr_in to{};
    to.sin_family = AF_INET;
    to.sin_port = htons(port_);
    to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    ::connect(client->socket, reinterpret_cast<sockaddr*>(&to), sizeof to);
    epoll_event wanted{EPOLLOUT | EPOLLIN, {.ptr = client.get()}};
    ::epoll_ctl(poll_, EPOLL_CTL_ADD, client->socket, &wanted);
    text_ = request_text(tokens);
    open_.push_back(std::move(client));
  }
  std::size_t open() const { return open_.size(); }
  Totals& totals() { return totals_; }

  void turn(int wait_ms) {
    std::array<epoll_event, 512> ready;
    const int count = ::epoll_wait(poll_, ready.data(), ready.size(), wait_ms);
    for (int i = 0; i < count; ++i) {
      Client& client = *static_cast<Client*>(ready[static_cast<std::size_t>(i)].data.ptr);
      if (ready[static_cast<std::size_t>(i)].events & EPOLLOUT) send(client);
      if (ready[static_cast<std::size_t>(i)].events & (EPOLLIN | EPOLLHUP | EPOLLERR)) read(client);
    }
    std::erase_if(open_, [](const auto& client) { return client->socket < 0; });
  }

 private:
  void send(Client& client) {
    if (::send(client.socket, text_.data(), text_.size(), MSG_NOSIGNAL) < 0) return end(client);
    epoll_event wanted{EPOLLIN, {.ptr = &client}};
    ::epoll_ctl(poll_, EPOLL_CTL_MOD, client.socket, &wanted);
  }
  void read(Client& client) {
    std::array<char, 16384> buffer;
    const ssize_t got = ::recv(client.socket, buffer.data(), buffer.size(), 0);
    if (got < 0 && errno == EAGAIN) return;
    if (got <= 0) return end(client);
    for (ssize_t i = 0; i < got && client.socket >= 0; ++i) {
      const char c = buffer[static_cast<std::size_t>(i)];
      if (c != '\n') {
        client.line += c;
        continue;
      }
      take(client, client.line);
      client.line.clear();
    }
  }
  void take(Client& client, std::string_view line) {
    if (client.status == 0 && line.starts_with("HTTP/1.1 "))
      client.status = std::atoi(line.substr(9, 3).data());
    if (line.starts_with("Retry-After: ")) client.has_retry = true;
    // A refusal's body ends with its object, which has no line end: its head is enough.
    if (client.status >= 400 && line == "\r") {
      client.is_done = true;
      return end(client);
    }
    if (!line.starts_with("data: ")) return;
    if (line == "data: [DONE]") {
      client.is_done = true;
      return end(client);
    }
    const auto now = Clock::now();
    const auto ms = [](Clock::duration span) {
      return std::chrono::duration<double, std::milli>(span).count();
    };
    // The first event comes before the first token.
    if (client.events == 1) totals_.first.push_back(ms(now - client.asked));
    if (client.events > 1) totals_.gaps.push_back(ms(now - client.last_event));
    client.last_event = now;
    if (++client.events == client.leave_after) end(client);
  }
  void end(Client& client) {
    ::close(client.socket);
    client.socket = -1;
    if (client.leave_after >= 0 && client.events >= client.leave_after)
      ++totals_.left;
    else if (client.is_done && client.status == 200)
      ++totals_.whole;
    else if (client.status == 503 || client.status == 429) {
      ++totals_.refused;
      totals_.refused_without_retry += !client.has_retry;
      totals_.refusals.push_back(
          std::chrono::duration<double, std::milli>(Clock::now() - client.asked).count());
    } else
      ++totals_.broken;
  }

  const std::uint16_t port_;
  const int poll_;
  std::string text_;
  std::vector<std::unique_ptr<Client>> open_;
  Totals totals_;
};

double quantile(std::vector<double> values, double q) {
  if (values.empty()) return 0;
  std::ranges::sort(values);
  return values[static_cast<std::size_t>(q * static_cast<double>(values.size() - 1))];
}

std::size_t resident_bytes() {
  const auto text = read_file("/proc/self/statm", 4096);
  std::size_t all = 0, resident = 0;
  if (text) std::sscanf(text->c_str(), "%zu %zu", &all, &resident);
  return resident * static_cast<std::size_t>(::sysconf(_SC_PAGESIZE));
}
double processor_seconds() {
  rusage use{};
  ::getrusage(RUSAGE_SELF, &use);
  return static_cast<double>(use.ru_utime.tv_sec + use.ru_stime.tv_sec) +
         static_cast<double>(use.ru_utime.tv_usec + use.ru_stime.tv_usec) / 1e6;
}
double processor_seconds_of_clients() {
  rusage use{};
  ::getrusage(RUSAGE_CHILDREN, &use);
  return static_cast<double>(use.ru_utime.tv_sec + use.ru_stime.tv_sec) +
         static_cast<double>(use.ru_utime.tv_usec + use.ru_stime.tv_usec) / 1e6;
}

// Of all cores: what everybody computed, and what the machine underneath gave to others.
// Source: proc(5), /proc/stat.
double machine_seconds() {
  const auto text = read_file("/proc/stat", 1 << 20);
  std::array<double, 8> used{};  // user nice system idle iowait irq softirq steal
  if (text)
    std::sscanf(text->c_str(), "cpu %lf %lf %lf %lf %lf %lf %lf %lf", &used[0], &used[1], &used[2],
                &used[3], &used[4], &used[5], &used[6], &used[7]);
  const double all = used[0] + used[1] + used[2] + used[5] + used[6] + used[7];
  return all / static_cast<double>(::sysconf(_SC_CLK_TCK));
}

std::size_t open_files() { return list_folder("/proc/self/fd").value_or({}).size(); }

// ---- The server. ----

struct Running {
  std::unique_ptr<server::ApiServer> server;
  Lease lease;
  std::jthread thread;
  ~Running() {
    server->stop();
    server->stop();
  }
};

std::unique_ptr<Running> start(std::uint32_t running, std::uint32_t queued) {
  server::ScriptedOptions options;
  options.script = {{{}, {}, std::string(200'000, 'a')}};
  options.before_step = paced();
  options.runner.max_running = running;
  options.runner.max_queued = queued;
  options.runner.step_tokens = 16'384;
  auto lease = server::scripted_lease("scripted", std::move(options));
  HEARTH_CHECK(lease.ok());
  ServerConfig config;
  config.port = 0;
  config.queue = queued;
  auto made = std::make_unique<Running>();
  made->lease = *lease;
  auto created = server::ApiServer::create(config, {*lease});
  HEARTH_CHECK(created.ok());
  made->server = std::move(*created);
  made->thread = std::jthread([raw = made->server.get()] { raw->run(); });
  return made;
}

// What was promised, and how many promises of this process were not kept.
int missed = 0;
void bar(bool is_met, const std::string& what) {
  fmt::print("  {} {}\n", is_met ? "met:   " : "MISSED:", what);
  missed += is_met ? 0 : 1;
}

// Runs `work` as a process of its own, which prints its bars.
template <typename Work>
pid_t as_process(const Work& work) {
  std::fflush(stdout);
  const pid_t pid = ::fork();
  if (pid != 0) return pid;
  missed = 0;
  work();
  std::fflush(stdout);
  ::_exit(missed);
}
void take_ended(int status) { missed += WIFEXITED(status) ? WEXITSTATUS(status) : 1; }

void streams_at_once(int streams, int seconds) {
  const auto running = start(static_cast<std::uint32_t>(streams), 4096);
  const std::uint16_t port = running->server->port();
  const std::size_t before = resident_bytes();
  const double used = processor_seconds(), by_clients = processor_seconds_of_clients();
  const double by_all = machine_seconds();
  const auto begin = Clock::now();
  const pid_t pid = as_process([&] {
    Clients clients(port);
    for (int i = 0; i < streams; ++i) {
      clients.start(seconds * 20);
      if (i % 50 == 49) clients.turn(10);
    }
    while (clients.open() > 0) clients.turn(100);
    const Totals& totals = clients.totals();
    fmt::print(
        "{} streams of {} tokens: {} whole, {} refused, {} broken\n  gaps between events: median "
        "{:.1f} ms, p99 {:.1f} ms, p99.9 {:.1f} ms, longest {:.1f} ms (a tick is {} ms)\n",
        streams, seconds * 20, totals.whole, totals.refused, totals.broken,
        quantile(totals.gaps, 0.5), quantile(totals.gaps, 0.99), quantile(totals.gaps, 0.999),
        quantile(totals.gaps, 1), tick.count());
    std::vector<double> late;
    for (const double gap : totals.gaps)
      late.push_back(std::abs(gap - static_cast<double>(tick.count())));
    const double off = quantile(late, 0.99);
    bar(off <= max_off_ms,
        fmt::format("99 % of the gaps within {:.0f} ms of the tick: {:.1f} ms", max_off_ms, off));
    bar(totals.whole == streams,
        fmt::format("every stream is whole: {} of {}", totals.whole, streams));
  });
  std::size_t most = 0;
  int status = 0;
  while (::waitpid(pid, &status, WNOHANG) == 0) {
    most = std::max(most, resident_bytes());
    std::this_thread::sleep_for(std::chrono::milliseconds(200));
  }
  take_ended(status);
  const double each = static_cast<double>(most - before) / 1024 / streams;
  const double took = seconds_since(begin), server = processor_seconds() - used;
  const double clients = processor_seconds_of_clients() - by_clients;
  // Where others compute too, ticks come late whatever the server does.
  fmt::print(
      "  server: {:.0f} % of one core, its clients: {:.0f} %, everything else on this machine: "
      "{:.0f} %\n",
      100 * server / took, 100 * clients / took,
      100 * std::max(0.0, machine_seconds() - by_all - server - clients) / took);
  bar(each <= max_stream_kib,
      fmt::format("at most {:.0f} KiB a stream: {:.1f} KiB", max_stream_kib, each));
}

// Requests come at random moments, whatever becomes of those before.  Requests done in a second.
double offered(std::uint16_t port, double rate, int seconds, bool prints) {
  int ends[2];
  HEARTH_CHECK(::pipe(ends) == 0);
  const pid_t pid = as_process([&] {
    Clients clients(port);
    std::mt19937_64 random(7);
    std::exponential_distribution<double> gap(rate);
    const auto begin = Clock::now();
    double next = 0;
    while (seconds_since(begin) < seconds) {
      while (next <= seconds_since(begin)) {
        clients.start(overload_tokens);
        next += gap(random);
      }
      clients.turn(1);
    }
    const int whole = clients.totals().whole;
    while (clients.open() > 0) clients.turn(100);
    const Totals& totals = clients.totals();
    if (prints)
      fmt::print(
          "  offered {:.0f} a second: {} done, {} refused ({} without Retry-After), {} broken\n"
          "  a refusal takes: median {:.1f} ms, p99 {:.1f} ms; a first token: p99 {:.0f} ms\n",
          rate, totals.whole, totals.refused, totals.refused_without_retry, totals.broken,
          quantile(totals.refusals, 0.5), quantile(totals.refusals, 0.99),
          quantile(totals.first, 0.99));
    if (prints) {
      bar(totals.refused_without_retry == 0 && totals.broken == 0,
          fmt::format(
              "every refusal says when to come again, nothing breaks: {} without, {} broken",
              totals.refused_without_retry, totals.broken));
      const double slow = quantile(totals.refusals, 0.99);
      bar(slow <= max_refusal_ms,
          fmt::format("99 % of the refusals within {:.0f} ms: {:.1f} ms", max_refusal_ms, slow));
    }
    const double done = static_cast<double>(whole) / seconds;
    HEARTH_CHECK(::write(ends[1], &done, sizeof done) == sizeof done);
  });
  double done = 0;
  HEARTH_CHECK(::read(ends[0], &done, sizeof done) == sizeof done);
  int status = 0;
  ::waitpid(pid, &status, 0);
  take_ended(status);
  ::close(ends[0]);
  ::close(ends[1]);
  return done;
}

void overload(int seconds) {
  const auto running = start(overload_places, overload_queue);
  const std::uint16_t port = running->server->port();
  // Each request takes its tokens and the step that reads its prompt.
  const double capacity = overload_places / ((overload_tokens + 1) * 0.05);
  const double peak = offered(port, 0.9 * capacity, seconds, false);
  fmt::print("overload: room for {} at once, {:.0f} requests a second\n", overload_places,
             capacity);
  const double done = offered(port, 10 * capacity, seconds, true);
  bar(done >= min_goodput * peak,
      fmt::format("at ten times the load {:.0f} % is done of what is done at nine tenths of it: "
                  "{:.0f} % ({:.1f} and {:.1f} a second)",
                  100 * min_goodput, 100 * done / peak, done, peak));
}

void disconnects(int count) {
  const auto running = start(512, 4096);
  const std::uint16_t port = running->server->port();
  const std::size_t files = open_files();
  const auto wave = [&](int clients_of_wave, int seed) {
    const pid_t pid = as_process([&] {
      Clients clients(port);
      std::mt19937 random(static_cast<unsigned>(seed));
      for (int i = 0; i < clients_of_wave; ++i) {
        while (clients.open() >= 400) clients.turn(20);
        clients.start(1000, 1 + static_cast<int>(random() % 20));
        if (i % 20 == 19) clients.turn(1);
      }
      while (clients.open() > 0) clients.turn(100);
      if (clients.totals().broken + clients.totals().refused > 0)
        fmt::print("  {} broken, {} refused\n", clients.totals().broken, clients.totals().refused);
    });
    ::waitpid(pid, nullptr, 0);
  };
  wave(500, 1);
  const std::size_t before = resident_bytes();
  wave(count, 2);
  const auto begin = Clock::now();
  RunnerStats stats = running->lease->runner->stats();
  // Sockets are closed by another thread than the one that counts requests.
  while ((stats.running + stats.queued > 0 || open_files() > files) && seconds_since(begin) < 10) {
    std::this_thread::sleep_for(std::chrono::milliseconds(10));
    stats = running->lease->runner->stats();
  }
  const double waited = 1000 * seconds_since(begin);
  const long more_files = static_cast<long>(open_files()) - static_cast<long>(files);
  const double kib =
      (static_cast<double>(resident_bytes()) - static_cast<double>(before)) / 1024 * 100 / count;
  fmt::print("{} clients left in the middle; {:.0f} ms later:\n", count, waited);
  bar(stats.running + stats.queued == 0 && stats.kv_pages_used == 0 && more_files <= 0,
      fmt::format("nothing of theirs is in use: {} requests, {} pages, {} files",
                  stats.running + stats.queued, stats.kv_pages_used, more_files));
  bar(kib <= max_left_kib,
      fmt::format("at most {:.0f} KiB of memory a hundred clients: {:.1f} KiB", max_left_kib, kib));
}

int option(int count, char** words, const char* name, int otherwise) {
  for (int i = 1; i + 1 < count; ++i)
    if (std::strcmp(words[i], name) == 0) return std::atoi(words[i + 1]);
  return otherwise;
}

}  // namespace

int main(int count, char** words) {
  raise_open_file_limit();
  ::signal(SIGPIPE, SIG_IGN);
  const int seconds = option(count, words, "--seconds", 20);
  streams_at_once(option(count, words, "--streams", 1000), seconds);
  overload(seconds);
  disconnects(option(count, words, "--disconnects", 10'000));
  fmt::print("{}\n", missed == 0 ? "every bar is met" : fmt::format("{} bars are missed", missed));
  return missed == 0 ? 0 : 1;
}
