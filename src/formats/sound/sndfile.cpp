// Sound files through libsndfile, which is loaded with the first of them.
#include <fmt/core.h>
#include <sndfile.h>

#include <algorithm>
#include <cstring>
#include <memory>

#include "base/shared_library.h"
#include "formats/sound/sink.h"

namespace hearth {
namespace {

struct SoundFile {
  decltype(sf_open_virtual)* open;
  decltype(sf_readf_float)* read;
  decltype(sf_close)* close;
  decltype(sf_strerror)* strerror;
};

Result<SoundFile> load_sndfile() {
  const auto library = SharedLibrary::open({"libsndfile.so.1"});
  if (!library)
    return Error(ErrorKind::unsupported,
                 fmt::format("sounds other than WAV need libsndfile (Debian's package "
                             "libsndfile1): {}",
                             library.error().message()));
  SoundFile found{};
  if (!library->find("sf_open_virtual", found.open) ||
      !library->find("sf_readf_float", found.read) || !library->find("sf_close", found.close) ||
      !library->find("sf_strerror", found.strerror))
    return Error(ErrorKind::unsupported, "this libsndfile is too old");
  return found;
}

// A file in memory, as libsndfile asks for one.
struct Memory {
  std::span<const std::byte> bytes;
  sf_count_t at = 0;

  sf_count_t size() const { return static_cast<sf_count_t>(bytes.size()); }
};

sf_count_t length(void* data) { return static_cast<Memory*>(data)->size(); }
sf_count_t tell(void* data) { return static_cast<Memory*>(data)->at; }
sf_count_t seek(sf_count_t offset, int whence, void* data) {
  auto* memory = static_cast<Memory*>(data);
  const sf_count_t base = whence == SEEK_SET ? 0 : whence == SEEK_CUR ? memory->at : memory->size();
  const sf_count_t wanted =
      base + std::clamp<sf_count_t>(offset, -memory->size() - 1, memory->size());
  memory->at = std::clamp<sf_count_t>(wanted, 0, memory->size());
  return memory->at;
}
sf_count_t read(void* to, sf_count_t count, void* data) {
  auto* memory = static_cast<Memory*>(data);
  const sf_count_t some = std::clamp<sf_count_t>(count, 0, memory->size() - memory->at);
  std::memcpy(to, memory->bytes.data() + memory->at, static_cast<std::size_t>(some));
  memory->at += some;
  return some;
}
sf_count_t write(const void*, sf_count_t, void*) { return 0; }

}  // namespace

Result<std::vector<float>> read_with_sndfile(std::span<const std::byte> file,
                                             const SoundOptions& options) {
  static const Result<SoundFile> loaded = load_sndfile();
  if (!loaded) return loaded.error();
  const SoundFile& library = *loaded;
  SF_VIRTUAL_IO calls{length, seek, read, write, tell};
  Memory memory{file};
  SF_INFO facts{};
  const std::unique_ptr<SNDFILE, int (*)(SNDFILE*)> sound(
      library.open(&calls, SFM_READ, &facts, &memory), library.close);
  if (!sound)
    return Error(ErrorKind::unsupported,
                 fmt::format("no sound file that is read here (WAV, FLAC, Ogg, MP3): {}",
                             library.strerror(nullptr)));
  SampleSink sink =
      TRY(SampleSink::create(static_cast<std::uint32_t>(std::max(facts.samplerate, 0)),
                             static_cast<std::uint32_t>(std::max(facts.channels, 0)), options));
  constexpr sf_count_t frames_at_once = 8192;
  std::vector<float> part(static_cast<std::size_t>(frames_at_once) * sink.channels());
  for (;;) {
    const sf_count_t frames = library.read(sound.get(), part.data(), frames_at_once);
    if (frames <= 0) break;
    TRY(sink.push(std::span(part).first(static_cast<std::size_t>(frames) * sink.channels())));
  }
  return sink.finish();
}

}  // namespace hearth
