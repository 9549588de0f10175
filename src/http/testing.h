// For tests and benches: a blocking client that sends raw bytes over loopback.
#pragma once

#include <chrono>
#include <cstdint>
#include <string>
#include <string_view>

namespace hearth::http {

class TestClient {
 public:
  // With `receive_buffer_bytes`, the kernel keeps no more than about that for a client that does
  // not read.
  explicit TestClient(std::uint16_t port, int receive_buffer_bytes = 0);
  ~TestClient();
  TestClient(TestClient&& other) noexcept;
  TestClient(const TestClient&) = delete;
  TestClient& operator=(const TestClient&) = delete;

  bool is_connected() const { return is_connected_; }
  int socket() const { return socket_; }

  bool send(std::string_view bytes);
  void finish_sending();
  void close();
  void reset();  // closes so that the other side sees a reset

  // Everything up to and with `end`; with an empty `end`, up to the close.  What has come by then
  // when it does not come within `patience`.
  std::string read_until(std::string_view end,
                         std::chrono::milliseconds patience = std::chrono::seconds(10));
  // True once a read has met the end.
  bool is_closed() const { return is_closed_; }

  // One response: its head and a body of Content-Length, or of chunks (decoded).
  struct Answer {
    int status = 0;
    std::string head, body;
  };
  Answer read_answer();

 private:
  bool receive_some(std::chrono::milliseconds patience);
  std::string read_exactly(std::size_t size);

  int socket_;
  bool is_connected_ = false, is_closed_ = false;
  std::string held_;
};

// A frame of a WebSocket as clients send them: masked.
struct FrameShape {
  bool is_final = true;
  int reserved = 0;  // the three bits
};
std::string client_frame(int opcode, std::string_view payload, FrameShape shape = {});

}  // namespace hearth::http
