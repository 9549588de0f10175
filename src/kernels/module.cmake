# Kernel files are compiled for one instruction set each; everything else runs on any machine.
file(GLOB kernel_tables ${folder}/*.cpp ${folder}/x86/*.cpp)
list(FILTER kernel_tables EXCLUDE REGEX "_(test|bench)\\.cpp$|select\\.cpp$")
# Optimised in every build: the tests walk through a great many sizes.
set(kernel_flags -O3 -fno-lto)
if(CMAKE_CXX_COMPILER_ID STREQUAL "GNU")
  list(APPEND kernel_flags -Wno-maybe-uninitialized)  # GCC 12 says it of its own intrinsics
endif()
if(HEARTH_SANITIZE)
  # Only addresses are checked, by calls: inline checks in these unrolled loops take minutes to compile.
  list(APPEND kernel_flags -fno-sanitize=undefined)
  if(CMAKE_CXX_COMPILER_ID STREQUAL "GNU")
    list(APPEND kernel_flags --param=asan-instrumentation-with-call-threshold=0)
  endif()
endif()
set_property(SOURCE ${kernel_tables} APPEND PROPERTY COMPILE_OPTIONS ${kernel_flags})

# Roots without errno are instructions.
file(GLOB encoders ${folder}/*_encode*.cpp ${folder}/x86/*_encode*.cpp)
set_property(SOURCE ${encoders} APPEND PROPERTY COMPILE_OPTIONS -fno-math-errno)

if(CMAKE_SYSTEM_PROCESSOR MATCHES "^(x86_64|AMD64|amd64)$")
  set(avx2 -mavx2 -mfma -mf16c)
  set(avx512 ${avx2} -mavx512f -mavx512bw -mavx512dq -mavx512vl -mavx512vnni)
  set(amx ${avx512})
  foreach(isa avx2 avx512 amx)
    file(GLOB files ${folder}/x86/${isa}*.cpp)
    set_property(SOURCE ${files} APPEND PROPERTY COMPILE_OPTIONS ${${isa}})
  endforeach()
  set_property(SOURCE ${folder}/x86/amx.cpp APPEND PROPERTY COMPILE_OPTIONS -mamx-tile -mamx-bf16)
  set_property(SOURCE ${folder}/x86/amx_search.cpp APPEND PROPERTY COMPILE_OPTIONS -mamx-tile -mamx-int8)
else()
  file(GLOB x86_files ${folder}/x86/*.cpp)
  set_source_files_properties(${x86_files} PROPERTIES HEADER_FILE_ONLY ON)
endif()
