#include <arpa/inet.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <utility>

#include "http/testing.h"

namespace hearth::http {

TestClient::TestClient(std::uint16_t port, int receive_buffer_bytes)
    : socket_(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)) {
  if (receive_buffer_bytes > 0)
    ::setsockopt(socket_, SOL_SOCKET, SO_RCVBUF, &receive_buffer_bytes,
                 sizeof receive_buffer_bytes);
  sockaddr_in place{};
  place.sin_family = AF_INET;
  place.sin_port = htons(port);
  place.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  is_connected_ = ::connect(socket_, reinterpret_cast<sockaddr*>(&place), sizeof place) == 0;
}

TestClient::~TestClient() { close(); }

TestClient::TestClient(TestClient&& other) noexcept
    : socket_(std::exchange(other.socket_, -1)),
      is_connected_(other.is_connected_),
      held_(std::move(other.held_)) {}

bool TestClient::send(std::string_view bytes) {
  while (!bytes.empty()) {
    const ssize_t put = ::send(socket_, bytes.data(), bytes.size(), MSG_NOSIGNAL);
    if (put <= 0) return false;
    bytes.remove_prefix(static_cast<std::size_t>(put));
  }
  return true;
}

void TestClient::finish_sending() { ::shutdown(socket_, SHUT_WR); }

void TestClient::close() {
  if (socket_ >= 0) ::close(socket_);
  socket_ = -1;
}

void TestClient::reset() {
  const linger now{1, 0};
  ::setsockopt(socket_, SOL_SOCKET, SO_LINGER, &now, sizeof now);
  close();
}

std::string TestClient::read_until(std::string_view end, std::chrono::milliseconds patience) {
  const auto deadline = std::chrono::steady_clock::now() + patience;
  for (;;) {
    const std::size_t found = end.empty() ? std::string::npos : held_.find(end);
    if (found != std::string::npos) {
      std::string text = held_.substr(0, found + end.size());
      held_.erase(0, text.size());
      return text;
    }
    const auto left = std::chrono::duration_cast<std::chrono::milliseconds>(
        deadline - std::chrono::steady_clock::now());
    if (left.count() <= 0 || !receive_some(left)) break;
  }
  return std::exchange(held_, {});
}

TestClient::Answer TestClient::read_answer() {
  Answer answer;
  answer.head = read_until("\r\n\r\n");
  if (answer.head.size() > 12) answer.status = std::stoi(answer.head.substr(9, 3));
  const auto header = [&](std::string_view name) {
    const std::size_t at = answer.head.find(name);
    return at == std::string::npos ? std::string() : answer.head.substr(at + name.size(), 20);
  };
  if (!header("Transfer-Encoding: chunked").empty()) {
    for (;;) {
      const std::string line = read_until("\r\n");
      const std::size_t size = line.empty() ? 0 : std::stoul(line, nullptr, 16);
      answer.body += read_exactly(size);
      read_until("\r\n");
      if (size == 0) return answer;
    }
  }
  const std::string length = header("Content-Length: ");
  if (!length.empty()) answer.body = read_exactly(std::stoul(length));
  return answer;
}

// Waits for more bytes and takes them.  False: none came.
bool TestClient::receive_some(std::chrono::milliseconds patience) {
  pollfd event{socket_, POLLIN, 0};
  if (::poll(&event, 1, static_cast<int>(patience.count())) <= 0) return false;
  char buffer[1 << 16];
  const ssize_t got = ::recv(socket_, buffer, sizeof buffer, 0);
  if (got > 0) held_.append(buffer, static_cast<std::size_t>(got));
  is_closed_ = is_closed_ || got <= 0;
  return got > 0;
}

std::string TestClient::read_exactly(std::size_t size) {
  while (held_.size() < size && receive_some(std::chrono::seconds(10))) {
  }
  std::string text = held_.substr(0, size);
  held_.erase(0, text.size());
  return text;
}

std::string client_frame(int opcode, std::string_view payload, FrameShape shape) {
  constexpr std::string_view mask = "mask";
  const auto byte = [](std::size_t value) { return static_cast<char>(value & 255); };
  std::string frame;
  frame += static_cast<char>((shape.is_final ? 128 : 0) | shape.reserved << 4 | opcode);
  const std::size_t size = payload.size();
  const int more = size < 126 ? 0 : size < 65536 ? 2 : 8;
  frame += byte(128 | (more == 0 ? size : more == 2 ? 126 : 127));
  for (int i = more - 1; i >= 0; --i) frame += byte(size >> (8 * i));
  frame += mask;
  for (std::size_t i = 0; i < size; ++i) frame += static_cast<char>(payload[i] ^ mask[i % 4]);
  return frame;
}

}  // namespace hearth::http
