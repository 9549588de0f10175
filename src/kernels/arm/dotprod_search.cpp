// Search kernels for NEON with products of four bytes.
#define HEARTH_ISA dotprod_search
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
extern const SearchKernels dotprod_search_table;
constexpr SearchKernels dotprod_search_table = dotprod_search::make_search_table("dotprod");
}  // namespace hearth::kernels
