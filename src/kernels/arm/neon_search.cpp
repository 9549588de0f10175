// Search kernels for NEON.
#define HEARTH_ISA neon_search
#define HEARTH_LANES 4
#include "kernels/search.h"
#include "kernels/vectors.inl"
//
#include "kernels/search_floats.inl"
#include "kernels/search_plain.inl"
//
#include "kernels/arm/search_bytes.inl"
//
#include "kernels/search_table.inl"

namespace hearth::kernels {
extern const SearchKernels neon_search_table;
constexpr SearchKernels neon_search_table = neon_search::make_search_table("neon");
}  // namespace hearth::kernels
