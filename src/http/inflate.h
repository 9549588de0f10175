// Inflater: request bodies in gzip or deflate, taken piece by piece.  inflate.cpp is the one source
// that knows zlib.
#pragma once

#include <cstddef>
#include <memory>
#include <string>
#include <string_view>

#include "base/result.h"

namespace hearth::http {

// Used by one thread.
class Inflater {
 public:
  // "gzip", "x-gzip" or "deflate", in any case; nullptr: another coding.
  static std::unique_ptr<Inflater> make(std::string_view coding);
  ~Inflater();

  // Appends what `bytes` stand for.  Errors: exhausted: past `max_bytes` of the whole, or far more
  // than the bytes that came; invalid: they are not of the coding.
  Status add(std::string_view bytes, std::size_t max_bytes, std::string& out);
  // All that was begun has ended.
  bool is_whole() const;

 private:
  struct Stream;
  explicit Inflater(std::unique_ptr<Stream> stream);
  std::unique_ptr<Stream> stream_;
};

}  // namespace hearth::http
