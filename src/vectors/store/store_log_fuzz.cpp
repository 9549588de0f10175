// Any bytes as a log, as they are and with checksums that fit.  What is read can be written again.
#include "base/check.h"
#include "vectors/store/fuzz_files.h"
#include "vectors/store/log.h"

using namespace hearth;
using namespace hearth::vectors;

namespace {

constexpr std::size_t dim = 2, header_bytes = 32, group_bytes = 32;

void mend(std::string& log) {
  if (log.size() < header_bytes) log.resize(header_bytes);
  std::memcpy(log.data(), "HEARTHLG", 8);
  set_number(log, 8, std::uint32_t{1});
  const std::string place = log.substr(16, 16);
  set_checksum(log, 12, place);
  std::uint64_t number = 0;
  for (std::size_t at = header_bytes; log.size() - at >= group_bytes; ++number) {
    const auto size = number_at<std::uint32_t>(log, at + 4);
    if (size > log.size() - at - group_bytes) break;
    set_number(log, at, std::uint32_t{0x50554f47});
    set_number(log, at + 8, number);
    std::string covered = place + log.substr(at + 8, 16) + log.substr(at + 28, 4);
    put(covered, size);
    covered += log.substr(at + group_bytes, size);
    set_checksum(log, at + 24, covered);
    at += group_bytes + size;
  }
}

void read(const std::string& log) {
  const auto id = number_at<std::uint64_t>(log, 16), epoch = number_at<std::uint64_t>(log, 24);
  const auto files = one_file("s/log", log);
  const auto contents = read_log(*files, "s/log", id, epoch, dim);
  if (!contents.ok()) return;
  HEARTH_CHECK(contents->good_bytes + contents->dropped_bytes == log.size());
  FakeFiles again;
  HEARTH_CHECK(again.make_folder("s").ok());
  auto writer = LogWriter::create(again, "s", id, epoch);
  HEARTH_CHECK(writer.ok());
  if (contents->steps.empty()) return;
  HEARTH_CHECK(writer->append(contents->steps, true).ok());
  const auto same = read_log(again, "s/" + log_name(epoch), id, epoch, dim);
  HEARTH_CHECK(same.ok() && same->steps.size() == contents->steps.size());
  for (std::size_t i = 0; i < same->steps.size(); ++i) {
    const LogStep &a = contents->steps[i], &b = same->steps[i];
    HEARTH_CHECK(a.row == b.row && a.dead == b.dead && !a.document == !b.document);
    if (a.document) HEARTH_CHECK(a.document->id == b.document->id);
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  std::string log(reinterpret_cast<const char*>(data), size);
  read(log);
  mend(log);
  read(log);
  return 0;
}
