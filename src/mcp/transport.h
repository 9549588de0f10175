// Transport: how messages go to a server and come from it.
#pragma once

#include <chrono>
#include <functional>
#include <memory>
#include <stop_token>
#include <string>

#include "base/json.h"
#include "mcp/settings.h"

namespace hearth::mcp {

constexpr std::size_t max_message_bytes = 16 << 20;
constexpr JsonLimits message_limits{
    .max_bytes = max_message_bytes, .max_depth = 64, .max_members = 1 << 20};

struct Deadline {
  std::chrono::steady_clock::time_point time;
  std::stop_token stop;
};

// What a transport tells; from any thread.
struct Hearing {
  std::function<void(Json message)> message;
  // Nothing more will come: it ended, or what it sends cannot be borne.
  std::function<void(Error why)> end;
};

// Thread-safe.
class Transport {
 public:
  virtual ~Transport() = default;
  // One message.  `is_request`: an answer to it is waited for, here or by Hearing.
  virtual Status send(const std::string& message, bool is_request, const Deadline& deadline) = 0;
  // Whether the answer has come when send() is done, or never will.
  virtual bool has_answered() const = 0;
  virtual void set_version(const std::string&) {}  // of the protocol, once it is agreed on
};

// Errors: not_found, io: the program cannot be started.
Result<std::unique_ptr<Transport>> start_program(const ServerSettings& server,
                                                 const Variables& variables, Hearing hearing);
std::unique_ptr<Transport> connect_http(const ServerSettings& server, Hearing hearing);

// Events of a stream as they come: joins "data:" lines and gives whole ones.  Errors: exhausted.
// Source: WHATWG HTML, "Server-sent events", section 9.2.6.
class EventReader {
 public:
  Status add(std::string_view bytes, const std::function<void(std::string_view data)>& event);

 private:
  void take_line(std::string_view line, const std::function<void(std::string_view)>& event);
  std::string line_, data_;
  bool has_data_ = false, after_cr_ = false;
};

}  // namespace hearth::mcp
