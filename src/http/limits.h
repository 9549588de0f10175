// Every limit of the HTTP server, in one place.  Tests hold each one at, below and above.
#pragma once

#include <chrono>
#include <cstddef>

namespace hearth::http::limits {

// A request's head.  Past one of these: 414 for the first line, 431 for the rest.
constexpr std::size_t request_line_bytes = 8u << 10;
constexpr std::size_t header_line_bytes = 8u << 10;
constexpr std::size_t head_bytes = 32u << 10;
constexpr std::size_t header_lines = 100;
constexpr std::size_t method_bytes = 16;

// Framing of a chunked body: what may stand between two runs of data, and after the last (400).
constexpr std::size_t chunk_extension_bytes = 256;
constexpr std::size_t chunk_framing_bytes = 16u << 10;

// Images arrive inside JSON as base64, so one request may be large (413) ...
constexpr std::size_t body_bytes = 64u << 20;
// ... as large as a compressed one may become; and past so many bytes it may be so many times what
// was sent (413).  Text is seldom a twentieth when compressed; bombs are a thousandth.
constexpr std::size_t unpacked_free_bytes = 1u << 20;
constexpr std::size_t unpacked_ratio = 100;
// ... but all bodies held at one time are bounded together (503).
constexpr std::size_t bodies_together_bytes = 512u << 20;
// A refused request's body is read to its end, so that the connection lives, if it is this small.
constexpr std::size_t swallowed_body_bytes = 64u << 10;

// Slow clients (408).
constexpr std::chrono::seconds head_deadline{10};
constexpr std::chrono::seconds body_idle{20};
constexpr std::chrono::seconds body_rate_grace{20};
constexpr std::size_t body_bytes_per_second = 500;

// Connections.
constexpr std::size_t connections = 1024;            // the next one gets 503
constexpr std::size_t connections_per_address = 64;  // loopback is exempt
constexpr std::chrono::seconds keep_alive_idle{60};
constexpr std::size_t requests_per_connection = 1000;
constexpr std::size_t pipelined_bytes = 64u << 10;  // read ahead while a request is answered
constexpr std::chrono::seconds linger{2};           // for the last answer to be read
constexpr std::size_t linger_bytes = 1u << 20;

// Slow readers.  A stream's reader is dropped after `stall` with `stall_bytes` unsent, or at once
// past `unsent_bytes` (a WebSocket's with 1013); the reader of a finished answer when it takes less
// than body_bytes_per_second for `stall`.
constexpr std::chrono::seconds stall{30};
constexpr std::size_t stall_bytes = 256u << 10;
constexpr std::size_t unsent_bytes = 1u << 20;

// WebSockets: clients listen, and have little to say.  Past one of these the socket is closed, with
// the code in brackets.
constexpr std::size_t socket_message_bytes =
    16u << 10;                                // from the client, its fragments together (1009)
constexpr int socket_frames_per_second = 10;  // from the client, on average (1008) ...
constexpr int socket_frames_at_once = 100;    // ... and after a silence
constexpr std::chrono::seconds socket_ping{20};
constexpr std::chrono::seconds socket_silence{60};  // without a sign of life: the client is gone

// A comment on silent streams, so that proxies and clients see life.
constexpr std::chrono::seconds heartbeat{10};

// After a stop is asked: time for answers to finish, then time for their last words to leave.
constexpr std::chrono::seconds drain{30};
constexpr std::chrono::seconds last_words{1};

}  // namespace hearth::http::limits
