// Dequantisation of every block type of GGUF files to f32.  Portable; the results are the same on
// every machine, bit for bit.
//
// blocks: whole blocks as the file holds them, at any alignment.  out: [n] f32; n is a multiple of
// the type's block.  Any bytes are valid blocks: no code reaches outside a table.
// Source: the tensor types of the GGUF specification and of ggml.
#pragma once

#include <cstddef>
#include <cstdint>

namespace hearth::kernels {

// 32 elements.  d, m: f16.
void dequantise_q4_0(const void* blocks, float* out, std::size_t n);    // d (q - 8)
void dequantise_q4_1(const void* blocks, float* out, std::size_t n);    // d q + m
void dequantise_q5_0(const void* blocks, float* out, std::size_t n);    // d (q - 16)
void dequantise_q5_1(const void* blocks, float* out, std::size_t n);    // d q + m
void dequantise_q8_0(const void* blocks, float* out, std::size_t n);    // d q
void dequantise_iq4_nl(const void* blocks, float* out, std::size_t n);  // d table[q]
void dequantise_mxfp4(const void* blocks, float* out, std::size_t n);   // 2^e table[q]

// 64 elements: Q2_0 is d (q - 1); NVFP4 has an e4m3 scale per 16.
void dequantise_q2_0(const void* blocks, float* out, std::size_t n);
void dequantise_nvfp4(const void* blocks, float* out, std::size_t n);

// 128 elements: d or -d.
void dequantise_q1_0(const void* blocks, float* out, std::size_t n);

// 256 elements, with scales of scales.
void dequantise_q2_k(const void* blocks, float* out, std::size_t n);
void dequantise_q3_k(const void* blocks, float* out, std::size_t n);
void dequantise_q4_k(const void* blocks, float* out, std::size_t n);
void dequantise_q5_k(const void* blocks, float* out, std::size_t n);
void dequantise_q6_k(const void* blocks, float* out, std::size_t n);
void dequantise_iq4_xs(const void* blocks, float* out, std::size_t n);
void dequantise_tq1_0(const void* blocks, float* out, std::size_t n);
void dequantise_tq2_0(const void* blocks, float* out, std::size_t n);

// 256 elements, by code books.
void dequantise_iq1_s(const void* blocks, float* out, std::size_t n);
void dequantise_iq1_m(const void* blocks, float* out, std::size_t n);
void dequantise_iq2_xxs(const void* blocks, float* out, std::size_t n);
void dequantise_iq2_xs(const void* blocks, float* out, std::size_t n);
void dequantise_iq2_s(const void* blocks, float* out, std::size_t n);
void dequantise_iq3_xxs(const void* blocks, float* out, std::size_t n);
void dequantise_iq3_s(const void* blocks, float* out, std::size_t n);

}  // namespace hearth::kernels
