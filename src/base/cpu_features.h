// Instruction sets that this processor reports and the operating system saves.
#pragma once

#include <string>
#include <vector>

namespace hearth {

struct CpuFeatures {
  // x86-64
  bool avx2 = false;    // with FMA and F16C
  bool avx512 = false;  // F, BW, DQ, VL
  bool avx_vnni = false, avx512_vnni = false, avx512_bf16 = false, avx512_fp16 = false;
  bool amx_tile = false, amx_bf16 = false, amx_int8 = false;
  // aarch64
  bool dot_product = false, int8_matmul = false, bf16 = false, sve = false, crc32 = false;

  std::vector<std::string> names() const;  // of those that are there: "avx2", "avx512", ...
};

// Reads the processor once: in a virtual machine each CPUID is a visit to its host, some 20
// microseconds.  Source: Intel SDM, CPUID and XGETBV; Arm ELF hwcaps.
const CpuFeatures& detect_cpu_features();

// The processor's own name for itself; empty when it has none.
std::string cpu_brand();

// Asks the operating system to let this process use AMX tiles; call before threads start.  False:
// it does not.  Source: Linux, Documentation/arch/x86/xstate.rst.
bool allow_amx_tiles();

}  // namespace hearth
