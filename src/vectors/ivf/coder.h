// Codes of a few bits for residuals, from which a distance is estimated by looking up groups of
// four bits in tables (kernels::CodeScan).
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include "base/bytes.h"
#include "base/result.h"
#include "kernels/search.h"
#include "vectors/checked_file.h"
#include "vectors/index.h"

namespace hearth::vectors {

// The estimate of a row is base + unit * (first + second * S): S is what the tables say of its
// code.
struct CodeTerms {
  float first, second;
};

// Immutable; thread-safe.  Vectors are rotated and as long as the coder's dimension.
class Coder {
 public:
  virtual ~Coder() = default;
  virtual std::size_t groups() const = 0;  // numbers of four bits, a multiple of 8

  // codes: [groups], one number each.
  virtual CodeTerms encode(std::uint8_t* codes, const float* residual,
                           const float* centroid) const = 0;
  // tables: [groups * 32], see kernels::CodeScan.
  virtual void tables(std::uint8_t* tables, float* scale, float* offset,
                      const float* query) const = 0;
  virtual void save(std::vector<std::byte>& out) const = 0;
};

// Signs of the numbers (bits = 1), or more bits of each.  Source: Gao and Long 2024, "RaBitQ"; Gao
// et al. 2024, "Practical and asymptotically optimal quantization" (several bits).
std::unique_ptr<Coder> make_sign_coder(std::size_t dim, int bits, Metric metric,
                                       const kernels::SearchKernels& kernels);
constexpr int most_code_bits = 4;

// Product quantisation.  Each of `segments` parts of a vector has `bits` bits: 4, one of 16 means;
// 8, a second number of 4 bits for what the first leaves.  Source: Jegou et al. 2011; Andre et al.
// 2015 (tables of 16 entries in registers).
struct PqSpec {
  std::size_t segments = 0;
  int bits = 4;
};
// residuals: [n, dim], n > 0.  Errors: invalid.
Result<std::unique_ptr<Coder>> train_pq_coder(std::size_t dim, const PqSpec& spec, Metric metric,
                                              std::span<const float> residuals,
                                              const kernels::SearchKernels& kernels);

// What Coder::save wrote.
Result<std::unique_ptr<Coder>> read_coder(ByteReader& in, std::size_t dim, Metric metric,
                                          const kernels::SearchKernels& kernels);

}  // namespace hearth::vectors
