# A kernel reads its operands within the call that uses them: TRY stands inside TRY here.
target_compile_options(hearth_graphs PRIVATE -Wno-shadow)
# Loops over elements, which only this level makes into vectors.
set_source_files_properties(${folder}/operators/arithmetic.cpp ${folder}/operators/unary.cpp
                            ${folder}/operators/random.cpp ${folder}/operators/conv.cpp
                            ${folder}/operators/finish.cpp ${folder}/operators/gemm.cpp
                            ${folder}/operators/pool.cpp ${folder}/operators/bytes.cpp
                            ${folder}/operators/quantised.cpp ${folder}/operators/attention.cpp
                            ${folder}/operators/fused_matmul.cpp
                            PROPERTIES COMPILE_OPTIONS "$<$<CONFIG:Release>:-O3>")
if(CMAKE_CXX_COMPILER_ID STREQUAL "GNU")
  # GCC 12 says it of its own <regex>.
  set_property(SOURCE ${folder}/operators/text.cpp APPEND PROPERTY COMPILE_OPTIONS -Wno-maybe-uninitialized)
endif()
