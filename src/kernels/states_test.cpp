// Every table of state kernels beside the reference, at every width of a row.
#include <doctest/doctest.h>

#include <cmath>
#include <random>
#include <string>
#include <vector>

#include "kernels/states_select.h"

using namespace hearth::kernels;

namespace {

std::vector<float> numbers(std::mt19937& random, std::size_t count) {
  std::uniform_real_distribution<float> range(-1, 1);
  std::vector<float> out(count);
  for (float& x : out) x = range(random);
  return out;
}

void check_near(const std::vector<float>& got, const std::vector<float>& want, double terms) {
  for (std::size_t i = 0; i < want.size(); ++i) CHECK(std::abs(got[i] - want[i]) <= 1e-5 * terms);
}

void check_state(const StateKernels& table, std::size_t rows, std::size_t columns) {
  std::mt19937 random(5);
  const auto before = numbers(random, rows * columns), a = numbers(random, rows),
             b = numbers(random, rows), u = numbers(random, columns);
  const StateStep step{.decay = 0.7f, .a = a.data(), .u = u.data(), .b = b.data()};
  auto state = before, wanted_state = before;
  std::vector<float> y(columns), want(columns);
  const double terms = static_cast<double>(rows) + 1;
  table.read(y.data(), state.data(), a.data(), rows, columns);
  state_reference().read(want.data(), state.data(), a.data(), rows, columns);
  check_near(y, want, terms);
  table.update(y.data(), state.data(), &step, rows, columns);
  state_reference().update(want.data(), wanted_state.data(), &step, rows, columns);
  check_near(y, want, 2 * terms);
  check_near(state, wanted_state, 2);
}

void check_two(const StateKernels& table, std::size_t rows, std::size_t columns) {
  std::mt19937 random(7);
  const auto before = numbers(random, rows * columns), decay = numbers(random, rows),
             a = numbers(random, rows), b = numbers(random, rows), c = numbers(random, rows),
             u = numbers(random, columns), v = numbers(random, columns);
  const TwoStep step{decay.data(), a.data(), u.data(), c.data(), v.data(), b.data()};
  auto state = before, wanted_state = before;
  std::vector<float> y(columns), want(columns);
  table.update_two(y.data(), state.data(), &step, rows, columns);
  state_reference().update_two(want.data(), wanted_state.data(), &step, rows, columns);
  check_near(y, want, 3 * static_cast<double>(rows) + 1);
  check_near(state, wanted_state, 3);
}

// Rows of y, a and b lie further apart than they are long; a is also read down its columns.
void check_product(const StateKernels& table, std::size_t rows, std::size_t columns, bool turned,
                   bool factors) {
  constexpr std::size_t terms = 9, room = 3;
  std::mt19937 random(8);
  const auto a = numbers(random, (rows + room) * (terms + room)),
             b = numbers(random, terms * (columns + room)),
             before = numbers(random, rows * (columns + room)), of_rows = numbers(random, rows),
             of_terms = numbers(random, terms);
  auto y = before, want = before;
  StateProduct product{.y = y.data(),
                       .y_step = columns + room,
                       .a = a.data(),
                       .a_row_step = turned ? 1 : terms + room,
                       .a_term_step = turned ? rows + room : 1,
                       .b = b.data(),
                       .b_step = columns + room,
                       .rows = rows,
                       .terms = terms,
                       .columns = columns,
                       .held = factors ? 0.6f : 0,
                       .row_factors = factors ? of_rows.data() : nullptr,
                       .term_factors = factors ? of_terms.data() : nullptr};
  table.multiply(&product);
  product.y = want.data();
  state_reference().multiply(&product);
  check_near(y, want, terms + 1);
}

void check_convolution(const StateKernels& table, std::size_t channels, bool biased) {
  constexpr std::size_t taps = 4;
  std::mt19937 random(6);
  const auto rows = numbers(random, taps * channels), w = numbers(random, taps * channels),
             bias = numbers(random, channels);
  const float* x[taps];
  for (std::size_t k = 0; k < taps; ++k) x[k] = rows.data() + (taps - 1 - k) * channels;
  std::vector<float> y(channels), want(channels);
  const float* added = biased ? bias.data() : nullptr;
  table.convolve(y.data(), x, w.data(), added, taps, channels);
  state_reference().convolve(want.data(), x, w.data(), added, taps, channels);
  check_near(y, want, taps + 1);
}

}  // namespace

TEST_CASE("every table of state kernels agrees with the reference at every width") {
  for (const StateCandidate& candidate : state_candidates()) {
    if (!candidate.supported()) continue;
    CAPTURE(std::string(candidate.table->name));
    for (const std::size_t columns : {1, 3, 4, 7, 8, 15, 16, 17, 31, 63, 64, 65, 128, 131}) {
      CAPTURE(columns);
      for (const std::size_t rows : {1, 2, 16, 33}) {
        check_state(*candidate.table, rows, columns);
        check_two(*candidate.table, rows, columns);
        for (const bool turned : {false, true})
          for (const bool factors : {false, true})
            check_product(*candidate.table, rows, columns, turned, factors);
      }
      for (const bool biased : {false, true}) check_convolution(*candidate.table, columns, biased);
    }
  }
}
