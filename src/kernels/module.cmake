# Kernel files are compiled one instruction set each; everything else runs on any machine.
file(GLOB kernel_tables ${folder}/*.cpp ${folder}/x86/*.cpp)
list(FILTER kernel_tables EXCLUDE REGEX "_(test|bench)\\.cpp$|/select\\.cpp$")
# Optimised in every build: the tests walk through a great many sizes.
set_source_files_properties(${kernel_tables} PROPERTIES COMPILE_OPTIONS "-O3;-fno-lto")

function(hearth_kernel_flags file)
  set_property(SOURCE ${folder}/x86/${file} APPEND PROPERTY COMPILE_OPTIONS ${ARGN})
endfunction()

# Dequantisation is the same on every machine, bit for bit: no fused multiply-adds.
set_property(SOURCE ${folder}/quants.cpp ${folder}/quants_iq.cpp APPEND PROPERTY COMPILE_OPTIONS
             -ffp-contract=off)
