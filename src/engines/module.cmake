# What the test of the adapter for llama.cpp's library loads in its place.
if(HEARTH_TESTS)
  add_library(llama_stand_in SHARED ${folder}/stand_in/llama.c)
  set_target_properties(llama_stand_in PROPERTIES LIBRARY_OUTPUT_DIRECTORY ${CMAKE_BINARY_DIR})
  add_dependencies(hearth_engines llama_stand_in)
endif()
