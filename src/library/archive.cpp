#include "library/archive.h"

#include <archive.h>
#include <archive_entry.h>
#include <fcntl.h>
#include <fmt/core.h>
#include <sys/stat.h>

#include <algorithm>
#include <array>
#include <memory>
#include <set>
#include <vector>

#include "base/ascii.h"
#include "base/files.h"
#include "base/shared_library.h"
#include "base/store_files.h"
#include "base/utf8.h"

namespace hearth {
namespace {

constexpr std::size_t block_bytes = 256 << 10;
constexpr std::uint64_t free_ratio_bytes = 64u << 20;  // below this a high ratio is no bomb
constexpr std::uint64_t reserve_bytes = 256u << 20;

// The functions of libarchive that are used; loaded with the first archive.
struct Api {
  decltype(archive_read_new)* read_new;
  decltype(archive_read_free)* read_free;
  decltype(archive_read_support_filter_gzip)* gzip;
  decltype(archive_read_support_filter_bzip2)* bzip2;
  decltype(archive_read_support_filter_xz)* xz;
  decltype(archive_read_support_filter_zstd)* zstd;
  decltype(archive_read_support_format_tar)* tar;
  decltype(archive_read_support_format_zip_seekable)* zip;
  decltype(archive_read_support_format_raw)* raw;
  decltype(archive_read_open_filename)* open;
  decltype(archive_read_next_header)* next;
  decltype(archive_read_data_block)* block;
  decltype(archive_error_string)* error;
  decltype(archive_filter_bytes)* filter_bytes;
  decltype(archive_entry_pathname)* name;
  decltype(archive_entry_filetype)* type;
  decltype(archive_entry_hardlink)* hardlink;
  decltype(archive_entry_size_is_set)* size_is_set;
  decltype(archive_entry_size)* size;
  decltype(archive_entry_is_encrypted)* is_encrypted;
};

Result<Api> load_api() {
  const auto library = SharedLibrary::open({"libarchive.so.13"});
  if (!library)
    return Error(ErrorKind::unsupported,
                 fmt::format("archives need libarchive (Debian's package libarchive13): {}",
                             library.error().message()));
  Api api{};
  const bool is_whole = library->find("archive_read_new", api.read_new) &&
                        library->find("archive_read_free", api.read_free) &&
                        library->find("archive_read_support_filter_gzip", api.gzip) &&
                        library->find("archive_read_support_filter_bzip2", api.bzip2) &&
                        library->find("archive_read_support_filter_xz", api.xz) &&
                        library->find("archive_read_support_filter_zstd", api.zstd) &&
                        library->find("archive_read_support_format_tar", api.tar) &&
                        library->find("archive_read_support_format_zip_seekable", api.zip) &&
                        library->find("archive_read_support_format_raw", api.raw) &&
                        library->find("archive_read_open_filename", api.open) &&
                        library->find("archive_read_next_header", api.next) &&
                        library->find("archive_read_data_block", api.block) &&
                        library->find("archive_error_string", api.error) &&
                        library->find("archive_filter_bytes", api.filter_bytes) &&
                        library->find("archive_entry_pathname", api.name) &&
                        library->find("archive_entry_filetype", api.type) &&
                        library->find("archive_entry_hardlink", api.hardlink) &&
                        library->find("archive_entry_size_is_set", api.size_is_set) &&
                        library->find("archive_entry_size", api.size) &&
                        library->find("archive_entry_is_encrypted", api.is_encrypted);
  if (!is_whole) return Error(ErrorKind::unsupported, "this libarchive is too old");
  return api;
}

const Result<Api>& api() {
  static const Result<Api> loaded = load_api();
  return loaded;
}

struct Closer {
  void operator()(archive* reader) const { api()->read_free(reader); }
};
using Reader = std::unique_ptr<archive, Closer>;

enum class Packing { none, zip, tar, gzip, bzip2, xz, zstd };

struct Magic {
  Packing packing;
  std::size_t at;
  std::string_view bytes;
};
constexpr Magic magics[] = {
    {Packing::zip, 0, "PK\x03\x04"},
    {Packing::zip, 0, "PK\x05\x06"},
    {Packing::gzip, 0, "\x1f\x8b"},
    {Packing::bzip2, 0, "BZh"},
    {Packing::xz, 0,
     "\xfd"
     "7zXZ"},
    {Packing::zstd, 0, "\x28\xb5\x2f\xfd"},
    {Packing::tar, 257, "ustar"},
};

Packing packing_of(const std::string& path) {
  if (!is_file(path)) return Packing::none;
  const auto file = MappedFile::open(path);
  if (!file) return Packing::none;
  const auto bytes = (*file)->bytes();
  const std::string_view text(reinterpret_cast<const char*>(bytes.data()),
                              std::min<std::size_t>(bytes.size(), 512));
  for (const Magic& magic : magics)
    if (text.size() >= magic.at + magic.bytes.size() &&
        text.substr(magic.at, magic.bytes.size()) == magic.bytes)
      return magic.packing;
  return Packing::none;
}

// "a/./b" -> "a/b".  Errors: whatever would leave the folder or surprise somebody.
Result<std::string> safe_name(std::string_view text, const ArchiveLimits& limits) {
  const auto refuse = [&](std::string_view why) {
    return Error(ErrorKind::corrupt,
                 fmt::format("entry '{}': {}", printable(text.substr(0, 200)), why));
  };
  if (text.empty() || text.size() > limits.max_name_bytes) return refuse("no name, or a long one");
  if (!is_utf8(text)) return refuse("a name that is not UTF-8");
  if (text.starts_with('/') || text.contains('\\') || (text.size() > 1 && text[1] == ':'))
    return refuse("a path that is not relative");
  std::string name;
  std::size_t depth = 0;
  while (!text.empty()) {
    const std::string_view part = text.substr(0, text.find('/'));
    text.remove_prefix(std::min(text.size(), part.size() + 1));
    if (part.empty() || part == ".") continue;
    if (part == "..") return refuse("leaves its folder");
    if (part.size() > limits.max_part_bytes) return refuse("a long name");
    if (part.ends_with(' ') || part.ends_with('.')) return refuse("a name that ends in ' ' or '.'");
    for (const char c : part)
      if (static_cast<unsigned char>(c) < ' ' || c == 0x7f) return refuse("control characters");
    if (++depth > limits.max_depth) return refuse("too deep");
    name += (name.empty() ? "" : "/") + std::string(part);
  }
  return name;
}

class Unpacking {
 public:
  Unpacking(const std::string& path, const std::string& folder, const ArchiveLimits& limits,
            Packing packing)
      : path_(path), folder_(folder), limits_(limits), packing_(packing) {}

  Status run() {
    const auto identity = file_identity(path_);
    packed_bytes_ = identity ? identity->bytes : 0;
    room_bytes_ = free_disk_bytes(folder_);
    TRY(make_folders(folder_));
    auto done = read_all(packing_ == Packing::zip || packing_ == Packing::tar);
    // Compressed, but no tar inside: one file.
    if (!done.ok() && is_no_archive_) {
      is_no_archive_ = false;
      done = read_all(false, true);
    }
    return done;
  }

 private:
  Error error_of(archive* reader, ErrorKind kind = ErrorKind::corrupt) const {
    const char* text = api()->error(reader);
    return Error(kind, printable(text ? text : "cannot be read"));
  }

  Status read_all(bool is_plain, bool is_raw = false) {
    const Reader reader(api()->read_new());
    if (!reader) return Error(ErrorKind::exhausted, "no memory to read an archive");
    archive* r = reader.get();
    api()->gzip(r);
    api()->bzip2(r);
    api()->xz(r);
    api()->zstd(r);
    if (is_raw)
      api()->raw(r);
    else if (packing_ == Packing::zip)
      api()->zip(r);
    else
      api()->tar(r);
    if (api()->open(r, path_.c_str(), block_bytes) != ARCHIVE_OK) {
      is_no_archive_ = !is_plain && !is_raw;
      return error_of(r);
    }
    std::uint64_t entries = 0;
    for (;;) {
      archive_entry* entry = nullptr;
      const int code = api()->next(r, &entry);
      if (code == ARCHIVE_EOF) break;
      if (code < ARCHIVE_WARN || code == ARCHIVE_WARN) {
        is_no_archive_ = !is_plain && !is_raw && entries == 0;
        return error_of(r);
      }
      if (limits_.stop.stop_requested()) return Error(ErrorKind::cancelled, "stopped");
      if (++entries > limits_.max_entries)
        return Error(ErrorKind::exhausted,
                     fmt::format("more than {} entries", limits_.max_entries));
      TRY(take(r, entry, is_raw));
    }
    // An empty tar and something else look alike.
    is_no_archive_ = entries == 0 && !is_plain && !is_raw;
    if (entries == 0) return Error(ErrorKind::corrupt, "holds nothing");
    return Done{};
  }

  Result<std::string> name_of(archive_entry* entry, bool is_raw) const {
    if (is_raw) {
      std::string name = file_name(path_);
      for (const std::string_view ending : {".gz", ".bz2", ".xz", ".zst"})
        if (name.ends_with(ending)) name = name.substr(0, name.size() - ending.size());
      return safe_name(name, limits_);
    }
    const char* name = api()->name(entry);
    if (!name) return Error(ErrorKind::corrupt, "an entry whose name is no text");
    return safe_name(name, limits_);
  }

  // A name is taken once, whatever its case; no file is where a folder has to be.
  Status claim(const std::string& name, bool is_directory) {
    const std::string key = ascii_lower(name);
    for (std::size_t slash = key.find('/'); slash != key.npos; slash = key.find('/', slash + 1)) {
      const std::string parent = key.substr(0, slash);
      if (files_.contains(parent))
        return Error(ErrorKind::corrupt, fmt::format("entry '{}': lies below a file", name));
      folders_.insert(parent);
    }
    const bool is_taken = files_.contains(key) || (!is_directory && folders_.contains(key));
    if (is_taken) return Error(ErrorKind::corrupt, fmt::format("entry '{}': is there twice", name));
    (is_directory ? folders_ : files_).insert(key);
    return Done{};
  }

  Status take(archive* r, archive_entry* entry, bool is_raw) {
    const std::string name = TRY(name_of(entry, is_raw));
    if (api()->is_encrypted(entry))
      return Error(ErrorKind::unsupported, fmt::format("entry '{}': is encrypted", name));
    const auto type = is_raw ? static_cast<mode_t>(AE_IFREG) : api()->type(entry);
    if (api()->hardlink(entry) || (type != AE_IFREG && type != AE_IFDIR))
      return Error(ErrorKind::corrupt,
                   fmt::format("entry '{}': is a link or a device, not a file", name));
    if (name.empty()) return Done{};  // the folder itself
    TRY(claim(name, type == AE_IFDIR));
    const std::string target = join_path(folder_, name);
    if (type == AE_IFDIR) return make_folders(target);
    TRY(make_folders(parent_folder(target)));
    auto file = TRY(GrowingFile::open(target));
    TRY(copy(r, file, name));
    const bool is_sized = !is_raw && api()->size_is_set(entry);
    if (is_sized && static_cast<std::uint64_t>(api()->size(entry)) != file.size())
      return Error(ErrorKind::corrupt, fmt::format("entry '{}': holds {} bytes and says {}", name,
                                                   file.size(), api()->size(entry)));
    return Done{};  // what is kept of it is copied, and lasts then
  }

  Status copy(archive* r, GrowingFile& file, const std::string& name) {
    for (;;) {
      const void* block = nullptr;
      std::size_t size = 0;
      la_int64_t offset = 0;
      const int code = api()->block(r, &block, &size, &offset);
      if (code == ARCHIVE_EOF) return Done{};
      if (code != ARCHIVE_OK) return error_of(r).within(fmt::format("entry '{}'", name));
      // Sparse files: their holes would be bytes that nobody sent.
      if (offset < 0 || static_cast<std::uint64_t>(offset) != file.size())
        return Error(ErrorKind::unsupported, fmt::format("entry '{}': has holes", name));
      if (limits_.stop.stop_requested()) return Error(ErrorKind::cancelled, "stopped");
      written_ += size;
      TRY(check_size());
      TRY(file.append(std::span(static_cast<const std::byte*>(block), size)));
      if (limits_.progress && packed_bytes_ > 0)
        limits_.progress(std::min(1.0, static_cast<double>(api()->filter_bytes(r, -1)) /
                                           static_cast<double>(packed_bytes_)));
    }
  }

  Status check_size() const {
    if (written_ > limits_.max_bytes)
      return Error(ErrorKind::exhausted, fmt::format("more than {} bytes", limits_.max_bytes));
    if (written_ > free_ratio_bytes && written_ / limits_.max_ratio > packed_bytes_)
      return Error(ErrorKind::exhausted, fmt::format("{} bytes grow to more than {} times as many",
                                                     packed_bytes_, limits_.max_ratio));
    if (written_ + reserve_bytes > room_bytes_)
      return Error(ErrorKind::exhausted, fmt::format("more than the {} bytes that are free on the "
                                                     "disk",
                                                     room_bytes_));
    return Done{};
  }

  const std::string& path_;
  const std::string& folder_;
  const ArchiveLimits& limits_;
  const Packing packing_;
  std::uint64_t packed_bytes_ = 0, room_bytes_ = 0, written_ = 0;
  bool is_no_archive_ = false;
  std::set<std::string> files_, folders_;
};

}  // namespace

bool is_archive(const std::string& path) { return packing_of(path) != Packing::none; }

Status unpack(const std::string& path, const std::string& folder, const ArchiveLimits& limits) {
  if (!api()) return api().error();
  const Packing packing = packing_of(path);
  if (packing == Packing::none)
    return Error(ErrorKind::unsupported,
                 fmt::format("{}: no zip, tar, gz, bz2, xz or zst archive", path));
  if (file_identity(folder))
    return Error(ErrorKind::invalid, fmt::format("{}: is there already", folder));
  Unpacking unpacking(path, folder, limits, packing);
  const Status done = unpacking.run();
  if (done.ok()) return Done{};
  (void)remove_all(folder).ok();
  return Error(done.error()).within(path);
}

}  // namespace hearth
