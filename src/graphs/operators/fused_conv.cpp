// Convolutions with what follows them, on blocked images: hearth.Conv.
//
// Inputs: x, weights and bias as Conv has them (constant weights of f32), and what is added to the
// result before its finish.  What the tiles cannot do goes through the plain convolution.
#include <algorithm>
#include <cstring>

#include "graphs/operators/elementwise.h"
#include "graphs/operators/families.h"
#include "graphs/operators/finish.h"
#include "graphs/operators/tiles.h"
#include "kernels/kernels.h"

namespace hearth::graphs {

bool plane_of(const Windows& w, Plane& plane) {
  if (w.rank() < 1 || w.rank() > 2) return false;
  const std::size_t y = 0, x = w.rank() - 1;
  const bool flat = w.rank() == 1;
  plane = {flat ? 1 : w.input[y], w.input[x],       flat ? 1 : w.output[y], w.output[x],
           {1, w.kernel[x]},      {1, w.stride[x]}, {1, w.dilation[x]},     {0, w.before[x], 0, 0}};
  if (!flat) {
    plane.kernel[0] = w.kernel[y];
    plane.stride[0] = w.stride[y];
    plane.dilation[0] = w.dilation[y];
    plane.border.top = w.before[y];
  }
  // What the last window reaches past the image; less than the padding where a step cuts it off.
  const auto past = [](std::int64_t outputs, std::int64_t stride, std::int64_t kernel,
                       std::int64_t dilation, std::int64_t before, std::int64_t input) {
    return std::max<std::int64_t>(
        0, (outputs - 1) * stride + (kernel - 1) * dilation + 1 - before - input);
  };
  plane.border.right = past(plane.columns, plane.stride[1], plane.kernel[1], plane.dilation[1],
                            plane.border.left, plane.width);
  plane.border.bottom = past(plane.lines, plane.stride[0], plane.kernel[0], plane.dilation[0],
                             plane.border.top, plane.height);
  return plane.border.top >= 0 && plane.border.left >= 0;
}

const kernels::ConvKernels& conv_kernels(const Machine& machine) {
  return kernels::conv_kernels_beside(machine.ctx->kernels->name);
}

std::vector<std::ptrdiff_t> taps_of(const Plane& plane, std::int64_t pitch, std::int64_t step,
                                    std::int64_t blocks, std::int64_t block) {
  std::vector<std::ptrdiff_t> taps;
  for (std::int64_t b = 0; b < blocks; ++b)
    for (std::int64_t ky = 0; ky < plane.kernel[0]; ++ky)
      for (std::int64_t kx = 0; kx < plane.kernel[1]; ++kx)
        taps.push_back(b * block + ky * plane.dilation[0] * pitch + kx * plane.dilation[1] * step);
  return taps;
}

namespace {

enum class Way { blocks, planes, depthwise };  // what lies together at a tap: 16 channels, 1, 16

struct PackedConv : Prepared {
  const kernels::ConvKernels* table;
  Way way;
  Tensor w, bias;
};

// Planes are read as they lie where blocks would be mostly empty.
constexpr std::int64_t few_channels = 4;
constexpr std::int64_t small_weights = 48 << 10;   // floats that stay in the second-level cache
constexpr std::int64_t lines_in_cache = 32 << 10;  // floats of an image that are copied at a time

std::optional<Way> way_of(const ConvShape& shape) {
  const std::int64_t channels = shape.channels / shape.groups,
                     filters = shape.filters / shape.groups;
  if (shape.groups == 1) return channels <= few_channels ? Way::planes : Way::blocks;
  if (channels == 1 && filters == 1) return Way::depthwise;
  if (channels % block_channels == 0 && filters % block_channels == 0) return Way::blocks;
  return std::nullopt;
}

// [tap][16]: of each channel its own kernel.
void pack_depthwise(PackedConv& packed, const ConvShape& shape, const float* w) {
  const std::int64_t taps = shape.windows.kernel_count();
  float* to = packed.w.data<float>();
  for (std::int64_t f = 0; f < shape.filters; ++f)
    for (std::int64_t t = 0; t < taps; ++t)
      to[(f / block_channels * taps + t) * block_channels + f % block_channels] = w[f * taps + t];
}

// Filters of each group in runs of `wide` blocks, each [blocks of channels][tap][channel][filter].
void pack_filters(PackedConv& packed, const ConvShape& shape, const float* w) {
  const std::int64_t taps = shape.windows.kernel_count();
  const std::int64_t channels = shape.channels / shape.groups, each = shape.filters / shape.groups;
  const std::int64_t lane = packed.way == Way::planes ? 1 : block_channels;
  const auto wide = static_cast<std::int64_t>(packed.table->wide) * block_channels;
  float* to = packed.w.data<float>();
  for (std::int64_t g = 0; g < shape.groups; ++g)
    for (std::int64_t first = 0; first < each;) {
      const std::int64_t padded = (each + block_channels - 1) / block_channels * block_channels;
      const std::int64_t run = padded - first >= wide ? wide : block_channels;
      for (std::int64_t c0 = 0; c0 < channels; c0 += lane)
        for (std::int64_t t = 0; t < taps; ++t)
          for (std::int64_t c = c0; c < c0 + lane; ++c, to += run)
            for (std::int64_t f = first; f < std::min(first + run, each); ++f)
              if (c < channels) to[f - first] = w[((g * each + f) * channels + c) * taps + t];
      first += run;
    }
}

Result<std::shared_ptr<PackedConv>> pack(Call& call, const ConvShape& shape, Way way,
                                         const Tensor& w, const Tensor* bias) {
  auto packed = std::make_shared<PackedConv>();
  packed->table = &conv_kernels(call.machine);
  packed->way = way;
  const std::int64_t lane = way == Way::blocks ? block_channels : 1;
  const std::int64_t channels = (shape.channels / shape.groups + lane - 1) / lane * lane;
  const std::int64_t filters =
      (shape.filters + block_channels - 1) / block_channels * block_channels;
  packed->w = TRY(make_tensor(Element::f32, {filters * channels * shape.windows.kernel_count()}));
  packed->bias = TRY(make_tensor(Element::f32, {filters}));
  std::fill_n(packed->w.data<float>(), packed->w.count, 0.0f);
  std::fill_n(packed->bias.data<float>(), filters, 0.0f);
  if (bias != nullptr) std::copy_n(bias->data<float>(), shape.filters, packed->bias.data<float>());
  if (way == Way::depthwise)
    pack_depthwise(*packed, shape, w.data<float>());
  else
    pack_filters(*packed, shape, w.data<float>());
  return packed;
}

// One item of a batch: everything but the places.
struct Job {
  const PackedConv& packed;
  const ConvShape& shape;
  const Plane& plane;
  const Finish& finish;
  std::int64_t pitch, step, block;  // elements between lines, neighbours and blocks of the image
  std::vector<std::ptrdiff_t> taps;
  const float* image;
  const float* add;  // or null
  float* y;

  std::int64_t places() const { return plane.lines * plane.columns; }
};

// A run of filters that are computed together.
struct Run {
  std::int64_t block, blocks;  // of the result
  std::int64_t first_block;    // of the image
  const float* w;
};

std::vector<Run> runs_of(const Job& job) {
  std::vector<Run> runs;
  const float* w = job.packed.w.data<float>();
  const ConvShape& shape = job.shape;
  if (job.packed.way == Way::depthwise) {
    const std::int64_t taps = shape.windows.kernel_count();
    for (std::int64_t b = 0; b * block_channels < shape.filters; ++b)
      runs.push_back({b, 1, b, w + b * taps * block_channels});
    return runs;
  }
  const auto wide = static_cast<std::int64_t>(job.packed.table->wide);
  const std::int64_t each = (shape.filters / shape.groups + block_channels - 1) / block_channels;
  const std::int64_t channels = static_cast<std::int64_t>(job.taps.size()) *
                                (job.packed.way == Way::planes ? 1 : block_channels);
  for (std::int64_t g = 0; g < shape.groups; ++g)
    for (std::int64_t b = 0; b < each;) {
      const std::int64_t n = each - b >= wide ? wide : 1;
      runs.push_back({g * each + b, n,
                      shape.groups == 1 ? 0 : g * (shape.channels / shape.groups / block_channels),
                      w});
      w += n * block_channels * channels;
      b += n;
    }
  return runs;
}

void run_tile(const Job& job, const Run& run, const float* const* x, std::int64_t first,
              std::int64_t count, float* y, std::int64_t y_block) {
  const std::int64_t at = (run.block * job.places() + first) * block_channels;
  const kernels::ConvTile tile{
      .y = y,
      .y_block = static_cast<std::size_t>(y_block),
      .x = x,
      .taps = job.taps.data(),
      .tap_count = job.taps.size(),
      .channels = job.packed.way == Way::planes ? std::size_t{1} : kernels::channel_block,
      .w = run.w,
      .bias = job.packed.bias.data<float>() + run.block * block_channels,
      .add = job.add == nullptr ? nullptr : job.add + at,
      .low = job.finish.low,
      .high = job.finish.high};
  const auto places = static_cast<std::size_t>(count);
  if (job.packed.way == Way::depthwise)
    job.packed.table->depthwise(tile, places);
  else
    job.packed.table->tile(tile, places, static_cast<std::size_t>(run.blocks));
}

void bend_places(const Machine& machine, const Job& job, std::span<const Run> runs,
                 std::int64_t first, std::int64_t end) {
  if (job.finish.curve == Finish::Curve::none) return;
  for (const Run& run : runs)
    for (std::int64_t b = run.block; b < run.block + run.blocks; ++b)
      bend(machine, job.finish, job.y + (b * job.places() + first) * block_channels,
           (end - first) * block_channels);
}

// Places [first, end) of some runs of filters, tile by tile.
void run_places(const Machine& machine, const Job& job, std::span<const Run> runs,
                std::int64_t first, std::int64_t end) {
  const auto tile = static_cast<std::int64_t>(job.packed.table->places);
  each_tile(first, end, tile, [&](std::int64_t from, std::int64_t count) {
    const float* x[kernels::most_tile_places];
    std::int64_t aimed_at = -1;  // most convolutions have one group: all runs see the same
    for (const Run& run : runs) {
      if (run.first_block != aimed_at)
        aim(x, job.image + run.first_block * job.block, job.plane, job.pitch, job.step, from,
            count);
      aimed_at = run.first_block;
      run_tile(job, run, x, from, count, job.y + (run.block * job.places() + from) * block_channels,
               job.places() * block_channels);
    }
  });
  bend_places(machine, job, runs, first, end);
}

std::int64_t threads_of(const Machine& machine) {
  return machine.ctx->pool == nullptr ? 1 : static_cast<std::int64_t>(machine.ctx->pool->threads());
}

// Lines of the image that `lines` of the result see.
std::int64_t lines_seen(const Plane& plane, std::int64_t lines) {
  return (lines - 1) * plane.stride[0] + (plane.kernel[0] - 1) * plane.dilation[0] + 1;
}

// What lines of the result from `first` on see of one block of channels, with its border.
void copy_lines(const Job& job, const float* image, std::int64_t first, std::int64_t lines,
                float* to) {
  const Plane& plane = job.plane;
  const std::int64_t width = plane.width * block_channels,
                     left = plane.border.left * block_channels;
  for (std::int64_t i = 0; i < lines; ++i, to += job.pitch) {
    const std::int64_t line = first * plane.stride[0] - plane.border.top + i;
    if (line < 0 || line >= plane.height) {
      std::fill_n(to, job.pitch, 0.0f);
      continue;
    }
    std::fill_n(to, left, 0.0f);
    std::copy_n(image + line * width, width, to + left);
    std::fill_n(to + left + width, job.pitch - left - width, 0.0f);
  }
}

// One kernel for each channel, on an image without its border: every piece copies the lines that it
// sees to memory that stays in the cache.
void run_depthwise(Machine& machine, const Job& job) {
  const std::vector<Run> runs = runs_of(job);
  const auto tile = static_cast<std::int64_t>(job.packed.table->places),
             blocks = static_cast<std::int64_t>(runs.size());
  const Plane& plane = job.plane;
  const std::int64_t in_cache = lines_seen(plane, plane.lines) * job.pitch / lines_in_cache + 1;
  const std::int64_t parts =
      std::clamp<std::int64_t>(std::max(in_cache, threads_of(machine) * 8 / blocks), 1,
                               std::clamp<std::int64_t>(job.places() / (2 * tile), 1, plane.lines));
  parallel(machine, blocks * parts, 1, [&](std::int64_t begin, std::int64_t end) {
    thread_local std::vector<float> seen;
    for (std::int64_t item = begin; item < end; ++item) {
      const Run& run = runs[static_cast<std::size_t>(item / parts)];
      const std::int64_t first = item % parts * plane.lines / parts,
                         last = (item % parts + 1) * plane.lines / parts;
      const std::int64_t lines = lines_seen(plane, last - first), origin = first * plane.columns;
      seen.resize(std::max(seen.size(), static_cast<std::size_t>(lines * job.pitch)));
      copy_lines(job, job.image + run.first_block * job.block, first, lines, seen.data());
      each_tile(origin, last * plane.columns, tile, [&](std::int64_t from, std::int64_t count) {
        const float* x[kernels::most_tile_places];
        aim<float>(x, seen.data(), plane, job.pitch, job.step, from - origin, count);
        run_tile(job, run, x, from, count,
                 job.y + (run.block * job.places() + from) * block_channels, 0);
      });
      bend_places(machine, job, {&run, 1}, origin, last * plane.columns);
    }
  });
}

// Fewer places than a small tile has: some stand in it twice.
void run_few(const Machine& machine, const Job& job, const Run& run) {
  const auto small = static_cast<std::int64_t>(job.packed.table->places) / 2;
  const float* x[kernels::most_tile_places];
  float y[2 * kernels::most_tile_places * kernels::channel_block],
      add[2 * kernels::most_tile_places * kernels::channel_block] = {};
  aim(x, job.image + run.first_block * job.block, job.plane, job.pitch, job.step, 0, job.places());
  for (std::int64_t i = job.places(); i < small; ++i) x[i] = x[0];
  const std::int64_t n = job.places() * block_channels, step = small * block_channels;
  for (std::int64_t b = 0; job.add != nullptr && b < run.blocks; ++b)
    std::copy_n(job.add + (run.block + b) * n, n, add + b * step);
  Job local = job;
  if (job.add != nullptr) local.add = add - run.block * n;
  run_tile(local, run, x, 0, small, y, step);
  for (std::int64_t b = 0; b < run.blocks; ++b) {
    std::copy_n(y + b * step, n, job.y + (run.block + b) * n);
    bend(machine, job.finish, job.y + (run.block + b) * n, n);
  }
}

void run_image(Machine& machine, const Job& job) {
  const std::vector<Run> runs = runs_of(job);
  if (job.places() < static_cast<std::int64_t>(job.packed.table->places) / 2) {
    parallel(machine, static_cast<std::int64_t>(runs.size()), 1,
             [&](std::int64_t begin, std::int64_t end) {
               for (std::int64_t i = begin; i < end; ++i)
                 run_few(machine, job, runs[static_cast<std::size_t>(i)]);
             });
    return;
  }
  const auto tile = static_cast<std::int64_t>(job.packed.table->places);
  const auto all = static_cast<std::int64_t>(runs.size());
  // Small weights stay in the cache while places pass by; otherwise the image does.
  const bool by_places = job.packed.w.count <= small_weights && job.packed.way != Way::depthwise;
  // The last tile may be a small one, or half as large again.
  const std::int64_t tiles = std::max<std::int64_t>(1, (job.places() + tile / 2) / tile);
  const std::int64_t wanted = threads_of(machine) * 8;
  const std::int64_t chunks = std::min(tiles, by_places ? wanted : (wanted + all - 1) / all);
  const auto start = [&](std::int64_t i) {
    return i == chunks ? job.places() : i * tiles / chunks * tile;
  };
  const auto work = [&](std::int64_t item) {
    const std::int64_t i = item % chunks;
    const std::span<const Run> some =
        by_places ? std::span<const Run>(runs)
                  : std::span<const Run>(runs).subspan(static_cast<std::size_t>(item / chunks), 1);
    run_places(machine, job, some, start(i), start(i + 1));
  };
  parallel(machine, by_places ? chunks : chunks * all, 1,
           [&](std::int64_t begin, std::int64_t end) {
             for (std::int64_t item = begin; item < end; ++item) work(item);
           });
}

// Planes with their border, row after row.
Result<Tensor> bordered(Machine& machine, const Tensor& x, const Plane& plane) {
  if (plane.border.is_none()) return x;
  const std::int64_t height = plane.height + plane.border.top + plane.border.bottom,
                     width = plane.width + plane.border.left + plane.border.right;
  Tensor y =
      TRY(make_tensor(*machine.buffers, Element::f32, {x.dims[0] * x.dims[1], height, width}));
  parallel(machine, y.dims[0], 1, [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t i = begin; i < end; ++i) {
      float* to = y.data<float>() + i * height * width;
      std::fill_n(to, height * width, 0.0f);
      for (std::int64_t row = 0; row < plane.height; ++row)
        std::memcpy(to + (row + plane.border.top) * width + plane.border.left,
                    x.data<float>() + (i * plane.height + row) * plane.width,
                    static_cast<std::size_t>(plane.width) * sizeof(float));
    }
  });
  return y;
}

Status run_tiles(Call& call, const ConvShape& shape, const Plane& plane, const PackedConv& packed,
                 const Tensor& x, const Tensor* add) {
  Tensor y = TRY(make_blocked(call.machine, Element::f32, shape.result));
  Tensor added;
  if (add != nullptr) {
    const float zero = 0;
    added = TRY(image_of(call.machine, *add, Border{}, reinterpret_cast<const std::byte*>(&zero)))
                .memory;
  }
  const Finish finish = finish_of(call);
  Job job{packed, shape, plane, finish, 0, 0, 0, {}, nullptr, nullptr, nullptr};
  const bool by_lines = packed.way == Way::depthwise && !plane.border.is_none() &&
                        job.places() >= static_cast<std::int64_t>(packed.table->places) / 2;
  Tensor memory;
  std::int64_t per_image;
  if (packed.way == Way::planes) {
    memory = TRY(bordered(call.machine, TRY(to_plain(call.machine, x)), plane));
    job.pitch = plane.width + plane.border.left + plane.border.right;
    job.step = 1;
    job.block = job.pitch * (plane.height + plane.border.top + plane.border.bottom);
    per_image = shape.channels * job.block;
    job.taps = taps_of(plane, job.pitch, 1, shape.channels, job.block);
  } else {
    const float zero = 0;
    const Image image = TRY(image_of(call.machine, x, by_lines ? Border{} : plane.border,
                                     reinterpret_cast<const std::byte*>(&zero)));
    memory = image.memory;
    job.pitch = (plane.width + plane.border.left + plane.border.right) * block_channels;
    job.step = block_channels;
    job.block = image.block_elements();
    per_image = image.blocks * job.block;
    const std::int64_t blocks = packed.way == Way::depthwise ? 1
                                : shape.groups == 1
                                    ? image.blocks
                                    : shape.channels / shape.groups / block_channels;
    job.taps = taps_of(plane, job.pitch, block_channels, blocks, job.block);
  }
  const std::int64_t y_image =
      (shape.filters + block_channels - 1) / block_channels * job.places() * block_channels;
  for (std::int64_t n = 0; n < shape.batch; ++n) {
    job.image = memory.data<float>() + n * per_image;
    job.add = add == nullptr ? nullptr : added.data<float>() + n * y_image;
    job.y = y.data<float>() + n * y_image;
    by_lines ? run_depthwise(call.machine, job) : run_image(call.machine, job);
  }
  call.give(0, std::move(y));
  return Done{};
}

// The plain way: rows of planes, then what follows, one after the other.
Status run_plain(Call& call, const ConvShape& shape, const Tensor& x, const Tensor& w,
                 const Tensor* bias, const Tensor* add) {
  const Tensor from = TRY(to_plain(call.machine, x));
  Tensor y = TRY(call.scratch(Element::f32, shape.result));
  conv_f32(call.machine, shape, y.data<float>(), from.data<float>(), w.data<float>(),
           bias == nullptr ? nullptr : bias->data<float>());
  const Finish finish = finish_of(call);
  const Tensor added = add == nullptr ? Tensor() : TRY(to_plain(call.machine, *add));
  parallel(call.machine, y.count, 16384, [&](std::int64_t begin, std::int64_t end) {
    float* to = y.data<float>();
    for (std::int64_t i = begin; add != nullptr && i < end; ++i) to[i] += added.data<float>()[i];
    bound(finish, to + begin, end - begin);
    bend(call.machine, finish, to + begin, end - begin);
  });
  call.give(0, std::move(y));
  return Done{};
}

Status fused_conv(Call& call) {
  const Tensor* x = TRY(call.typed(0, Element::f32));
  const Tensor* w = TRY(call.typed(1, Element::f32));
  const Tensor* bias = call.tensor_or_null(2);
  const Tensor* add = call.tensor_or_null(3);
  const ConvShape shape = TRY(conv_shape(call, x->dims, w->dims));
  if (bias != nullptr && (bias->count != shape.filters || bias->type != Element::f32))
    return invalid(fmt::format("a bias of {} for {} filters", bias->count, shape.filters));
  if (add != nullptr && (add->dims != shape.result || add->type != Element::f32))
    return invalid(fmt::format("{} added to {}", to_text(add->dims), to_text(shape.result)));
  Plane plane;
  const auto way = way_of(shape);
  const bool has_table = call.machine.ctx != nullptr && call.machine.ctx->kernels != nullptr;
  if (!has_table || !way || !plane_of(shape.windows, plane))
    return run_plain(call, shape, *x, *w, bias, add);
  auto packed = std::dynamic_pointer_cast<PackedConv>(call.node.prepared);
  if (!packed || packed->table != &conv_kernels(call.machine)) {
    packed = TRY(pack(call, shape, *way, *w, bias));
    call.node.prepared = packed;
  }
  return run_tiles(call, shape, plane, *packed, *x, add);
}

constexpr Operator rows[] = {
    {.name = "hearth.Conv",
     .kernel = fused_conv,
     .least_inputs = 2,
     .most_inputs = 4,
     .blocks = Blocks::taken},
};

}  // namespace

std::span<const Operator> fused_conv_operators() { return rows; }

}  // namespace hearth::graphs
