// WAV: RIFF and RF64 chunks of plain numbers.
// Source: Microsoft and IBM, "Multimedia Programming Interface and Data Specifications 1.0"; EBU
// Tech 3306 (RF64).
#include <fmt/core.h>

#include <algorithm>
#include <bit>
#include <cstring>

#include "base/bytes.h"
#include "formats/sound/sink.h"

namespace hearth {
namespace {

enum class Coding : std::uint16_t { pcm = 1, real = 3, alaw = 6, mulaw = 7, extensible = 0xFFFE };

struct WavFormat {
  std::uint16_t coding = 0, channels = 0, bits = 0;
  std::uint32_t rate = 0;
  bool is_known = false;
};

Error corrupt(std::string what) { return Error(ErrorKind::corrupt, "WAV: " + std::move(what)); }

Result<WavFormat> read_format(std::span<const std::byte> chunk) {
  ByteReader in(chunk);
  WavFormat format;
  format.coding = TRY(in.value<std::uint16_t>());
  format.channels = TRY(in.value<std::uint16_t>());
  format.rate = TRY(in.value<std::uint32_t>());
  TRY(in.skip(6));  // bytes a second, bytes of a frame
  format.bits = TRY(in.value<std::uint16_t>());
  if (format.coding == static_cast<std::uint16_t>(Coding::extensible)) {
    TRY(in.skip(8));  // its size, bits that count, places of speakers
    format.coding = TRY(in.value<std::uint16_t>());
  }
  format.is_known = true;
  return format;
}

template <typename T>
T at(const std::byte* from) {
  T value;
  std::memcpy(&value, from, sizeof value);
  return value;
}

using Convert = float (*)(const std::byte*);

float from_u8(const std::byte* p) {
  return static_cast<float>(std::to_integer<int>(*p) - 128) / 128.0f;
}
float from_i16(const std::byte* p) { return static_cast<float>(at<std::int16_t>(p)) / 32768.0f; }
float from_i24(const std::byte* p) {
  const std::uint32_t raw = std::to_integer<std::uint32_t>(p[0]) << 8 |
                            std::to_integer<std::uint32_t>(p[1]) << 16 |
                            std::to_integer<std::uint32_t>(p[2]) << 24;
  return static_cast<float>(std::bit_cast<std::int32_t>(raw)) / 2147483648.0f;
}
float from_i32(const std::byte* p) {
  return static_cast<float>(at<std::int32_t>(p)) / 2147483648.0f;
}
float from_f32(const std::byte* p) { return at<float>(p); }
float from_f64(const std::byte* p) { return static_cast<float>(at<double>(p)); }

// Source: ITU-T G.711.
float from_mulaw(const std::byte* p) {
  const int code = ~std::to_integer<int>(*p) & 255;
  const int magnitude = ((((code & 15) << 3) + 132) << ((code >> 4) & 7)) - 132;
  return static_cast<float>((code & 128) != 0 ? -magnitude : magnitude) / 32768.0f;
}
float from_alaw(const std::byte* p) {
  const int code = std::to_integer<int>(*p) ^ 0x55, step = (code >> 4) & 7;
  const int low = ((code & 15) << 4) + 8;
  const int magnitude = step == 0 ? low : (low + 256) << (step - 1);
  return static_cast<float>((code & 128) != 0 ? magnitude : -magnitude) / 32768.0f;
}

struct Reader {
  Coding coding;
  std::uint16_t bits;
  Convert convert;
};
constexpr Reader readers[] = {
    {Coding::pcm, 8, from_u8},    {Coding::pcm, 16, from_i16},    {Coding::pcm, 24, from_i24},
    {Coding::pcm, 32, from_i32},  {Coding::real, 32, from_f32},   {Coding::real, 64, from_f64},
    {Coding::alaw, 8, from_alaw}, {Coding::mulaw, 8, from_mulaw},
};

Result<std::vector<float>> read_samples(const WavFormat& format, std::span<const std::byte> data,
                                        const SoundOptions& options) {
  const auto* const reader = std::ranges::find_if(readers, [&](const Reader& row) {
    return static_cast<std::uint16_t>(row.coding) == format.coding && row.bits == format.bits;
  });
  if (reader == std::end(readers))
    return Error(ErrorKind::unsupported,
                 fmt::format("WAV: coding {} of {} bits; PCM of 8 to 32 bits, floats, A-law and "
                             "mu-law are read",
                             format.coding, format.bits));
  SampleSink sink = TRY(SampleSink::create(format.rate, format.channels, options));
  const std::size_t width = format.bits / 8u, frame = width * format.channels;
  constexpr std::size_t frames_at_once = 8192;
  std::vector<float> part;
  for (std::size_t from = 0; from + frame <= data.size();) {
    const std::size_t frames = std::min(frames_at_once, (data.size() - from) / frame);
    part.resize(frames * format.channels);
    for (float& value : part) {
      value = reader->convert(data.data() + from);
      from += width;
    }
    TRY(sink.push(part));
  }
  return sink.finish();
}

}  // namespace

bool is_wav(std::span<const std::byte> file) {
  const std::string_view text = text_of(file);
  return text.size() >= 12 && (text.starts_with("RIFF") || text.starts_with("RF64")) &&
         text.substr(8, 4) == "WAVE";
}

Result<std::vector<float>> read_wav(std::span<const std::byte> file, const SoundOptions& options) {
  ByteReader in(file);
  TRY(in.skip(12));
  WavFormat format;
  std::uint64_t long_size = 0;  // of the data, where 32 bits cannot hold it
  while (in.remaining() >= 8) {
    const std::string_view name = text_of(TRY(in.take(4)));
    std::uint64_t size = TRY(in.value<std::uint32_t>());
    if (name == "data") {
      if (!format.is_known) return corrupt("samples before their format");
      if (size == 0xFFFFFFFFu && long_size > 0) size = long_size;
      // Who records into a pipe does not know the size; a recording that was cut is still one.
      if (size == 0 || size > in.remaining()) size = in.remaining();
      return read_samples(format, TRY(in.take(size)), options);
    }
    if (size > in.remaining())
      return corrupt(fmt::format("offset {}: a chunk of {} bytes, {} are left", in.position() - 8,
                                 size, in.remaining()));
    const auto chunk = TRY(in.take(size));
    if (name == "fmt ") format = TRY(read_format(chunk));
    if (name == "ds64" && chunk.size() >= 16) {
      ByteReader sizes(chunk.subspan(8));
      long_size = TRY(sizes.value<std::uint64_t>());
    }
    if (size % 2 != 0 && in.remaining() > 0) TRY(in.skip(1));
  }
  return corrupt("no samples in it");
}

}  // namespace hearth
