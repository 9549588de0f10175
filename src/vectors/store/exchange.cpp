#include "vectors/store/exchange.h"

#include <fmt/core.h>

#include <charconv>

#include "base/bytes.h"
#include "base/files.h"
#include "base/utf8.h"
#include "vectors/store/encoding.h"
#include "vectors/store/wire.h"

namespace hearth::vectors {
namespace {

constexpr std::size_t batch_documents = 1000;
constexpr std::string_view npy_magic = "\x93NUMPY";
constexpr std::size_t npy_alignment = 64;
constexpr std::size_t max_npy_header = 64 << 10;

using Use = std::function<Status(std::vector<Document>)>;

Error stopped() { return Error(ErrorKind::cancelled, "stopped"); }

std::string npy_header(std::size_t rows, std::size_t dim) {
  std::string text =
      fmt::format("{{'descr': '<f4', 'fortran_order': False, 'shape': ({}, {}), }}", rows, dim);
  constexpr std::size_t before = 10;  // magic, version, length
  text.append((npy_alignment - (before + text.size() + 1) % npy_alignment) % npy_alignment, ' ');
  text += '\n';
  std::string header(npy_magic);
  header += '\1';
  header += '\0';
  put(header, static_cast<std::uint16_t>(text.size()));
  return header + text;
}

struct NpyShape {
  std::uint64_t rows = 0, dim = 0;
  std::size_t number_bytes = sizeof(float);
};

// Source: NumPy documentation, "The .npy format".
Result<NpyShape> read_npy_header(ByteReader& in) {
  const auto wrong = [](std::string_view what) {
    return Error(ErrorKind::invalid, std::string(what));
  };
  const auto magic = in.take(npy_magic.size());
  if (!magic.ok() || text_of(*magic) != npy_magic) return wrong("not an .npy file");
  const auto major = TRY(in.value<std::uint8_t>());
  TRY(in.skip(1));
  const std::size_t size =
      major == 1 ? TRY(in.value<std::uint16_t>()) : TRY(in.value<std::uint32_t>());
  if (size > max_npy_header) return wrong("a header of over 64 KiB");
  const std::string_view header = text_of(TRY(in.take(size)));
  NpyShape shape;
  if (header.find("'<f8'") != header.npos)
    shape.number_bytes = sizeof(double);
  else if (header.find("'<f4'") == header.npos)
    return wrong("its numbers are neither f4 nor f8");
  if (header.find("'fortran_order': False") == header.npos) return wrong("stored by columns");
  const std::size_t open = header.find("'shape': (");
  if (open == header.npos) return wrong("no shape");
  std::uint64_t sizes[2] = {};
  const char* at = header.data() + open + std::string_view("'shape': (").size();
  const char* end = header.data() + header.size();
  for (std::uint64_t& value : sizes) {
    while (at < end && (*at == ' ' || *at == ',')) ++at;
    const auto parsed = std::from_chars(at, end, value);
    if (parsed.ec != std::errc()) return wrong("not of two dimensions");
    at = parsed.ptr;
  }
  while (at < end && (*at == ' ' || *at == ',')) ++at;
  if (at == end || *at != ')') return wrong("not of two dimensions");
  shape.rows = sizes[0];
  shape.dim = sizes[1];
  if (shape.dim == 0 || shape.dim > max_dim)
    return wrong(fmt::format("vectors of {} numbers", shape.dim));
  const std::uint64_t row_bytes = shape.dim * shape.number_bytes;
  if (shape.rows > in.remaining() / row_bytes) return wrong("cut short");
  return shape;
}

// Gathers documents and gives them on by the thousand.
class Batches {
 public:
  Batches(const Use& use, const OnShare& done, std::stop_token stop)
      : use_(use), done_(done), stop_(std::move(stop)) {}
  void reach(double share) { share_ = share; }
  Status add(Document document) {
    documents_.push_back(std::move(document));
    ++count_;
    return documents_.size() < batch_documents ? Status(Done{}) : flush();
  }
  Status flush() {
    if (stop_.stop_requested()) return stopped();
    if (documents_.empty()) return Done{};
    TRY(use_(std::exchange(documents_, {})));
    if (done_) done_(share_);
    return Done{};
  }
  std::size_t count() const { return count_; }

 private:
  const Use& use_;
  const OnShare& done_;
  std::stop_token stop_;
  double share_ = 0;  // of the file, that has been read
  std::vector<Document> documents_;
  std::size_t count_ = 0;
};

Status read_jsonl(std::string_view text, Batches& out) {
  std::size_t line = 1;
  for (std::size_t at = 0; at < text.size(); ++line) {
    const std::size_t end = std::min(text.find('\n', at), text.size());
    const std::string_view one = text.substr(at, end - at);
    at = end + 1;
    out.reach(static_cast<double>(end) / static_cast<double>(text.size()));
    if (one.find_first_not_of(" \t\r") == one.npos) continue;
    const auto json = parse_json(one);
    if (!json.ok()) return Error(json.error()).within(fmt::format("line {}", line));
    auto document = document_from_json(*json, fmt::format("{}", line - 1));
    if (!document.ok()) return Error(document.error()).within(fmt::format("line {}", line));
    TRY(out.add(std::move(*document)));
  }
  return out.flush();
}

Status read_npy(ByteReader& in, Batches& out) {
  const NpyShape shape = TRY(read_npy_header(in));
  for (std::uint64_t row = 0; row < shape.rows; ++row) {
    out.reach(static_cast<double>(row + 1) / static_cast<double>(shape.rows));
    Document document;
    document.id = fmt::format("{}", row);
    for (std::uint64_t i = 0; i < shape.dim; ++i)
      document.vector.push_back(shape.number_bytes == sizeof(float)
                                    ? TRY(in.value<float>())
                                    : static_cast<float>(TRY(in.value<double>())));
    TRY(out.add(std::move(document)));
  }
  return out.flush();
}

Status read_fvecs(ByteReader& in, Batches& out) {
  std::uint32_t dim = 0;
  const auto all = static_cast<double>(in.remaining());
  for (std::uint64_t row = 0; in.remaining() > 0; ++row) {
    out.reach(1 - static_cast<double>(in.remaining()) / all);
    const auto length = TRY(in.value<std::uint32_t>());
    if (row == 0) dim = length;
    if (length != dim || dim == 0 || dim > max_dim)
      return Error(ErrorKind::invalid, fmt::format("row {}: a vector of {} numbers", row, length));
    const auto raw = TRY(in.take(dim * sizeof(float)));
    Document document;
    document.id = fmt::format("{}", row);
    document.vector.resize(dim);
    std::memcpy(document.vector.data(), raw.data(), raw.size());
    TRY(out.add(std::move(document)));
  }
  return out.flush();
}

std::string encode(const Document& document, ExchangeFormat format) {
  std::string bytes;
  if (format == ExchangeFormat::jsonl)
    return write_json(to_json(document, {.vector = true})) + "\n";
  if (format == ExchangeFormat::fvecs)
    put(bytes, static_cast<std::uint32_t>(document.vector.size()));
  put_bytes(bytes, document.vector);
  return bytes;
}

}  // namespace

Result<ExchangeFormat> exchange_format(std::string_view path) {
  if (path.ends_with(".jsonl") || path.ends_with(".ndjson")) return ExchangeFormat::jsonl;
  if (path.ends_with(".npy")) return ExchangeFormat::npy;
  if (path.ends_with(".fvecs")) return ExchangeFormat::fvecs;
  return Error(
      ErrorKind::unsupported,
      fmt::format("{}: needs a name that ends in .jsonl, .npy or .fvecs", printable(path)));
}

Result<std::size_t> export_documents(const Collection& collection, const std::string& path,
                                     ExchangeFormat format, std::stop_token stop) {
  DraftFile file = TRY(DraftFile::create(path));
  const bool is_npy = format == ExchangeFormat::npy;
  const std::size_t expected = TRY(collection.count(nullptr));
  if (is_npy) {
    const std::string header = npy_header(expected, collection.schema().dim);
    TRY(file.write(bytes_of(header)));
  }
  std::size_t count = 0;
  std::string from;
  do {
    if (stop.stop_requested()) return stopped();
    Page page = TRY(collection.scroll(from, batch_documents, nullptr, {.vector = true}));
    std::string bytes;
    for (const Document& document : page.documents) bytes += encode(document, format);
    TRY(file.write(bytes_of(bytes)));
    count += page.documents.size();
    from = std::move(page.next);
  } while (!from.empty());
  if (is_npy && count != expected)
    return Error(ErrorKind::unavailable, "the collection changed meanwhile: try again");
  TRY(file.commit());
  return count;
}

Result<std::size_t> read_documents(std::span<const std::byte> bytes, ExchangeFormat format,
                                   const Use& use, const OnShare& done, std::stop_token stop) {
  Batches batches(use, done, std::move(stop));
  ByteReader in(bytes);
  if (format == ExchangeFormat::jsonl) TRY(read_jsonl(text_of(bytes), batches));
  if (format == ExchangeFormat::npy) TRY(read_npy(in, batches));
  if (format == ExchangeFormat::fvecs) TRY(read_fvecs(in, batches));
  return batches.count();
}

Result<std::size_t> read_documents(const std::string& path, ExchangeFormat format, const Use& use,
                                   const OnShare& done, std::stop_token stop) {
  const auto file = TRY(MappedFile::open(path));
  auto read = read_documents(file->bytes(), format, use, done, std::move(stop));
  if (!read.ok()) return std::move(read).error().within(path);
  return read;
}

}  // namespace hearth::vectors
