// Source: RFC 1950, 1951, 1952; RFC 9110, section 8.4.1.
#include "http/inflate.h"

#include <zlib.h>

#include <algorithm>
#include <array>

#include "base/ascii.h"
#include "http/limits.h"
#include "http/message.h"

namespace hearth::http {
namespace {

constexpr int gzip_window = 15 + 16, zlib_window = 15, raw_window = -15;

// What clients call deflate is mostly in zlib's wrapping, as it should be, and sometimes bare.
bool begins_zlib(unsigned char first, unsigned char second) {
  return (first & 0x0F) == Z_DEFLATED && (first * 256 + second) % 31 == 0;
}

}  // namespace

struct Inflater::Stream {
  ~Stream() {
    if (is_begun) inflateEnd(&z);
  }
  bool begin(int window) {
    is_begun = inflateInit2(&z, window) == Z_OK;
    return is_begun;
  }
  Status inflate_all(std::size_t max_bytes, std::string& out);

  z_stream z = {};
  std::string held;  // of deflate's first two bytes, which tell its wrapping
  std::size_t bytes_in = 0;
  bool is_gzip = false, is_begun = false;
  bool is_inside = false;  // of a member of gzip, or of the one stream of deflate
  bool has_ended = false;
};

Inflater::Inflater(std::unique_ptr<Stream> stream) : stream_(std::move(stream)) {}
Inflater::~Inflater() = default;

std::unique_ptr<Inflater> Inflater::make(std::string_view coding) {
  const bool is_gzip = equal_ignoring_case(coding, "gzip") || equal_ignoring_case(coding, "x-gzip");
  if (!is_gzip && !equal_ignoring_case(coding, "deflate")) return nullptr;
  auto stream = std::make_unique<Stream>();
  stream->is_gzip = is_gzip;
  if (is_gzip && !stream->begin(gzip_window)) return nullptr;
  return std::unique_ptr<Inflater>(new Inflater(std::move(stream)));
}

bool Inflater::is_whole() const { return !stream_->is_inside && stream_->held.empty(); }

Status Inflater::add(std::string_view bytes, std::size_t max_bytes, std::string& out) {
  Stream& s = *stream_;
  s.bytes_in += bytes.size();
  if (!s.is_begun) {
    s.held += bytes;
    if (s.held.size() < 2) return Done{};
    const auto byte = [&](std::size_t i) { return static_cast<unsigned char>(s.held[i]); };
    if (!s.begin(begins_zlib(byte(0), byte(1)) ? zlib_window : raw_window))
      return Error(ErrorKind::exhausted, "no memory to unpack the body");
    bytes = s.held;
  }
  s.z.next_in = reinterpret_cast<Bytef*>(const_cast<char*>(bytes.data()));  // zlib only reads it
  s.z.avail_in = static_cast<uInt>(bytes.size());
  const Status done = s.inflate_all(max_bytes, out);
  s.held.clear();
  return done;
}

Status Inflater::Stream::inflate_all(std::size_t max_bytes, std::string& out) {
  const Error corrupt(ErrorKind::invalid, "the body is not what its Content-Encoding says");
  std::array<char, 16 << 10> block;
  while (z.avail_in > 0 || z.avail_out == 0) {
    if (!is_inside) {
      if (z.avail_in == 0) break;
      if (has_ended && (!is_gzip || inflateReset(&z) != Z_OK)) return corrupt;
      is_inside = true;
    }
    z.next_out = reinterpret_cast<Bytef*>(block.data());
    z.avail_out = static_cast<uInt>(block.size());
    const int code = inflate(&z, Z_NO_FLUSH);
    const std::size_t made = block.size() - z.avail_out;
    if (made > max_bytes - out.size())
      return Error(ErrorKind::exhausted, "the unpacked body is too large");
    out.append(block.data(), made);
    if (out.size() > limits::unpacked_free_bytes && out.size() / limits::unpacked_ratio > bytes_in)
      return Error(ErrorKind::exhausted, "the body unpacks to far more than it is");
    if (code == Z_STREAM_END) {
      is_inside = false;
      has_ended = true;
    } else if (code != Z_OK && code != Z_BUF_ERROR) {
      return corrupt;
    }
    if (code == Z_BUF_ERROR) break;  // nothing more without more bytes
  }
  return Done{};
}

}  // namespace hearth::http
