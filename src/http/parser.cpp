// Beast 1.81 asserts that a last chunk arrives in one piece, and copes when it does not.
#define BOOST_DISABLE_ASSERTS

#include "http/parser.h"

#include <fmt/core.h>

#include <algorithm>
#include <boost/beast/http/basic_parser.hpp>
#include <charconv>

#include "base/ascii.h"
#include "http/target.h"

namespace hearth::http {

namespace bh = boost::beast::http;
using bh::field;
using bh::verb;
using BeastText = boost::beast::string_view;
using BeastError = boost::beast::error_code;

// Looks at each byte of a head once, so that limits and forbidden bytes are found as they arrive,
// however slowly, and the parser proper sees only whole heads.
class RequestParser::HeadScan {
 public:
  // Scans what is new in `input`.  True: the head ends at end().
  bool scan(std::string_view input) {
    for (; end_ < input.size() && status == 0; ++end_)
      if (step(static_cast<unsigned char>(input[end_]))) {
        ++end_;
        return true;
      }
    return false;
  }
  std::size_t end() const { return end_; }

  int status = 0;  // not 0: refused with it
  const char* reason = "";

 private:
  bool refuse(int code, const char* why) {
    status = code;
    reason = why;
    return false;
  }

  bool step(unsigned char c) {
    if (after_cr_) return line_feed(c);
    if (c == '\r') {
      after_cr_ = true;
      return false;
    }
    if (line_bytes_ == 0 && lines_ > 0 && (c == ' ' || c == '\t'))
      return refuse(400, "a header line is folded");
    if ((c < 0x20 && c != '\t') || c == 0x7f) return refuse(400, "the head has a control byte");
    ++line_bytes_;
    if (lines_ == 0 && line_bytes_ > limits::request_line_bytes)
      return refuse(414, "the request line is too long");
    if (lines_ > 0 && line_bytes_ > limits::header_line_bytes)
      return refuse(431, "a header line is too long");
    if (end_ >= limits::head_bytes) return refuse(431, "the headers are too long");
    return false;
  }

  bool line_feed(unsigned char c) {
    after_cr_ = false;
    if (c != '\n') return refuse(400, "a line does not end in CR LF");
    if (line_bytes_ == 0) return lines_ > 0 ? true : refuse(400, "the request line is empty");
    line_bytes_ = 0;
    if (++lines_ > limits::header_lines + 1) return refuse(431, "there are too many headers");
    return false;
  }

  std::size_t end_ = 0, line_bytes_ = 0, lines_ = 0;
  bool after_cr_ = false;
};

// Beast's parser, writing into ours.
struct RequestParser::Beast : bh::basic_parser<true> {
  explicit Beast(RequestParser& parser) : owner(parser) {
    header_limit(1u << 20);  // HeadScan and take_body hold the real limits
    body_limit(boost::none);
  }

  void on_request_impl(verb, BeastText method, BeastText target, int version,
                       BeastError&) override {
    owner.request_.method.assign(method.data(), method.size());
    owner.target_.assign(target.data(), target.size());
    owner.is_http10_ = version == 10;
  }
  void on_response_impl(int, BeastText, int, BeastError&) override {}
  void on_field_impl(field, BeastText name, BeastText value, BeastError&) override {
    if (owner.stage_ != Stage::head) return;  // trailers change nothing
    owner.request_.headers.push_back(
        {std::string(name.data(), name.size()), std::string(value.data(), value.size())});
  }
  void on_header_impl(BeastError&) override {}
  void on_body_init_impl(const boost::optional<std::uint64_t>&, BeastError&) override {}
  std::size_t on_body_impl(BeastText body, BeastError& error) override { return add(body, error); }
  void on_chunk_header_impl(std::uint64_t size, BeastText extension, BeastError& error) override {
    if (extension.size() > limits::chunk_extension_bytes) error = bh::error::bad_chunk_extension;
    if (size > owner.max_body_bytes_) error = bh::error::body_limit;
  }
  std::size_t on_chunk_body_impl(std::uint64_t, BeastText body, BeastError& error) override {
    return add(body, error);
  }
  void on_finish_impl(BeastError&) override { owner.stage_ = Stage::done; }

  std::size_t add(BeastText bytes, BeastError& error) {
    std::string& body = owner.request_.body;
    if (owner.inflater_) return unpack({bytes.data(), bytes.size()}, error);
    if (bytes.size() > owner.max_body_bytes_ - body.size()) {
      error = bh::error::body_limit;
      return 0;
    }
    body.append(bytes.data(), bytes.size());
    return bytes.size();
  }

  std::size_t unpack(std::string_view bytes, BeastError& error) {
    const Status done = owner.inflater_->add(bytes, owner.max_body_bytes_, owner.request_.body);
    if (done.ok()) return bytes.size();
    const bool is_too_much = done.error().kind() == ErrorKind::exhausted;
    owner.fail(is_too_much ? 413 : 400, is_too_much ? "body_too_large" : "bad_request",
               done.error().message());
    error = bh::error::body_limit;
    return 0;
  }

  RequestParser& owner;
};

RequestParser::RequestParser(std::size_t max_body_bytes)
    : max_body_bytes_(max_body_bytes),
      scan_(std::make_unique<HeadScan>()),
      beast_(std::make_unique<Beast>(*this)) {}
RequestParser::~RequestParser() = default;

bool RequestParser::fail(int status, std::string_view code, std::string_view message) {
  problem_ = Problem{status, std::string(code), std::string(message), "", 0};
  return false;
}

std::size_t RequestParser::take(std::string_view input) {
  if (problem_ || stage_ == Stage::done) return 0;
  return stage_ == Stage::head ? take_head(input) : take_body(input);
}

std::size_t RequestParser::take_head(std::string_view input) {
  const bool complete = scan_->scan(input);
  if (scan_->status != 0) {
    fail(scan_->status, "bad_request", scan_->reason);
    return 0;
  }
  if (!complete) return 0;
  BeastError error;
  const std::string_view head = input.substr(0, scan_->end());
  scan_.reset();
  const std::size_t taken = beast_->put({head.data(), head.size()}, error);
  if (error || taken != head.size() || !beast_->is_header_done()) {
    stage_ = Stage::head;
    fail(400, "bad_request", fmt::format("the head is malformed: {}", error.message()));
    return 0;
  }
  finish_head();
  return taken;
}

void RequestParser::finish_head() {
  if (stage_ == Stage::head) stage_ = Stage::body;
  keep_alive_ = beast_->keep_alive();
  beast_->eager(true);
  if (request_.method.size() > limits::method_bytes) {
    fail(400, "bad_request", "the method is too long");
    return;
  }
  auto target = parse_target(target_);
  if (!target) {
    fail(400, "bad_request", target.error().message());
    return;
  }
  if (!judge_framing()) return;
  if (is_http10_)  // which knows no upgrades.  Source: RFC 9110, section 7.8.
    std::erase_if(request_.headers,
                  [](const Header& header) { return equal_ignoring_case(header.name, "Upgrade"); });
  if (!target->authority.empty()) {
    // The authority of an absolute target is the host that is meant; one that differs is refused.
    const std::string* host = request_.header("Host");
    if (!host || !equal_ignoring_case(*host, target->authority)) {
      fail(400, "bad_request", "the target's host differs from the Host header");
      return;
    }
  }
  request_.path = std::move(target->path);
  request_.query = std::move(target->query);
  if (!chunked_ && content_length_ == 0) stage_ = Stage::done;
}

// Transfer-Encoding, Content-Length, Content-Encoding, Expect: each at most once and in one form.
bool RequestParser::judge_framing() {
  const auto once = [&](std::string_view name) {
    return count_headers(request_.headers, name) <= 1;
  };
  for (const std::string_view name :
       {"Transfer-Encoding", "Content-Length", "Content-Encoding", "Host", "Expect"})
    if (!once(name))
      return fail(400, "bad_request", fmt::format("the request has two {} headers", name));
  const std::string* length = request_.header("Content-Length");
  if (const std::string* coding = request_.header("Transfer-Encoding")) {
    if (length || is_http10_ || !equal_ignoring_case(*coding, "chunked"))
      return fail(400, "bad_request", "this Transfer-Encoding is not understood here");
    chunked_ = true;
  }
  if (length) {
    const char* last = length->data() + length->size();
    const auto [end, error] = std::from_chars(length->data(), last, content_length_);
    if (length->empty() || end != last || error != std::errc())
      return fail(400, "bad_request", "the Content-Length is not a number");
    if (content_length_ > max_body_bytes_)
      return fail(413, "body_too_large",
                  fmt::format("the body has {} bytes; the limit is {} (server.max_body_bytes)",
                              content_length_, max_body_bytes_));
  }
  const std::string* coding = request_.header("Content-Encoding");
  if (coding && !coding->empty() && !equal_ignoring_case(*coding, "identity")) {
    inflater_ = Inflater::make(*coding);
    if (!inflater_)
      return fail(415, "unsupported_encoding",
                  "the Content-Encodings understood are gzip, deflate and identity");
    std::erase_if(request_.headers, [](const Header& header) {
      return equal_ignoring_case(header.name, "Content-Encoding");
    });
  }
  if (const std::string* expect = request_.header("Expect")) {
    if (!equal_ignoring_case(*expect, "100-continue"))
      return fail(417, "unsupported_expectation", "the only Expect understood is 100-continue");
    expects_continue_ = !is_http10_;
  }
  return true;
}

std::size_t RequestParser::take_body(std::string_view input) {
  if (input.empty()) return 0;
  std::size_t taken = 0;
  BeastError error;
  while (taken < input.size() && stage_ != Stage::done && !error)
    taken += beast_->put({input.data() + taken, input.size() - taken}, error);
  if (problem_) return taken;
  if (stage_ == Stage::done && inflater_ && !inflater_->is_whole()) {
    fail(400, "bad_request", "the compressed body ends in its middle");
  } else if (error == bh::error::body_limit) {
    fail(413, "body_too_large",
         fmt::format("the body is over the limit of {} bytes (server.max_body_bytes)",
                     max_body_bytes_));
  } else if (error && error != bh::error::need_more) {
    fail(400, "bad_request", "the chunked body is malformed");
  } else if (stage_ != Stage::done && input.size() - taken > limits::chunk_framing_bytes) {
    fail(400, "bad_request", "the chunked body has too much framing");
  }
  return taken;
}

}  // namespace hearth::http
