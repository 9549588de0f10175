#include "graphs/operators/bytes.h"

#include <algorithm>
#include <cmath>

#include "graphs/operators/finish.h"

namespace hearth::graphs {
namespace {

// Weights in the order in which tiles read them: runs of filters, each [tap][quad][filter][4].
struct PackedBytes : Prepared {
  const kernels::ConvKernels* table;
  Tensor w;
  std::vector<std::int32_t> sums;  // of each filter's weights
  std::int64_t filters, groups, quads;
  bool is_depthwise = false;  // then w: [block][tap][16]
};

std::int64_t whole_at(const Tensor& t, std::int64_t i) {
  std::int64_t number;
  load(Work::i64, &number, t.type, t.bytes + i * static_cast<std::int64_t>(size_of(t.type)), 1);
  return number;
}

// The i-th of numbers of which there is one for all, or one each.
std::int64_t zero_at(const Tensor* zeros, std::int64_t i) {
  return zeros == nullptr ? 0 : whole_at(*zeros, zeros->count == 1 ? 0 : i);
}

std::int64_t up_to_block(std::int64_t n) {
  return (n + block_channels - 1) / block_channels * block_channels;
}

const kernels::ConvKernels& table_of(const Machine& machine) {
  return machine.ctx == nullptr || machine.ctx->kernels == nullptr ? kernels::conv_reference()
                                                                   : conv_kernels(machine);
}

// weight(filter, channel, tap); a group has `each` filters and `channels` channels.
struct Weights {
  std::int64_t filters, groups, channels, taps;
  std::function<std::int64_t(std::int64_t, std::int64_t, std::int64_t)> at;
};

Result<std::shared_ptr<PackedBytes>> pack(const Machine& machine, const Weights& from) {
  auto packed = std::make_shared<PackedBytes>();
  packed->table = &table_of(machine);
  packed->filters = from.filters;
  packed->groups = from.groups;
  packed->quads = from.channels <= 4 ? 1 : 4;
  packed->is_depthwise = from.groups > 1 && from.channels == 1 && from.filters == from.groups;
  packed->sums.assign(static_cast<std::size_t>(up_to_block(from.filters)), 0);
  for (std::int64_t f = 0; f < from.filters; ++f)
    for (std::int64_t c = 0; c < from.channels; ++c)
      for (std::int64_t t = 0; t < from.taps; ++t)
        packed->sums[static_cast<std::size_t>(f)] += static_cast<std::int32_t>(from.at(f, c, t));
  const std::int64_t lane = packed->quads * 4;
  const std::int64_t channels = packed->is_depthwise ? 1 : (from.channels + lane - 1) / lane * lane;
  packed->w = TRY(make_tensor(
      Element::i8, {std::max<std::int64_t>(1, up_to_block(from.filters) * channels * from.taps)}));
  std::memset(packed->w.bytes, 0, packed->w.byte_count());
  auto* to = packed->w.data<std::int8_t>();
  if (packed->is_depthwise) {
    for (std::int64_t f = 0; f < from.filters; ++f)
      for (std::int64_t t = 0; t < from.taps; ++t)
        to[(f / block_channels * from.taps + t) * block_channels + f % block_channels] =
            static_cast<std::int8_t>(from.at(f, 0, t));
    return packed;
  }
  const std::int64_t each = from.filters / from.groups;
  const auto wide = static_cast<std::int64_t>(packed->table->wide) * block_channels;
  for (std::int64_t g = 0; g < from.groups; ++g)
    for (std::int64_t first = 0; first < each;) {
      const std::int64_t run = up_to_block(each) - first >= wide ? wide : block_channels;
      for (std::int64_t c0 = 0; c0 < channels; c0 += lane)
        for (std::int64_t t = 0; t < from.taps; ++t)
          for (std::int64_t q = c0; q < c0 + lane; q += 4)
            for (std::int64_t f = first; f < first + run; ++f)
              for (std::int64_t c = q; c < q + 4; ++c, ++to)
                if (f < each && c < from.channels)
                  *to = static_cast<std::int8_t>(from.at(g * each + f, c, t));
      first += run;
    }
  return packed;
}

// How sums become the numbers of the result, by filter; padded to whole blocks.
struct Rescale {
  std::vector<std::int32_t> bias;
  std::vector<float> scale;
  std::int32_t zero = 0, low = 0, high = 0;
};

// Inputs 1, 2, 4, 6, 7 and 8 of QLinearConv and QLinearMatMul.  x_zero: of unsigned numbers.
Result<Rescale> rescale_of(Call& call, const PackedBytes& packed, std::int64_t x_zero) {
  const auto x_scale = TRY(call.reals(1)), w_scale = TRY(call.reals(4)),
             y_scale = TRY(call.reals(6));
  const Tensor* y_zero = TRY(call.tensor(7));
  const Tensor* bias = call.tensor_or_null(8);
  const auto n = static_cast<std::size_t>(packed.filters);
  if (x_scale.size() != 1 || y_scale.size() != 1 || y_zero->count != 1 ||
      (w_scale.size() != 1 && w_scale.size() != n) ||
      (bias != nullptr && bias->count != packed.filters))
    return invalid("scales or a bias of another size");
  Rescale r;
  r.bias.resize(packed.sums.size());
  r.scale.resize(packed.sums.size(), 0);
  for (std::size_t f = 0; f < n; ++f) {
    const double product = x_scale[0] * w_scale[w_scale.size() == 1 ? 0 : f];
    std::int64_t add = 0;
    if (bias != nullptr && is_float(bias->type)) {
      const double real = static_cast<double>(bias->data<float>()[f]) / product;
      add = static_cast<std::int64_t>(std::nearbyint(std::clamp(real, -2e9, 2e9)));
    } else if (bias != nullptr) {
      add = whole_at(*bias, static_cast<std::int64_t>(f));
    }
    r.bias[f] = static_cast<std::int32_t>(add - x_zero * packed.sums[f]);
    r.scale[f] = static_cast<float>(product / y_scale[0]);
  }
  const bool is_signed = y_zero->type == Element::i8;
  r.zero = static_cast<std::int32_t>(whole_at(*y_zero, 0));
  const double least = is_signed ? -128 : 0, most = is_signed ? 127 : 255;
  const Finish finish = finish_of(call);
  const auto bound = [&](float real) {
    const double whole = std::nearbyint(static_cast<double>(real) / y_scale[0]) + r.zero;
    return static_cast<std::int32_t>(std::clamp(whole, least, most));
  };
  r.low = bound(finish.low);
  r.high = bound(finish.high);
  return r;
}

// Zero point of x as it is once its numbers are unsigned.
std::int64_t unsigned_zero(const Tensor& x, std::int64_t zero) {
  return x.type == Element::i8 ? zero + 128 : zero;
}

void flip(Machine& machine, Tensor& bytes) {
  parallel(machine, bytes.count, 65536, [&](std::int64_t begin, std::int64_t end) {
    auto* numbers = bytes.data<std::uint8_t>();
    for (std::int64_t i = begin; i < end; ++i) numbers[i] ^= 0x80;
  });
}

// The image with its border, of unsigned numbers.
Result<Image> unsigned_image(Machine& machine, const Tensor& x, const Plane& plane,
                             std::int64_t zero) {
  const auto fill = static_cast<std::byte>(zero);
  Image image = TRY(image_of(machine, x, plane.border, &fill));
  if (x.type != Element::i8) return image;
  if (image.memory.bytes == x.bytes) {
    const Tensor from = physical(x);
    image.memory = TRY(make_tensor(*machine.buffers, Element::u8, from.dims));
    std::memcpy(image.memory.bytes, from.bytes, from.byte_count());
  }
  flip(machine, image.memory);
  return image;
}

struct ByteJob {
  const PackedBytes& packed;
  const Rescale& rescale;
  const Plane& plane;
  std::int64_t pitch, block;
  std::vector<std::ptrdiff_t> taps;
  const std::uint8_t* image;
  std::uint8_t* y;
  std::int64_t places() const { return plane.lines * plane.columns; }
};

struct Run {
  std::int64_t block, blocks, first_block, at;  // at: of its weights
};

std::vector<Run> runs_of(const PackedBytes& packed, std::int64_t taps, std::int64_t group_blocks) {
  std::vector<Run> runs;
  std::int64_t at = 0;
  if (packed.is_depthwise) {
    for (std::int64_t b = 0; b * block_channels < packed.filters; ++b, at += taps * block_channels)
      runs.push_back({b, 1, b, at});
    return runs;
  }
  const auto wide = static_cast<std::int64_t>(packed.table->wide);
  const std::int64_t each = up_to_block(packed.filters / packed.groups) / block_channels;
  for (std::int64_t g = 0; g < packed.groups; ++g)
    for (std::int64_t b = 0; b < each;) {
      const std::int64_t n = each - b >= wide ? wide : 1;
      runs.push_back({g * each + b, n, g * group_blocks, at});
      at += n * block_channels * taps * packed.quads * 4;
      b += n;
    }
  return runs;
}

// Sums of one channel each.
#if defined(__x86_64__)
__attribute__((target_clones("avx512f", "avx2", "default")))
#endif
void depthwise_sums(
    std::int32_t* sums, const std::uint8_t* x, const std::ptrdiff_t* taps, std::size_t count,
    const std::int8_t* w, const std::int32_t* bias) {
  std::int32_t own[block_channels];
  for (std::int64_t c = 0; c < block_channels; ++c) own[c] = bias[c];
  for (std::size_t t = 0; t < count; ++t) {
    const std::uint8_t* at = x + taps[t];
    const std::int8_t* by = w + t * block_channels;
    for (std::int64_t c = 0; c < block_channels; ++c)
      own[c] += static_cast<std::int16_t>(at[c]) * static_cast<std::int16_t>(by[c]);
  }
  for (std::int64_t c = 0; c < block_channels; ++c) sums[c] = own[c];
}

#if defined(__x86_64__)
__attribute__((target_clones("avx512f", "avx2", "default")))
#endif
void rescale_block(
    std::uint8_t* y, const std::int32_t* sums, const float* scale, std::int32_t zero,
    std::int32_t low, std::int32_t high) {
  for (std::int64_t c = 0; c < block_channels; ++c) {
    float scaled = static_cast<float>(sums[c]) * scale[c];
    scaled = scaled < -1e6f ? -1e6f : scaled > 1e6f ? 1e6f : scaled;
    // Adding 1.5 * 2^23 rounds to whole numbers, ties to even.
    const auto whole = static_cast<std::int32_t>((scaled + 12582912.0f) - 12582912.0f) + zero;
    y[c] = static_cast<std::uint8_t>(whole < low ? low : whole > high ? high : whole);
  }
}

void run_tile(const ByteJob& job, const Run& run, const std::uint8_t* const* x, std::int64_t count,
              std::uint8_t* y, std::int64_t y_block) {
  const std::size_t first = static_cast<std::size_t>(run.block * block_channels);
  const Rescale& r = job.rescale;
  const std::int8_t* w = job.packed.w.data<std::int8_t>() + run.at;
  if (job.packed.is_depthwise) {
    for (std::int64_t i = 0; i < count; ++i) {
      std::int32_t sums[block_channels];
      depthwise_sums(sums, x[i], job.taps.data(), job.taps.size(), w, &r.bias[first]);
      rescale_block(y + i * block_channels, sums, &r.scale[first], r.zero, r.low, r.high);
    }
    return;
  }
  job.packed.table->bytes({.y = y,
                           .sums = nullptr,
                           .y_block = static_cast<std::size_t>(y_block),
                           .x = x,
                           .taps = job.taps.data(),
                           .tap_count = job.taps.size(),
                           .quads = static_cast<std::size_t>(job.packed.quads),
                           .w = w,
                           .bias = &r.bias[first],
                           .scale = &r.scale[first],
                           .zero = r.zero,
                           .low = r.low,
                           .high = r.high},
                          static_cast<std::size_t>(count), static_cast<std::size_t>(run.blocks));
}

void run_image(Machine& machine, const ByteJob& job, const std::vector<Run>& runs) {
  const auto tile = static_cast<std::int64_t>(job.packed.table->places), small = tile / 2;
  const std::int64_t places = job.places();
  const std::int64_t chunk = std::max<std::int64_t>(2 * tile, (places + 7) / 8);
  const std::int64_t chunks = std::max<std::int64_t>(1, places / chunk);
  const auto all = static_cast<std::int64_t>(runs.size());
  parallel(machine, all * chunks, 1, [&](std::int64_t begin, std::int64_t end) {
    const std::uint8_t* x[kernels::most_tile_places];
    for (std::int64_t item = begin; item < end; ++item) {
      const Run& run = runs[static_cast<std::size_t>(item / chunks)];
      const std::int64_t i = item % chunks, first = i * chunk;
      const std::int64_t last = i == chunks - 1 ? places : first + chunk;
      const std::uint8_t* image = job.image + run.first_block * job.block;
      std::uint8_t* y = job.y + run.block * places * block_channels;
      if (last - first < small) {  // some places stand in the tile twice
        std::uint8_t few[2 * kernels::most_tile_places * kernels::channel_block];
        aim(x, image, job.plane, job.pitch, block_channels, 0, last);
        for (std::int64_t k = last; k < small; ++k) x[k] = x[0];
        run_tile(job, run, x, small, few, small * block_channels);
        for (std::int64_t b = 0; b < run.blocks; ++b)
          std::copy_n(few + b * small * block_channels, last * block_channels,
                      y + b * places * block_channels);
        continue;
      }
      each_tile(first, last, tile, [&](std::int64_t from, std::int64_t count) {
        aim(x, image, job.plane, job.pitch, block_channels, from, count);
        run_tile(job, run, x, count, y + from * block_channels, places * block_channels);
      });
    }
  });
}

bool is_byte(Element type) { return type == Element::i8 || type == Element::u8; }

}  // namespace

bool are_bytes(const Tensor& w, const Tensor* zeros, std::size_t axis) {
  if (!is_byte(w.type) || axis >= w.rank()) return false;
  if (zeros != nullptr && zeros->count != 1 && zeros->count != w.dims[axis]) return false;
  const std::int64_t inner = product(std::span(w.dims).subspan(axis + 1));
  for (std::int64_t i = 0; i < w.count; ++i) {
    const std::int64_t number = whole_at(w, i) - zero_at(zeros, i / inner % w.dims[axis]);
    if (number < -128 || number > 127) return false;
  }
  return true;
}

Status q_conv(Call& call) {
  const Tensor* x = TRY(call.tensor(0));
  const Tensor* w = TRY(call.tensor(3));
  const Element type = TRY(call.tensor(7))->type;
  if (!is_byte(x->type) || !is_byte(type))
    return unsupported(fmt::format("{} to {}", name_of(x->type), name_of(type)));
  const ConvShape shape = TRY(conv_shape(call, x->dims, w->dims));
  Plane plane;
  if (!plane_of(shape.windows, plane)) return unsupported("more than two spatial axes");
  auto packed = std::dynamic_pointer_cast<PackedBytes>(call.node.prepared);
  if (!packed || packed->table != &table_of(call.machine)) {
    const std::int64_t taps = shape.windows.kernel_count(), channels = w->dims[1];
    const Tensor* zeros = call.tensor_or_null(5);
    packed = TRY(pack(call.machine, {shape.filters, shape.groups, channels, taps,
                                     [&](std::int64_t f, std::int64_t c, std::int64_t t) {
                                       return whole_at(*w, (f * channels + c) * taps + t) -
                                              zero_at(zeros, f);
                                     }}));
    call.node.prepared = packed;
  }
  const std::int64_t x_zero = TRY(call.integer_input(2, 0));
  const Rescale rescale = TRY(rescale_of(call, *packed, unsigned_zero(*x, x_zero)));
  const Image image = TRY(unsigned_image(call.machine, *x, plane, x_zero));
  Tensor y = TRY(make_blocked(call.machine, type, shape.result));
  ByteJob job{*packed, rescale, plane,  image.width * block_channels, image.block_elements(),
              {},      nullptr, nullptr};
  const std::int64_t group_blocks =
      shape.groups == 1 ? image.blocks : shape.channels / shape.groups / block_channels;
  job.taps =
      taps_of(plane, job.pitch, block_channels, packed->is_depthwise ? 1 : group_blocks, job.block);
  const std::vector<Run> runs =
      runs_of(*packed, static_cast<std::int64_t>(job.taps.size()), group_blocks);
  for (std::int64_t n = 0; n < shape.batch; ++n) {
    job.image = image.memory.data<std::uint8_t>() + n * image.blocks * job.block;
    job.y = y.data<std::uint8_t>() + n * up_to_block(shape.filters) * job.places();
    run_image(call.machine, job, runs);
  }
  call.give(0, std::move(y));
  return Done{};
}

namespace {

// Rows of x, padded to whole blocks of unsigned numbers.
Result<Tensor> byte_rows(Machine& machine, const Tensor& x, std::int64_t m, std::int64_t k) {
  if (x.type == Element::u8 && k % block_channels == 0) return reshaped(x, {m, k});
  const std::int64_t wide = up_to_block(k);
  Tensor rows = TRY(make_tensor(*machine.buffers, Element::u8, {m, wide}));
  const std::uint8_t turn = x.type == Element::i8 ? 0x80 : 0;
  parallel(machine, m, std::max<std::int64_t>(1, 16384 / std::max<std::int64_t>(1, k)),
           [&](std::int64_t begin, std::int64_t end) {
             for (std::int64_t i = begin; i < end; ++i) {
               std::uint8_t* to = rows.data<std::uint8_t>() + i * wide;
               const std::uint8_t* from = x.data<std::uint8_t>() + i * k;
               for (std::int64_t j = 0; j < k; ++j) to[j] = from[j] ^ turn;
               std::fill_n(to + k, wide - k, std::uint8_t{0});
             }
           });
  return rows;
}

// y: [m, n] bytes, or sums: [m, n]; one of them is null.
struct Rows {
  std::int64_t m, k;
  const std::uint8_t* x;
  std::uint8_t* y;
  std::int32_t* sums;
};

void multiply_rows(Machine& machine, const PackedBytes& packed, const Rescale& r,
                   const Rows& rows) {
  const std::int64_t wide = up_to_block(rows.k), n = packed.filters;
  const auto tile = static_cast<std::int64_t>(packed.table->places), small = tile / 2;
  std::vector<std::ptrdiff_t> taps;
  const std::int64_t lane = packed.quads * 4;
  for (std::int64_t i = 0; i < wide && (i == 0 || lane == block_channels); i += block_channels)
    taps.push_back(i);
  const std::vector<Run> runs = runs_of(packed, static_cast<std::int64_t>(taps.size()), 0);
  const std::int64_t chunks = (rows.m + 4 * tile - 1) / (4 * tile);
  parallel(machine, static_cast<std::int64_t>(runs.size()) * chunks, 1,
           [&](std::int64_t begin, std::int64_t end) {
             const std::uint8_t* x[kernels::most_tile_places];
             std::uint8_t bytes[2 * kernels::most_tile_places * kernels::channel_block];
             std::int32_t sums[2 * kernels::most_tile_places * kernels::channel_block];
             for (std::int64_t item = begin; item < end; ++item) {
               const Run& run = runs[static_cast<std::size_t>(item / chunks)];
               const auto first = static_cast<std::size_t>(run.block * block_channels);
               const std::int64_t last = std::min(rows.m, (item % chunks + 1) * 4 * tile);
               for (std::int64_t at = item % chunks * 4 * tile; at < last;) {
                 const std::int64_t count = last - at > small ? tile : small,
                                    real = std::min(count, last - at);
                 for (std::int64_t i = 0; i < count; ++i)
                   x[i] = rows.x + (at + std::min(i, real - 1)) * wide;
                 packed.table->bytes({.y = bytes,
                                      .sums = rows.sums == nullptr ? nullptr : sums,
                                      .y_block = static_cast<std::size_t>(count * block_channels),
                                      .x = x,
                                      .taps = taps.data(),
                                      .tap_count = taps.size(),
                                      .quads = static_cast<std::size_t>(packed.quads),
                                      .w = packed.w.data<std::int8_t>() + run.at,
                                      .bias = &r.bias[first],
                                      .scale = r.scale.data() + (r.scale.empty() ? 0 : first),
                                      .zero = r.zero,
                                      .low = r.low,
                                      .high = r.high},
                                     static_cast<std::size_t>(count),
                                     static_cast<std::size_t>(run.blocks));
                 for (std::int64_t b = 0; b < run.blocks; ++b) {
                   const std::int64_t column = (run.block + b) * block_channels;
                   const std::int64_t columns = std::min(block_channels, n - column);
                   for (std::int64_t i = 0; i < real; ++i) {
                     const std::int64_t from = (b * count + i) * block_channels,
                                        to = (at + i) * n + column;
                     if (rows.sums == nullptr)
                       std::copy_n(bytes + from, columns, rows.y + to);
                     else
                       std::copy_n(sums + from, columns, rows.sums + to);
                   }
                 }
                 at += real;
               }
             }
           });
}

Result<std::shared_ptr<PackedBytes>> packed_matrix(Call& call, const Tensor& w, const Tensor* zeros,
                                                   bool turned) {
  auto packed = std::dynamic_pointer_cast<PackedBytes>(call.node.prepared);
  if (packed && packed->table == &table_of(call.machine)) return packed;
  const std::int64_t k = w.dims[turned ? 1 : 0], n = w.dims[turned ? 0 : 1];
  packed = TRY(pack(call.machine, {n, 1, k, 1, [&](std::int64_t f, std::int64_t c, std::int64_t) {
                                     return whole_at(w, turned ? f * k + c : c * n + f) -
                                            zero_at(zeros, f);
                                   }}));
  call.node.prepared = packed;
  return packed;
}

struct MatrixShape {
  std::int64_t m, k, n;
  Dims dims;
};
Result<MatrixShape> matrix_shape(const Tensor& x, const Tensor& w, bool turned) {
  if (x.rank() == 0 || w.rank() != 2 || x.dims.back() != w.dims[turned ? 1 : 0] || !is_byte(x.type))
    return invalid(fmt::format("{} {} by {}", name_of(x.type), to_text(x.dims), to_text(w.dims)));
  MatrixShape shape{0, x.dims.back(), w.dims[turned ? 0 : 1], x.dims};
  shape.dims.back() = shape.n;
  shape.m = shape.k == 0 ? 0 : x.count / shape.k;
  return shape;
}

}  // namespace

Status q_matmul(Call& call) {
  const Tensor* x = TRY(call.tensor(0));
  const Tensor* w = TRY(call.tensor(3));
  const Element type = TRY(call.tensor(7))->type;
  const bool turned = call.integer("transB", 0) != 0;
  const MatrixShape shape = TRY(matrix_shape(*x, *w, turned));
  if (!is_byte(type)) return unsupported(fmt::format("a result of {}", name_of(type)));
  const auto packed = TRY(packed_matrix(call, *w, call.tensor_or_null(5), turned));
  const std::int64_t x_zero = TRY(call.integer_input(2, 0));
  const Rescale rescale = TRY(rescale_of(call, *packed, unsigned_zero(*x, x_zero)));
  const Tensor rows = TRY(byte_rows(call.machine, *x, shape.m, shape.k));
  Tensor* y = TRY(call.make(0, type, shape.dims));
  multiply_rows(call.machine, *packed, rescale,
                {shape.m, shape.k, rows.data<std::uint8_t>(), y->data<std::uint8_t>(), nullptr});
  return Done{};
}

Status integer_matmul(Call& call) {
  const Tensor* x = TRY(call.tensor(0));
  const Tensor* w = TRY(call.tensor(1));
  const Tensor* x_zeros = call.tensor_or_null(2);
  if (x_zeros != nullptr && x_zeros->count != 1)  // one for each row
    return find_operator("MatMulInteger")->kernel(call);
  const MatrixShape shape = TRY(matrix_shape(*x, *w, false));
  const auto packed = TRY(packed_matrix(call, *w, call.tensor_or_null(3), false));
  const std::int64_t zero = unsigned_zero(*x, TRY(call.integer_input(2, 0)));
  Rescale rescale;
  for (const std::int32_t sum : packed->sums)
    rescale.bias.push_back(static_cast<std::int32_t>(-zero * sum));
  const Tensor rows = TRY(byte_rows(call.machine, *x, shape.m, shape.k));
  Tensor* y = TRY(call.make(0, Element::i32, shape.dims));
  multiply_rows(call.machine, *packed, rescale,
                {shape.m, shape.k, rows.data<std::uint8_t>(), nullptr, y->data<std::int32_t>()});
  return Done{};
}

}  // namespace hearth::graphs
