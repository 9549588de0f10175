// Any bytes as a manifest, as they are and as the body of one; and as filters and documents.
#include "base/check.h"
#include "vectors/store/exchange.h"
#include "vectors/store/fuzz_files.h"
#include "vectors/store/manifest.h"
#include "vectors/store/wire.h"

using namespace hearth;
using namespace hearth::vectors;

namespace {

void read(const std::string& content) {
  const auto files = one_file("s/MANIFEST", content);
  const auto manifest = read_manifest(*files, "s");
  if (!manifest.ok()) return;
  FakeFiles again;
  HEARTH_CHECK(again.make_folder("s").ok());
  HEARTH_CHECK(write_manifest(again, "s", *manifest).ok());
  const auto same = read_manifest(again, "s");
  HEARTH_CHECK(same.ok() && same->segments == manifest->segments &&
               same->store_id == manifest->store_id && same->next_row == manifest->next_row);
}

void read_filters(std::string_view text) {
  Json metadata = Json::object({{"a", 1}, {"b", "x"}, {"c", Json::Array{1, "x"}}});
  if (const auto filter = parse_filter(text); filter.ok()) {
    (void)matches(*filter, metadata);
    (void)describe(*filter);
  }
  const auto json = parse_json(text);
  if (!json.ok()) return;
  (void)query_from_json(*json).ok();
  (void)document_from_json(*json).ok();
  (void)feedback_from_json(*json).ok();
  (void)schema_from_json(*json).ok();
  if (const auto filter = filter_from_json(*json); filter.ok()) {
    (void)matches(*filter, metadata);
    HEARTH_CHECK(!describe(*filter).empty());
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string bytes(reinterpret_cast<const char*>(data), size);
  read(bytes);
  std::string whole = "HEARTHMF";
  put(whole, std::uint32_t{1});
  put(whole, crc32c(bytes_of(bytes)));
  put(whole, std::uint64_t{size});
  read(whole + bytes);
  read_filters(bytes);
  for (const ExchangeFormat format :
       {ExchangeFormat::jsonl, ExchangeFormat::npy, ExchangeFormat::fvecs}) {
    std::size_t documents = 0;
    const auto use = [&](std::vector<Document> batch) -> Status {
      documents += batch.size();
      return Done{};
    };
    const auto count = read_documents(bytes_of(bytes), format, use, {}, {});
    HEARTH_CHECK(!count.ok() || *count == documents);
  }
  return 0;
}
