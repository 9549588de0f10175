// RequestParser: bytes of HTTP/1.0 and 1.1 become one Request.  No I/O.
// Source: RFC 9112.  Framing that two readers could understand differently is refused.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "http/inflate.h"
#include "http/limits.h"
#include "http/message.h"

namespace hearth::http {

// One message; used by one thread.
class RequestParser {
 public:
  enum class Stage { head, body, done };

  explicit RequestParser(std::size_t max_body_bytes = limits::body_bytes);
  ~RequestParser();
  RequestParser(const RequestParser&) = delete;
  RequestParser& operator=(const RequestParser&) = delete;

  // Takes bytes from the front of `input`, which begins with all bytes not taken so far, and
  // returns how many.  Stops at the end of the head, so that the caller may judge it, and at the
  // end of the message.  After a problem() it takes nothing.
  std::size_t take(std::string_view input);

  Stage stage() const { return stage_; }
  const std::optional<Problem>& problem() const { return problem_; }

  // A compressed body is unpacked as it comes.
  // Complete but for the body once the stage is past `head`; whole when it is `done`.
  Request& request() { return request_; }

  // True from the end of the head on.
  bool is_http10() const { return is_http10_; }
  bool wants_keep_alive() const { return keep_alive_; }
  bool expects_continue() const { return expects_continue_; }
  bool is_chunked() const { return chunked_; }
  std::uint64_t content_length() const { return content_length_; }  // 0 when chunked

 private:
  struct Beast;
  class HeadScan;

  std::size_t take_head(std::string_view input);
  std::size_t take_body(std::string_view input);
  void finish_head();
  bool judge_framing();
  bool fail(int status, std::string_view code, std::string_view message);

  std::size_t max_body_bytes_;
  std::unique_ptr<HeadScan> scan_;
  std::unique_ptr<Beast> beast_;
  std::unique_ptr<Inflater> inflater_;  // of a compressed body
  Stage stage_ = Stage::head;
  std::optional<Problem> problem_;
  Request request_;
  std::string target_;
  bool is_http10_ = false, keep_alive_ = false, expects_continue_ = false, chunked_ = false;
  std::uint64_t content_length_ = 0;
};

}  // namespace hearth::http
