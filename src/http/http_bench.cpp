// What the server costs: memory of idle streams, short requests per second, and the gaps between
// events of many streams at once.  Clients and server share the process and its cores.
//   http_bench [STREAMS]
#include <fmt/core.h>
#include <poll.h>
#include <sys/resource.h>
#include <sys/socket.h>

#include <algorithm>
#include <atomic>
#include <cstdlib>
#include <mutex>
#include <thread>

#include "http/server.h"
#include "http/testing.h"

using namespace hearth;
using namespace hearth::http;
using Clock = std::chrono::steady_clock;

namespace {

constexpr auto tick = std::chrono::milliseconds(50);
constexpr int ticks = 100;

double seconds_since(Clock::time_point begin) {
  return std::chrono::duration<double>(Clock::now() - begin).count();
}

std::size_t resident_bytes() {
  std::size_t pages = 0, resident = 0;
  if (std::FILE* file = std::fopen("/proc/self/statm", "r")) {
    if (std::fscanf(file, "%zu %zu", &pages, &resident) != 2) resident = 0;
    std::fclose(file);
  }
  return resident * static_cast<std::size_t>(::sysconf(_SC_PAGESIZE));
}

struct Bench {
  std::mutex mutex;
  std::vector<std::shared_ptr<Responder>> streams;
  std::unique_ptr<Server> server;
  std::jthread thread;
  double loop_cpu_seconds = 0;

  bool start(std::size_t connections) {
    ServerOptions options;
    options.max_connections = connections;
    Handler handler;
    handler.handle = [this](Request request, std::shared_ptr<Responder> responder) {
      if (request.path != "/stream") {
        responder->send({200, {{"Content-Type", "text/plain"}}, "hello"});
        return;
      }
      responder->start_stream({200, {{"Content-Type", "text/event-stream"}}, ": ping\n\n"});
      const std::lock_guard lock(mutex);
      streams.push_back(std::move(responder));
    };
    auto created = Server::create(options, std::move(handler));
    if (!created) return false;
    server = std::move(*created);
    thread = std::jthread([this] {
      server->run();
      rusage used{};
      ::getrusage(RUSAGE_THREAD, &used);
      loop_cpu_seconds = static_cast<double>(used.ru_utime.tv_sec + used.ru_stime.tv_sec) +
                         static_cast<double>(used.ru_utime.tv_usec + used.ru_stime.tv_usec) / 1e6;
    });
    return true;
  }
  void finish() {
    streams.clear();
    server->stop();
    server->stop();
    thread.join();
  }
};

std::string get(std::string_view path) {
  return fmt::format("GET {} HTTP/1.1\r\nHost: localhost\r\n\r\n", path);
}

void short_requests() {
  Bench bench;
  if (!bench.start(1024)) return;
  constexpr int clients = 32, rounds = 1500;
  const auto begin = Clock::now();
  {
    std::vector<TestClient> connections;
    for (int i = 0; i < clients; ++i) connections.emplace_back(bench.server->port());
    for (int round = 0; round < rounds; ++round) {
      for (TestClient& client : connections) client.send(get("/hello"));
      for (TestClient& client : connections) client.read_until("hello");
    }
  }
  const double seconds = seconds_since(begin);
  bench.finish();
  fmt::print("short requests: {:.0f} per second on {} connections\n", clients * rounds / seconds,
             clients);
}

void streams(std::size_t count) {
  Bench bench;
  if (!bench.start(count + 16)) return;
  std::vector<TestClient> clients;
  clients.reserve(count);
  const std::size_t before = resident_bytes();
  for (std::size_t i = 0; i < count; ++i) {
    clients.emplace_back(bench.server->port());
    clients.back().send(get("/stream"));
  }
  for (TestClient& client : clients) client.read_until("\r\n\r\n");
  fmt::print("{} idle streams: {:.1f} KB each\n", count,
             static_cast<double>(resident_bytes() - before) / 1024 / static_cast<double>(count));

  std::vector<double> gaps;
  std::atomic<bool> is_over{false};
  std::size_t events = 0;
  std::jthread reader([&] {
    std::vector<pollfd> waits;
    for (TestClient& client : clients) waits.push_back({client.socket(), POLLIN, 0});
    std::vector<Clock::time_point> last(count);
    char buffer[1 << 14];
    while (!is_over) {
      if (::poll(waits.data(), waits.size(), 100) <= 0) continue;
      const auto now = Clock::now();
      for (std::size_t i = 0; i < count; ++i) {
        if (!(waits[i].revents & POLLIN)) continue;
        const ssize_t got = ::recv(waits[i].fd, buffer, sizeof buffer, MSG_DONTWAIT);
        if (got <= 0) continue;
        if (last[i] != Clock::time_point())
          gaps.push_back(std::chrono::duration<double, std::milli>(now - last[i]).count());
        last[i] = now;
        events +=
            static_cast<std::size_t>(std::count(buffer, buffer + got, 'd'));  // one in each event
      }
    }
  });
  const auto begin = Clock::now();
  for (int i = 0; i < ticks; ++i) {
    for (const auto& stream : bench.streams) stream->write("data: {\"token\":\"x\"}\n\n");
    std::this_thread::sleep_until(begin + (i + 1) * tick);
  }
  const double seconds = seconds_since(begin);
  std::this_thread::sleep_for(tick);
  is_over = true;
  reader.join();
  bench.finish();
  std::sort(gaps.begin(), gaps.end());
  if (gaps.empty()) return;
  fmt::print(
      "{} streams x {:.0f} events per second: {} of {} arrived, gap p50 {:.1f} ms, p99 {:.1f} "
      "ms, loop {:.0f}% of a core\n",
      count, 1000.0 / static_cast<double>(tick.count()), events,
      count * static_cast<std::size_t>(ticks), gaps[gaps.size() / 2], gaps[gaps.size() * 99 / 100],
      100 * bench.loop_cpu_seconds / seconds);
}

}  // namespace

int main(int argc, char** argv) {
  rlimit files{};
  ::getrlimit(RLIMIT_NOFILE, &files);
  files.rlim_cur = files.rlim_max;
  ::setrlimit(RLIMIT_NOFILE, &files);
  short_requests();
  streams(argc > 1 ? static_cast<std::size_t>(std::atoi(argv[1])) : 1000);
  return 0;
}
