// NumPy archives: a ZIP of stored .npy members.
// Source: the documentation of numpy.lib.format, version 1.0; APPNOTE.TXT 6.3.10, section 4.3.
#include <fmt/format.h>

#include <set>

#include "base/bytes.h"
#include "base/files.h"
#include "base/utf8.h"
#include "formats/npz.h"
#include "formats/streamed.h"
#include "formats/zip.h"

namespace hearth {
namespace {

template <typename T>
void append(std::string& out, T value) {
  out.append(reinterpret_cast<const char*>(&value), sizeof value);
}

std::string npy_header(const StreamedTensor& tensor) {
  std::string shape;
  for (const std::uint64_t extent : tensor.shape) shape += fmt::format("{}, ", extent);
  if (tensor.shape.size() > 1) shape.resize(shape.size() - 2);
  std::string text =
      fmt::format("{{'descr': '{}{}', 'fortran_order': False, 'shape': ({}), }}",
                  info(tensor.dtype).block_bytes == 1 ? '|' : '<', npy_descr(tensor.dtype), shape);
  constexpr std::size_t before = 10, alignment = 64;
  text.append(alignment - 1 - (before + text.size()) % alignment, ' ');
  text += '\n';
  std::string out("\x93NUMPY\x01\x00", 8);
  append(out, static_cast<std::uint16_t>(text.size()));
  return out + text;
}

struct Member {
  std::string name;
  std::uint32_t crc = 0;
  std::uint64_t bytes = 0, offset = 0;
};

constexpr std::uint16_t needs_zip64 = 45, flag_utf8 = 1 << 11, first_day = 33;  // 1980-01-01
constexpr std::uint32_t in_extra = 0xFFFFFFFF;

// What the entry's own header and the directory's have in common, from the version on.
void append_common(std::string& out, const Member& member, std::uint16_t extra_bytes) {
  append(out, needs_zip64);
  append(out, flag_utf8);
  append(out, std::uint16_t{0});  // stored
  append(out, std::uint16_t{0});  // time
  append(out, first_day);
  append(out, member.crc);
  append(out, in_extra);
  append(out, in_extra);
  append(out, static_cast<std::uint16_t>(member.name.size()));
  append(out, extra_bytes);
}

void append_sizes(std::string& out, const Member& member, bool with_offset) {
  append(out, std::uint16_t{1});  // ZIP64
  append(out, static_cast<std::uint16_t>(with_offset ? 24 : 16));
  append(out, member.bytes);
  append(out, member.bytes);
  if (with_offset) append(out, member.offset);
}

std::string local_header(const Member& member) {
  std::string out = "PK\x03\x04";
  append_common(out, member, 20);
  out += member.name;
  append_sizes(out, member, false);
  return out;
}

std::string directory_of(std::span<const Member> members, std::uint64_t at) {
  std::string out;
  for (const Member& member : members) {
    out += "PK\x01\x02";
    append(out, needs_zip64);
    append_common(out, member, 28);
    append(out, std::uint16_t{0});  // comment
    append(out, std::uint16_t{0});  // disk
    append(out, std::uint16_t{0});
    append(out, std::uint32_t{0});
    append(out, in_extra);
    out += member.name;
    append_sizes(out, member, true);
  }
  const std::uint64_t bytes = out.size(), count = members.size();
  out += "PK\x06\x06";
  append(out, std::uint64_t{44});
  append(out, needs_zip64);
  append(out, needs_zip64);
  append(out, std::uint64_t{0});  // disks
  append(out, count);
  append(out, count);
  append(out, bytes);
  append(out, at);
  out += "PK\x06\x07";
  append(out, std::uint32_t{0});
  append(out, at + bytes);
  append(out, std::uint32_t{1});
  out += "PK\x05\x06";
  append(out, std::uint32_t{0});
  const auto short_count = static_cast<std::uint16_t>(count < 0xFFFF ? count : 0xFFFF);
  append(out, short_count);
  append(out, short_count);
  append(out, in_extra);
  append(out, in_extra);
  append(out, std::uint16_t{0});
  return out;
}

}  // namespace

bool npz_holds(Dtype dtype) { return !npy_descr(dtype).empty(); }

Status write_npz(const std::string& path, std::span<const StreamedTensor> tensors) {
  std::set<std::string_view> names;
  for (const StreamedTensor& tensor : tensors) {
    const std::string name = printable(tensor.name);
    if (!npz_holds(tensor.dtype))
      return Error(ErrorKind::invalid, fmt::format("tensor '{}': {} is no type of NumPy's", name,
                                                   name_of(tensor.dtype)));
    if (!names.insert(tensor.name).second)
      return Error(ErrorKind::invalid, fmt::format("tensor '{}': twice", name));
  }
  DraftFile draft = TRY(DraftFile::create(path));
  std::vector<Member> members;
  std::uint64_t at = 0;
  for (const StreamedTensor& tensor : tensors) {
    const auto data = TRY(take_streamed(tensor));
    const std::string header = npy_header(tensor);
    Member member{.name = tensor.name + ".npy",
                  .crc = zip_checksum(data, zip_checksum(bytes_of(header))),
                  .bytes = header.size() + data.size(),
                  .offset = at};
    const std::string local = local_header(member);
    TRY(draft.write(bytes_of(local)));
    TRY(draft.write(bytes_of(header)));
    TRY(draft.write(data));
    at += local.size() + member.bytes;
    members.push_back(std::move(member));
  }
  TRY(draft.write(bytes_of(directory_of(members, at))));
  return draft.commit();
}

}  // namespace hearth
