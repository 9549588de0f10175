#include "http/websocket.h"

#include <wslay/wslay.h>

#include <algorithm>

#include "base/ascii.h"
#include "http/limits.h"
#include "http/secrets.h"

namespace hearth::http {
namespace {

// Whether a list of names with commas between holds this one.
bool lists(const Request& request, std::string_view header, std::string_view name) {
  for (const Header& one : request.headers) {
    if (!equal_ignoring_case(one.name, header)) continue;
    std::string_view rest = one.value;
    while (!rest.empty()) {
      std::string_view item = rest.substr(0, rest.find(','));
      rest.remove_prefix(std::min(rest.size(), item.size() + 1));
      while (item.starts_with(' ') || item.starts_with('\t')) item.remove_prefix(1);
      while (item.ends_with(' ') || item.ends_with('\t')) item.remove_suffix(1);
      if (equal_ignoring_case(item, name)) return true;
    }
  }
  return false;
}

bool is_base64_letter(char c) {
  return (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '+' ||
         c == '/';
}

// 16 bytes in base64.
bool is_socket_key(std::string_view key) {
  return key.size() == 24 && key.ends_with("==") &&
         std::ranges::all_of(key.substr(0, 22), is_base64_letter);
}

}  // namespace

bool asks_for_socket(const Request& request) {
  return request.method == "GET" && lists(request, "Upgrade", "websocket") &&
         lists(request, "Connection", "upgrade");
}

std::optional<Response> refuse_socket(const Request& request) {
  const std::string* version = request.header("Sec-WebSocket-Version");
  if (count_headers(request.headers, "Sec-WebSocket-Version") != 1 || *version != "13") {
    Response response =
        error_response({426, "upgrade_required", "the WebSocket needs version 13", "", 0});
    response.headers.push_back({"Sec-WebSocket-Version", "13"});
    return response;
  }
  const std::string* key = request.header("Sec-WebSocket-Key");
  if (count_headers(request.headers, "Sec-WebSocket-Key") != 1 || !is_socket_key(*key))
    return error_response(
        {400, "bad_request", "the WebSocket needs one Sec-WebSocket-Key of 16 bytes", "", 0});
  return std::nullopt;
}

StreamStart socket_start(const Request& request) {
  const std::string* key = request.header("Sec-WebSocket-Key");
  const auto digest = sha1((key ? *key : "") + "258EAFA5-E914-47DA-95CA-C5AB0DC85B11");
  const std::string_view bytes(reinterpret_cast<const char*>(digest.data()), digest.size());
  return {.status = 101,
          .headers = {{"Upgrade", "websocket"},
                      {"Connection", "Upgrade"},
                      {"Sec-WebSocket-Accept", base64(bytes)}},
          .heartbeat = "",
          .is_socket = true};
}

// wslay reads and writes through callbacks, which are given this.
struct WebSocket::Codec {
  explicit Codec(Time now) : pinged(now), counted(now) { open(); }
  ~Codec() { ::wslay_event_context_free(context); }
  Codec(const Codec&) = delete;
  Codec& operator=(const Codec&) = delete;

  void open();
  void flush(std::string& out);
  void queue(wslay_opcode opcode, std::string_view text);
  void close(const StreamEnd& why, std::string& out);
  void count_frame(const wslay_event_on_frame_recv_start_arg& frame);

  wslay_event_context_ptr context = nullptr;
  std::string_view input;         // during receive()
  std::string* output = nullptr;  // during flush()
  bool is_over = false, is_wrong = false;
  Time pinged, counted;
  double frames_left = limits::socket_frames_at_once;
};

namespace {

template <class Codec>
wslay_event_callbacks callbacks() {
  wslay_event_callbacks made{};
  made.recv_callback = [](wslay_event_context_ptr context, std::uint8_t* buffer, std::size_t size,
                          int, void* data) -> ssize_t {
    std::string_view& input = static_cast<Codec*>(data)->input;
    const std::size_t count = std::min(size, input.size());
    if (count == 0) {
      ::wslay_event_set_error(context, WSLAY_ERR_WOULDBLOCK);
      return -1;
    }
    std::copy_n(input.data(), count, buffer);
    input.remove_prefix(count);
    return static_cast<ssize_t>(count);
  };
  made.send_callback = [](wslay_event_context_ptr, const std::uint8_t* bytes, std::size_t size, int,
                          void* data) -> ssize_t {
    static_cast<Codec*>(data)->output->append(reinterpret_cast<const char*>(bytes), size);
    return static_cast<ssize_t>(size);
  };
  made.on_frame_recv_start_callback =
      [](wslay_event_context_ptr, const wslay_event_on_frame_recv_start_arg* frame, void* data) {
        static_cast<Codec*>(data)->count_frame(*frame);
      };
  return made;
}

}  // namespace

void WebSocket::Codec::open() {
  static const wslay_event_callbacks made = callbacks<Codec>();
  ::wslay_event_context_free(context);
  context = nullptr;
  is_over = ::wslay_event_context_server_init(&context, &made, this) != 0;  // no memory
  if (context) ::wslay_event_config_set_max_recv_msg_length(context, limits::socket_message_bytes);
}

void WebSocket::Codec::flush(std::string& out) {
  if (is_over) return;
  output = &out;
  const int failure = ::wslay_event_send(context);
  output = nullptr;
  is_over = failure != 0 || ::wslay_event_get_close_sent(context) != 0;
}

void WebSocket::Codec::queue(wslay_opcode opcode, std::string_view text) {
  if (is_over) return;
  const wslay_event_msg message{static_cast<std::uint8_t>(opcode),
                                reinterpret_cast<const std::uint8_t*>(text.data()), text.size()};
  if (::wslay_event_queue_msg(context, &message) == WSLAY_ERR_NOMEM) is_over = true;
}

void WebSocket::Codec::close(const StreamEnd& why, std::string& out) {
  if (is_over) return;
  ::wslay_event_queue_close(context, why.code,
                            reinterpret_cast<const std::uint8_t*>(why.reason.data()),
                            why.reason.size());
  flush(out);
  is_over = true;
}

void WebSocket::Codec::count_frame(const wslay_event_on_frame_recv_start_arg& frame) {
  frames_left -= 1;
  // What wslay lets pass.  Source: RFC 6455, section 5.5.1.
  if (frame.opcode == WSLAY_CONNECTION_CLOSE && frame.payload_length == 1) is_wrong = true;
  if (is_wrong || frames_left < 0) ::wslay_event_shutdown_read(context);
}

WebSocket::WebSocket(Time now) : codec_(std::make_unique<Codec>(now)) {}
WebSocket::~WebSocket() = default;

void WebSocket::receive(std::string_view bytes, Time now, std::string& out) {
  Codec& codec = *codec_;
  if (codec.is_over || bytes.empty()) return;
  const std::chrono::duration<double> passed = now - std::exchange(codec.counted, now);
  codec.frames_left =
      std::min<double>(limits::socket_frames_at_once,
                       codec.frames_left + passed.count() * limits::socket_frames_per_second);
  codec.input = bytes;
  const int failure = ::wslay_event_recv(codec.context);
  codec.input = {};
  if (codec.frames_left < 0) {
    close({1008, "too many frames"}, out);
  } else if (failure != 0 || codec.is_wrong) {
    // wslay has put a close without a code in its queue; a client should learn what was wrong.
    codec.open();
    close({1002, "this is no frame"}, out);
  } else {
    codec.flush(out);
  }
}

void WebSocket::send(std::string_view text, std::string& out) {
  codec_->queue(WSLAY_TEXT_FRAME, text);
  codec_->flush(out);
}

void WebSocket::tick(Time now, std::string& out) {
  if (now - codec_->pinged < limits::socket_ping) return;
  codec_->pinged = now;
  codec_->queue(WSLAY_PING, "");
  codec_->flush(out);
}

void WebSocket::close(const StreamEnd& why, std::string& out) { codec_->close(why, out); }

bool WebSocket::is_over() const { return codec_->is_over; }

}  // namespace hearth::http
