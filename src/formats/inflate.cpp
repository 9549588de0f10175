#include "formats/inflate.h"

#include <zlib.h>

#include <fmt/core.h>

#include <algorithm>

namespace hearth {

Result<std::vector<std::byte>> inflated(std::span<const std::byte> bytes, Deflated form,
                                        std::uint64_t most_bytes) {
  constexpr std::size_t most_at_once = 1u << 30, first_bytes = 1u << 16;
  z_stream stream{};
  if (inflateInit2(&stream, form == Deflated::raw ? -MAX_WBITS : MAX_WBITS) != Z_OK)
    return Error(ErrorKind::exhausted, "no memory to inflate it");
  std::vector<std::byte> out;
  std::size_t read = 0, written = 0;
  int state = Z_OK;
  while (state == Z_OK) {
    if (written == out.size()) {
      if (out.size() > most_bytes) break;
      out.resize(static_cast<std::size_t>(
          std::min<std::uint64_t>(most_bytes + 1, std::max(first_bytes, 2 * out.size()))));
    }
    stream.next_in = reinterpret_cast<Bytef*>(const_cast<std::byte*>(bytes.data() + read));
    stream.avail_in = static_cast<uInt>(std::min(bytes.size() - read, most_at_once));
    stream.next_out = reinterpret_cast<Bytef*>(out.data() + written);
    stream.avail_out = static_cast<uInt>(std::min(out.size() - written, most_at_once));
    const uInt given = stream.avail_in, room = stream.avail_out;
    state = inflate(&stream, Z_NO_FLUSH);
    read += given - stream.avail_in;
    written += room - stream.avail_out;
  }
  inflateEnd(&stream);
  if (state == Z_OK || written > most_bytes)
    return Error(ErrorKind::exhausted, fmt::format("inflates to more than {} bytes", most_bytes));
  if (state != Z_STREAM_END)
    return Error(ErrorKind::corrupt,
                 fmt::format("{} at {} of {} deflated bytes",
                             read == bytes.size() ? "cut short" : "damaged", read, bytes.size()));
  out.resize(written);
  return out;
}

}  // namespace hearth
