// Any bytes as a segment or a cold one, as they are and with checksums that fit.  Every document of
// what is opened is read.
#include "base/check.h"
#include "vectors/store/fuzz_files.h"
#include "vectors/store/segment.h"

using namespace hearth;
using namespace hearth::vectors;

namespace {

constexpr std::size_t footer_bytes = 96, chunk_bytes = 64 << 10;

void mend(std::string& file) {
  if (file.size() < footer_bytes) file.resize(footer_bytes);
  const std::size_t footer = file.size() - footer_bytes;
  std::memcpy(file.data() + footer, "HEARTHSG", 8);
  set_number(file, footer + 8, std::uint32_t{1});
  const auto data_bytes = number_at<std::uint64_t>(file, footer + 64);
  const auto chunks = number_at<std::uint64_t>(file, footer + 72);
  if (data_bytes <= footer && chunks == (data_bytes + chunk_bytes - 1) / chunk_bytes &&
      chunks == (footer - data_bytes) / sizeof(std::uint32_t)) {
    for (std::size_t i = 0; i < chunks; ++i)
      set_checksum(file, data_bytes + i * sizeof(std::uint32_t),
                   file.substr(i * chunk_bytes,
                               std::min<std::size_t>(chunk_bytes, data_bytes - i * chunk_bytes)));
    set_checksum(file, footer + 80, file.substr(data_bytes, chunks * sizeof(std::uint32_t)));
  }
  set_checksum(file, file.size() - sizeof(std::uint32_t),
               file.substr(footer, footer_bytes - sizeof(std::uint32_t)));
}

void read(const std::string& file, Tier tier) {
  const std::size_t footer = file.size() - std::min(file.size(), footer_bytes);
  const bool is_cold = file.starts_with("SQLite");
  const std::size_t dim = is_cold ? 2 : number_at<std::uint32_t>(file, footer + 12) % 64;
  const auto id = is_cold ? 1 : number_at<std::uint64_t>(file, footer + 16);
  const auto files = one_file("s/segment", file);
  const auto opened = Segment::open(*files, "s/segment", dim, id, tier);
  if (!opened.ok()) return;
  const Segment& segment = **opened;
  std::size_t bytes = 0;
  for (std::size_t i = 0; i < segment.rows().size(); ++i) {
    HEARTH_CHECK(segment.find(segment.rows()[i]) == static_cast<std::ptrdiff_t>(i));
    const auto view = segment.document(i);
    if (!view.ok()) continue;
    HEARTH_CHECK(view->vector.size() == dim);
    bytes += view->id.size() + view->text.size() + view->metadata.size();
    HEARTH_CHECK(segment.id(i).value_or("") == view->id);
  }
  HEARTH_CHECK(bytes <= segment.rows().size() * file.size());
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  std::string file(reinterpret_cast<const char*>(data), size);
  read(file, Tier::warm);
  if (file.starts_with("SQLite")) return 0;
  mend(file);
  read(file, Tier::warm);
  read(file, Tier::hot);
  return 0;
}
