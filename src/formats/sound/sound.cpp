#include "formats/sound/sound.h"

#include <fmt/core.h>

#include <algorithm>
#include <string_view>

#include "base/bytes.h"
#include "formats/magic.h"
#include "formats/sound/sink.h"

namespace hearth {
namespace {

// Containers that are told by name: their sound needs a decoder that Debian has only inside FFmpeg.
constexpr Magic refused[] = {
    {4, "ftyp", "an MP4 or M4A file (AAC)"},
    {0, "\x1A\x45\xDF\xA3", "a WebM or Matroska file"},
    {0, "\xFF\xF1", "raw AAC"},
    {0, "\xFF\xF9", "raw AAC"},
    {0, "#!AMR", "an AMR recording"},
    {0, "0&\xB2u", "a Windows Media file"},
    {8, "AVI ", "an AVI file"},
};

constexpr std::string_view decoded[] = {"RIFF", "RIFX", "RF64", "fLaC",     "OggS",     "ID3",
                                        "FORM", ".snd", "caff", "\xFF\xFB", "\xFF\xF3", "\xFF\xF2"};

}  // namespace

Result<std::vector<float>> read_sound(std::span<const std::byte> file,
                                      const SoundOptions& options) {
  const std::string_view text = text_of(file);
  if (text.empty()) return Error(ErrorKind::corrupt, "an empty file");
  if (is_wav(file)) return read_wav(file, options);
  if (const Magic* row = find_magic(refused, text))
    return Error(ErrorKind::unsupported,
                 fmt::format("{}: WAV, FLAC, Ogg (Opus, Vorbis) and MP3 are read; `ffmpeg -i FILE "
                             "-ac 1 -ar 16000 sound.wav` makes one",
                             row->name));
  return read_with_sndfile(file, options);
}

bool looks_like_sound(std::span<const std::byte> file) {
  const std::string_view text = text_of(file);
  return find_magic(refused, text) != nullptr ||
         std::ranges::any_of(decoded,
                             [&](std::string_view magic) { return text.starts_with(magic); });
}

}  // namespace hearth
