#include "graphs/operators/windows.h"

namespace hearth::graphs {
namespace {

constexpr std::int64_t most = std::int64_t{1} << 31;
constexpr std::int64_t most_places = 1 << 25;  // of one window

Result<std::vector<std::int64_t>> per_axis(Call& call, std::string_view name, std::size_t n,
                                           std::int64_t fallback, std::int64_t least) {
  std::vector<std::int64_t> numbers = call.list(name);
  if (numbers.empty()) numbers.assign(n, fallback);
  if (numbers.size() != n)
    return invalid(fmt::format("{}: {} numbers for {} axes", name, numbers.size(), n));
  for (const std::int64_t number : numbers)
    if (number < least || number > most) return invalid(fmt::format("{}: {}", name, number));
  return numbers;
}

}  // namespace

std::int64_t Windows::kernel_count() const { return product(kernel); }
std::int64_t Windows::input_count() const { return product(input); }
std::int64_t Windows::output_count() const { return product(output); }

Result<Windows> windows_of(Call& call, std::vector<std::int64_t> input,
                           std::vector<std::int64_t> kernel) {
  Windows w;
  const std::size_t n = input.size();
  w.input = std::move(input);
  if (n == 0) return invalid("no spatial axes");
  w.kernel = call.list("kernel_shape").empty() ? std::move(kernel) : call.list("kernel_shape");
  if (w.kernel.size() != n)
    return invalid(fmt::format("a kernel of {} axes for {}", w.kernel.size(), n));
  std::int64_t places = 1;
  for (const std::int64_t extent : w.kernel) {
    if (extent < 1 || extent > most_places / places)
      return invalid(fmt::format("a kernel of {}", to_text(w.kernel)));
    places *= extent;
  }
  w.stride = TRY(per_axis(call, "strides", n, 1, 1));
  w.dilation = TRY(per_axis(call, "dilations", n, 1, 1));
  const auto pads = TRY(per_axis(call, "pads", 2 * n, 0, 0));
  const std::string_view mode = call.text("auto_pad", "NOTSET");
  const bool ceil = call.integer("ceil_mode", 0) != 0;
  for (std::size_t i = 0; i < n; ++i) {
    const std::int64_t reach = (w.kernel[i] - 1) * w.dilation[i] + 1;
    std::int64_t before = pads[i], after = pads[n + i], extent;
    if (mode == "SAME_UPPER" || mode == "SAME_LOWER") {
      extent = (w.input[i] + w.stride[i] - 1) / w.stride[i];
      const std::int64_t total =
          std::max<std::int64_t>(0, (extent - 1) * w.stride[i] + reach - w.input[i]);
      before = mode == "SAME_UPPER" ? total / 2 : total - total / 2;
      after = total - before;
    } else {
      if (mode == "VALID") before = after = 0;
      const std::int64_t room = w.input[i] + before + after - reach;
      if (room < 0)
        return invalid(fmt::format("a kernel reaching {} over {} elements", reach,
                                   w.input[i] + before + after));
      extent = room / w.stride[i] + 1;
      if (ceil && room % w.stride[i] != 0) ++extent;
      // A window that begins in the padding at the end is none.
      if (ceil && (extent - 1) * w.stride[i] >= w.input[i] + before) --extent;
    }
    w.before.push_back(before);
    w.after.push_back(after);
    w.output.push_back(extent);
  }
  return w;
}

void window_places(const Windows& w, std::int64_t output, std::vector<std::int64_t>& places) {
  const std::size_t n = w.rank();
  std::array<std::int64_t, max_rank> first;
  for (std::size_t i = n; i-- > 0;) {
    first[i] = output % w.output[i] * w.stride[i] - w.before[i];
    output /= w.output[i];
  }
  places.resize(static_cast<std::size_t>(w.kernel_count()));
  std::array<std::int64_t, max_rank> at{};
  for (std::int64_t& place : places) {
    place = 0;
    for (std::size_t i = 0; i < n; ++i) {
      const std::int64_t x = first[i] + at[i] * w.dilation[i];
      if (x < 0 || x >= w.input[i] || place < 0)
        place = -1;
      else
        place = place * w.input[i] + x;
    }
    for (std::size_t i = n; i-- > 0;) {
      if (++at[i] < w.kernel[i]) break;
      at[i] = 0;
    }
  }
}

}  // namespace hearth::graphs
