#include "graphs/operators/elementwise.h"

#include <algorithm>

#include "graphs/walk.h"

namespace hearth::graphs {
namespace {

constexpr std::int64_t block = 512;    // elements converted at a time
constexpr std::int64_t grain = 16384;  // elements worth a thread

bool is_work_type(Element type) {
  return type == Element::f32 || type == Element::f64 || type == Element::i64 ||
         type == Element::u64;
}

// Elements at `place`, `step` apart, as numbers of `work`: where they are, or in `buffer`.
const void* fetch(Work work, const Tensor& from, std::int64_t place, std::int64_t step,
                  std::int64_t n, void* buffer) {
  const std::size_t size = size_of(from.type);
  const std::byte* at = from.bytes + static_cast<std::size_t>(place) * size;
  const auto length = static_cast<std::size_t>(n);
  if (step == 1) {
    if (is_work_type(from.type) && work_of(from.type) == work) return at;
    load(work, buffer, from.type, at, length);
    return buffer;
  }
  const std::size_t width = work_bytes(work);
  auto* to = static_cast<std::byte*>(buffer);
  if (step == 0) {
    load(work, to, from.type, at, 1);
    if (width == 4)
      std::fill_n(static_cast<float*>(buffer), length, *static_cast<const float*>(buffer));
    else
      std::fill_n(static_cast<double*>(buffer), length, *static_cast<const double*>(buffer));
  } else {
    for (std::int64_t i = 0; i < n; ++i)
      load(work, to + static_cast<std::size_t>(i) * width, from.type,
           at + i * step * static_cast<std::int64_t>(size), 1);
  }
  return buffer;
}

void apply(const BinaryLoops& loops, Work work, void* y, const void* a, const void* b,
           std::size_t n) {
  switch (work) {
    case Work::f32:
      return loops.f32(static_cast<float*>(y), static_cast<const float*>(a),
                       static_cast<const float*>(b), n);
    case Work::f64:
      return loops.f64(static_cast<double*>(y), static_cast<const double*>(a),
                       static_cast<const double*>(b), n);
    case Work::i64:
      return loops.i64(static_cast<std::int64_t*>(y), static_cast<const std::int64_t*>(a),
                       static_cast<const std::int64_t*>(b), n);
    case Work::u64:
      return loops.u64(static_cast<std::uint64_t*>(y), static_cast<const std::uint64_t*>(a),
                       static_cast<const std::uint64_t*>(b), n);
  }
}

bool has_loop(const BinaryLoops& loops, Work work) {
  switch (work) {
    case Work::f32:
      return loops.f32 != nullptr;
    case Work::f64:
      return loops.f64 != nullptr;
    case Work::i64:
      return loops.i64 != nullptr;
    case Work::u64:
      return loops.u64 != nullptr;
  }
  return false;
}

}  // namespace

Result<Element> common_type(const Tensor& a, const Tensor& b) {
  if (a.type != b.type)
    return invalid(fmt::format("operands of {} and {}", name_of(a.type), name_of(b.type)));
  if (a.type == Element::text || a.type == Element::c64 || a.type == Element::c128)
    return unsupported(fmt::format("operands of {}", name_of(a.type)));
  return a.type;
}

Status binary_into(Call& call, Tensor& y, const Tensor& a, const Tensor& b, Work work,
                   const BinaryLoops& loops) {
  if (!has_loop(loops, work)) return unsupported(fmt::format("operands of {}", name_of(a.type)));
  const std::array<const Dims*, 2> shapes{&a.dims, &b.dims};
  const Walk walk = Walk::broadcasting(y.dims, shapes);
  const bool direct = is_work_type(y.type) && work_of(y.type) == work;
  const std::size_t y_size = size_of(y.type);
  parallel(call.machine, y.count, grain, [&](std::int64_t begin, std::int64_t end) {
    alignas(64) std::array<std::byte, block * 8> left, right, result;
    walk.each(begin, end, [&](std::int64_t place, const auto& at, std::int64_t n) {
      for (std::int64_t done = 0; done < n; done += block) {
        const std::int64_t length = std::min(block, n - done);
        const void* from_a =
            fetch(work, a, at[0] + done * walk.step(0), walk.step(0), length, left.data());
        const void* from_b =
            fetch(work, b, at[1] + done * walk.step(1), walk.step(1), length, right.data());
        std::byte* to = y.bytes + static_cast<std::size_t>(place + done) * y_size;
        void* out = direct ? static_cast<void*>(to) : result.data();
        apply(loops, work, out, from_a, from_b, static_cast<std::size_t>(length));
        if (!direct) store(y.type, to, work, out, static_cast<std::size_t>(length));
      }
    });
  });
  return Done{};
}

Status binary(Call& call, const BinaryLoops& loops, Element result) {
  const Tensor* a = TRY(call.tensor(0));
  const Tensor* b = TRY(call.tensor(1));
  Tensor placed;  // before version 7 an axis says where the second shape begins in the first
  if (call.node.version != 0 && call.node.version < 7 && call.has_attribute("axis")) {
    const auto axis = TRY(checked_axis(call.integer("axis", 0), a->rank()));
    placed = *b;
    while (placed.rank() + axis < a->rank()) placed.dims.push_back(1);
    b = &placed;
  }
  const Element type = TRY(common_type(*a, *b));
  Dims dims = TRY(broadcast(a->dims, b->dims));
  Tensor* y = TRY(call.make(0, result == Element::none ? type : result, std::move(dims)));
  return binary_into(call, *y, *a, *b, work_of(type), loops);
}

Status unary(Call& call, const UnaryLoops& loops, const double* p, Element result) {
  const Tensor* x = TRY(call.tensor(0));
  Tensor* y = TRY(call.make(0, result == Element::none ? x->type : result, x->dims));
  const Work work = work_of(x->type);
  const bool known = x->type != Element::text && x->type != Element::c64 &&
                     x->type != Element::c128 &&
                     (work == Work::f32   ? loops.f32 != nullptr
                      : work == Work::f64 ? loops.f64 != nullptr
                                          : loops.i64 != nullptr);
  if (!known) return unsupported(fmt::format("an operand of {}", name_of(x->type)));
  const bool direct = is_work_type(y->type) && work_of(y->type) == work;
  const std::size_t y_size = size_of(y->type);
  parallel(call.machine, y->count, grain, [&](std::int64_t begin, std::int64_t end) {
    alignas(64) std::array<std::byte, block * 8> from, result_block;
    for (; begin < end; begin += block) {
      const auto n = static_cast<std::size_t>(std::min(block, end - begin));
      const void* at = fetch(work, *x, begin, 1, static_cast<std::int64_t>(n), from.data());
      std::byte* to = y->bytes + static_cast<std::size_t>(begin) * y_size;
      void* out = direct ? static_cast<void*>(to) : result_block.data();
      if (work == Work::f32)
        loops.f32(static_cast<float*>(out), static_cast<const float*>(at), n, p);
      else if (work == Work::f64)
        loops.f64(static_cast<double*>(out), static_cast<const double*>(at), n, p);
      else
        loops.i64(static_cast<std::int64_t*>(out), static_cast<const std::int64_t*>(at), n, p);
      if (!direct) store(y->type, to, work, out, n);
    }
  });
  return Done{};
}

}  // namespace hearth::graphs
