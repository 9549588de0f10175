#include "graphs/blocked.h"

#include <algorithm>
#include <cstring>

namespace hearth::graphs {
namespace {

std::int64_t blocks_of(std::int64_t channels) {
  return (channels + block_channels - 1) / block_channels;
}

// Channels [first, first + count) of planes `plane` elements apart to places of 16, and back.
template <typename T>
void gather_channels(T* to, const T* from, std::int64_t plane, std::int64_t count, std::int64_t n) {
  if (count == block_channels) {
    for (std::int64_t i = 0; i < n; ++i)
      for (std::int64_t c = 0; c < block_channels; ++c)
        to[i * block_channels + c] = from[c * plane + i];
    return;
  }
  std::fill_n(to, n * block_channels, T{});
  for (std::int64_t c = 0; c < count; ++c)
    for (std::int64_t i = 0; i < n; ++i) to[i * block_channels + c] = from[c * plane + i];
}

template <typename T>
void scatter_channels(T* to, const T* from, std::int64_t plane, std::int64_t count,
                      std::int64_t n) {
  for (std::int64_t c = 0; c < count; ++c)
    for (std::int64_t i = 0; i < n; ++i) to[c * plane + i] = from[i * block_channels + c];
}

template <typename T>
void to_plain_as(Machine& machine, Tensor& y, const Tensor& x) {
  const std::int64_t channels = x.dims[1], blocks = blocks_of(channels);
  const std::int64_t plane = product(std::span(x.dims).subspan(2));
  parallel(machine, x.dims[0] * blocks, 1, [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t i = begin; i < end; ++i) {
      const std::int64_t n = i / blocks, first = i % blocks * block_channels;
      scatter_channels(y.data<T>() + (n * channels + first) * plane,
                       x.data<T>() + i * plane * block_channels, plane,
                       std::min(block_channels, channels - first), plane);
    }
  });
}

// One line of the image after another, with its border.
template <typename T>
void fill_image(Machine& machine, Image& image, const Tensor& x, const Border& border, T fill) {
  const std::int64_t height = x.rank() == 3 ? 1 : x.dims[2], width = x.dims.back();
  const std::int64_t channels = x.dims[1], plane = height * width;
  T* to = image.memory.data<T>();
  const std::int64_t lines = x.dims[0] * image.blocks * image.height;
  const std::int64_t grain =
      std::max<std::int64_t>(1, 2048 / std::max<std::int64_t>(1, image.width));
  parallel(machine, lines, grain, [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t line = begin; line < end; ++line) {
      T* at = to + line * image.width * block_channels;
      const std::int64_t block = line / image.height, row = line % image.height - border.top;
      if (row < 0 || row >= height) {
        std::fill_n(at, image.width * block_channels, fill);
        continue;
      }
      std::fill_n(at, border.left * block_channels, fill);
      at += border.left * block_channels;
      const std::int64_t n = block / image.blocks, first = block % image.blocks * block_channels;
      if (x.is_blocked)
        std::memcpy(at, x.data<T>() + (block * plane + row * width) * block_channels,
                    static_cast<std::size_t>(width * block_channels) * sizeof(T));
      else
        gather_channels(at, x.data<T>() + (n * channels + first) * plane + row * width, plane,
                        std::min(block_channels, channels - first), width);
      std::fill_n(at + width * block_channels, border.right * block_channels, fill);
    }
  });
}

}  // namespace

Result<Tensor> make_blocked(Machine& machine, Element type, Dims dims) {
  Dims padded = dims;
  TRY(count_of(dims));
  padded[1] = blocks_of(dims[1]) * block_channels;
  return blocked_from(TRY(make_tensor(*machine.buffers, type, std::move(padded))), std::move(dims));
}

Tensor blocked_from(Tensor x, Dims dims) {
  x.count = product(dims);
  x.dims = std::move(dims);
  x.is_blocked = true;
  return x;
}

Tensor physical(const Tensor& x) {
  Tensor y = x;
  y.is_blocked = false;
  y.dims[1] = blocks_of(x.dims[1]);
  y.dims.push_back(block_channels);
  y.count = product(y.dims);
  return y;
}

Tensor blocked_again(Tensor x) {
  Dims dims(x.dims.begin(), x.dims.end() - 1);
  dims[1] *= block_channels;
  return blocked_from(std::move(x), std::move(dims));
}

std::vector<Value> physical_operands(const Node& node, std::span<const Value* const> inputs) {
  std::vector<Value> operands;
  std::size_t rank = 0;
  for (const Value* input : inputs)
    if (input == nullptr || input->kind != Value::Kind::tensor)
      return {};
    else if (input->tensor.is_blocked)
      rank = input->tensor.rank();
  const bool joins = node.op->name == "Concat";
  if (joins && node.attributes.contains("axis") && integer_of(node.attributes, "axis", 0) != 1)
    return {};
  for (const Value* input : inputs) {
    const Tensor& x = input->tensor;
    if (x.is_blocked) {
      // Channels past the last one would become other numbers than zero.
      if (x.rank() != rank || x.dims[1] % block_channels != 0) return {};
      operands.emplace_back(physical(x));
      continue;
    }
    if (joins) return {};
    if (x.count == 1) {
      operands.emplace_back(reshaped(x, {}));
      continue;
    }
    // One number for each channel: [n, c, 1, 1] lies as its blocks do.
    Dims dims = x.dims;
    dims.insert(dims.begin(), rank > dims.size() ? rank - dims.size() : 0, 1);
    bool by_channel = dims.size() == rank && dims[1] % block_channels == 0;
    for (std::size_t i = 2; i < dims.size(); ++i) by_channel = by_channel && dims[i] == 1;
    if (!by_channel) return {};
    dims[1] /= block_channels;
    dims.push_back(block_channels);
    operands.emplace_back(reshaped(x, std::move(dims)));
  }
  return operands;
}

Result<Tensor> to_plain(Machine& machine, const Tensor& x) {
  if (!x.is_blocked) return x;
  Tensor y = TRY(make_tensor(*machine.buffers, x.type, x.dims));
  if (size_of(x.type) == 4)
    to_plain_as<std::uint32_t>(machine, y, x);
  else
    to_plain_as<std::uint8_t>(machine, y, x);
  return y;
}

Result<Image> image_of(Machine& machine, const Tensor& x, const Border& border,
                       const std::byte* fill) {
  const std::int64_t height = x.rank() == 3 ? 1 : x.dims[2];
  Image image{x, blocks_of(x.dims[1]), height + border.top + border.bottom,
              x.dims.back() + border.left + border.right};
  if (x.is_blocked && border.is_none()) return image;
  image.memory =
      TRY(make_tensor(*machine.buffers, x.type,
                      {x.dims[0], image.blocks, image.height, image.width, block_channels}));
  if (size_of(x.type) == 4) {
    std::uint32_t value;
    std::memcpy(&value, fill, sizeof value);
    fill_image<std::uint32_t>(machine, image, x, border, value);
  } else {
    fill_image<std::uint8_t>(machine, image, x, border, static_cast<std::uint8_t>(*fill));
  }
  return image;
}

}  // namespace hearth::graphs
