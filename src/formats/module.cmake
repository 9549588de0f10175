# Opening files waits; putting tensors together from other programs' codes computes.
foreach(name requantise mlx mlc ggml huggingface_schemes zip sound/resample)
  set_property(SOURCE ${folder}/${name}.cpp APPEND PROPERTY COMPILE_OPTIONS $<$<CONFIG:Release>:-O3>)
endforeach()
if(NOT SNDFILE_INCLUDE IN_LIST CMAKE_CXX_IMPLICIT_INCLUDE_DIRECTORIES)  # clang does not bear it twice
  set_source_files_properties(${folder}/sound/sndfile.cpp PROPERTIES INCLUDE_DIRECTORIES "${SNDFILE_INCLUDE}")
endif()
