#include "formats/strided.h"

#include <fmt/core.h>

#include <cstring>

#include "base/bytes.h"

namespace hearth {
namespace {

bool is_contiguous(const Strides& view) {
  std::uint64_t expected = 1;
  for (std::size_t i = view.shape.size(); i-- > 0;) {
    if (view.shape[i] != 1 && view.strides[i] != expected) return false;
    expected *= view.shape[i];
  }
  return true;
}

std::vector<std::byte> gather(std::span<const std::byte> storage, const Strides& view,
                              std::uint64_t elements) {
  const std::size_t each = info(view.dtype).block_bytes;
  std::vector<std::byte> out(elements * each);
  std::vector<std::uint64_t> place(view.shape.size(), 0);
  std::uint64_t from = view.offset;
  for (std::uint64_t i = 0; i < elements; ++i) {
    std::memcpy(out.data() + i * each, storage.data() + from * each, each);
    for (std::size_t d = view.shape.size(); d-- > 0;) {
      from += view.strides[d];
      if (++place[d] < view.shape[d]) break;
      from -= view.strides[d] * view.shape[d];
      place[d] = 0;
    }
  }
  return out;
}

}  // namespace

Result<TensorEntry> strided_tensor(std::string name, std::span<const std::byte> storage,
                                   Strides view) {
  const std::uint64_t each = info(view.dtype).block_bytes, held = storage.size() / each;
  if (view.shape.size() != view.strides.size())
    return Error(ErrorKind::corrupt,
                 fmt::format("rank {} with {} strides", view.shape.size(), view.strides.size()));
  std::uint64_t elements = 1, last = view.offset;
  for (const std::uint64_t extent : view.shape) elements = TRY(checked_mul(elements, extent));
  for (std::size_t i = 0; i < view.shape.size() && elements > 0; ++i) {
    const std::uint64_t reach = TRY(checked_mul(view.shape[i] - 1, view.strides[i]));
    last = TRY(checked_add(last, reach));
  }
  if (elements > 0 ? last >= held : view.offset > held)
    return Error(ErrorKind::corrupt, fmt::format("element {} of a storage of {}", last, held));
  if (elements > held)  // strides of 0 would make much of little
    return Error(ErrorKind::corrupt, fmt::format("{} elements of a storage of {}", elements, held));
  TensorEntry entry{.name = std::move(name), .dtype = view.dtype, .shape = view.shape, .data = {}};
  if (elements == 0) return entry;
  if (is_contiguous(view))
    entry.data = storage.subspan(view.offset * each, elements * each);
  else
    entry.make = [storage, view = std::move(view), elements] {
      return Result<std::vector<std::byte>>(gather(storage, view, elements));
    };
  return entry;
}

}  // namespace hearth
