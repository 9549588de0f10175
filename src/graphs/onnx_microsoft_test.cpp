// ONNX files of one operator of ONNX Runtime's own domain each give what it gives
// (scripts/golden_contrib.py).
#include <doctest/doctest.h>
#include <fmt/core.h>

#include <cmath>
#include <map>

#include "base/bytes.h"
#include "base/files.h"
#include "base/thread_pool.h"
#include "graphs/executor.h"
#include "graphs/golden_cases.h"
#include "graphs/npy.h"
#include "graphs/onnx/import.h"
#include "kernels/select.h"

namespace hearth::graphs {
namespace {

// "" when equal: whole numbers of 8 bits to one step, reals to `share`.
std::string difference(const Tensor& want, const Tensor& got, double share) {
  if (want.dims != got.dims || want.type != got.type)
    return fmt::format("{} {} instead of {} {}", name_of(got.type), to_text(got.dims),
                       name_of(want.type), to_text(want.dims));
  const bool is_step = want.type == Element::i8 || want.type == Element::u8;
  const Numbers<double> a(want), b(got);
  for (std::size_t i = 0; i < a.size(); ++i) {
    const double most = is_step ? 1 : is_float(want.type) ? share * (1 + std::fabs(a[i])) : 0;
    if (!(std::fabs(a[i] - b[i]) <= most))
      return fmt::format("[{}]: {} instead of {}", i, b[i], a[i]);
  }
  return "";
}

std::string verdict(ops::Context& ctx, const GoldenCase& each, double share, bool optimise) {
  auto program = import_onnx(MappedFile::of_program(each.model.span()), ".");
  if (!program) return program.error().message();
  const Runner runner(std::move(*program), {.optimise = optimise});
  const auto got = runner.run(ctx, each.inputs);
  if (!got) return got.error().message();
  for (const auto& [place, want] : each.outputs)
    if (const auto text = difference(want, got->at(place).tensor, share); !text.empty())
      return fmt::format("output {}: {}", place, text);
  return "";
}

}  // namespace

TEST_CASE("ONNX Runtime's operators give what it gives") {
  ThreadPool pool(2);
  ops::Context ctx;
  ctx.kernels = kernels::choose("").value();
  ctx.pool = &pool;
  const auto cases = read_golden_cases("tests/golden/graphs/onnx_microsoft.npz");
  CHECK(cases.size() >= 26);
  for (const auto& [name, each] : cases) {
    CAPTURE(name);
    // It rounds what goes into such a cell to 8 bits; here it stays real.
    const double share = name.starts_with("DynamicQuantizeLSTM") ? 0.02 : 1e-4;
    for (const bool optimise : {false, true}) CHECK(verdict(ctx, each, share, optimise) == "");
  }
}

}  // namespace hearth::graphs
