// Source: FlatBuffers, "FlexBuffers" of its internals.
#include "graphs/tflite/flexbuffer.h"

#include <fmt/core.h>

#include <cstdint>
#include <cstring>

#include "base/utf8.h"

namespace hearth::graphs::tflite {
namespace {

Error corrupt() { return Error(ErrorKind::corrupt, "options outside their bytes"); }

struct Bytes {
  std::span<const std::byte> all;

  // An unsigned number of 1, 2, 4 or 8 bytes.
  Result<std::uint64_t> number(std::size_t at, std::size_t width) const {
    if (at > all.size() || width > all.size() - at) return corrupt();
    std::uint64_t value = 0;
    std::memcpy(&value, all.data() + at, width);
    return value;
  }
  // What an offset leads back to.
  Result<std::size_t> target(std::size_t at, std::size_t width) const {
    const std::uint64_t offset = TRY(number(at, width));
    if (offset > at) return corrupt();
    return at - static_cast<std::size_t>(offset);
  }
};

std::int64_t signed_of(std::uint64_t value, std::size_t width) {
  const unsigned unused = static_cast<unsigned>(64 - 8 * width);
  return static_cast<std::int64_t>(value << unused) >> unused;
}

double real_of(std::uint64_t value, std::size_t width) {
  if (width == 4) {
    float f;
    std::memcpy(&f, &value, sizeof f);
    return f;
  }
  double d;
  std::memcpy(&d, &value, sizeof d);
  return d;
}

// A value's kind: what is not a number here is left out.
enum Kind : unsigned {
  whole = 1,
  natural = 2,
  real = 3,
  far_whole = 6,  // and the two after it: the number lies elsewhere
  far_real = 8,
  map = 9,
  truth = 26
};

struct Found {
  bool is_number = false;
  double value = 0;
};

Result<Found> value_at(const Bytes& bytes, std::size_t at, std::size_t width, unsigned packed) {
  unsigned kind = packed >> 2;
  if (kind >= far_whole && kind <= far_real) {  // with a width of its own
    at = TRY(bytes.target(at, width));
    width = std::size_t{1} << (packed & 3);
    kind -= far_whole - whole;
  }
  if (kind != whole && kind != natural && kind != real && kind != truth) return Found{};
  const std::uint64_t number = TRY(bytes.number(at, width));
  if (kind == real) return width < 4 ? Found{} : Found{true, real_of(number, width)};
  return Found{true, kind == whole ? static_cast<double>(signed_of(number, width))
                                   : static_cast<double>(number)};
}

}  // namespace

Result<std::map<std::string, double, std::less<>>> read_flexbuffer(
    std::span<const std::byte> given) {
  constexpr std::uint64_t most_keys = 1024;
  const Bytes bytes{given};
  if (given.size() < 3) return corrupt();
  const auto root_width = std::to_integer<std::size_t>(given.back()),
             packed = std::to_integer<std::size_t>(given[given.size() - 2]);
  if (root_width != 1 && root_width != 2 && root_width != 4 && root_width != 8) return corrupt();
  if (packed >> 2 != map || given.size() < root_width + 2)
    return Error(ErrorKind::corrupt, "options that are no map");
  const std::size_t width = std::size_t{1} << (packed & 3);
  const std::size_t values = TRY(bytes.target(given.size() - 2 - root_width, root_width));
  // Before the values: where the keys are, the width of theirs, how many.
  if (values < 3 * width) return corrupt();
  const std::uint64_t count = TRY(bytes.number(values - width, width));
  const std::size_t keys = TRY(bytes.target(values - 3 * width, width));
  const std::uint64_t key_width = TRY(bytes.number(values - 2 * width, width));
  if (count > most_keys || (key_width != 1 && key_width != 2 && key_width != 4 && key_width != 8))
    return corrupt();
  std::map<std::string, double, std::less<>> found;
  for (std::size_t i = 0; i < count; ++i) {
    const std::size_t key = TRY(bytes.target(keys + i * key_width, key_width));
    const void* end = std::memchr(given.data() + key, 0, given.size() - key);
    if (end == nullptr) return corrupt();
    const std::string name(reinterpret_cast<const char*>(given.data()) + key);
    const std::uint64_t kind = TRY(bytes.number(values + count * width + i, 1));
    const Found value =
        TRY(value_at(bytes, values + i * width, width, static_cast<unsigned>(kind)));
    if (value.is_number) found[printable(name)] = value.value;
  }
  return found;
}

}  // namespace hearth::graphs::tflite
