if(CMAKE_CXX_COMPILER_ID STREQUAL "GNU")
  # g++ 12 sees overflows in std::string's own code at -O3 that are not there (GCC bug 105329).
  target_compile_options(hearth_text PRIVATE -Wno-stringop-overflow -Wno-restrict
                         -Wno-array-bounds)
endif()
# The search of the best pieces is one loop, a third faster so.
set_source_files_properties(${folder}/unigram.cpp PROPERTIES SKIP_PRECOMPILE_HEADERS ON
                            COMPILE_OPTIONS $<$<CONFIG:Release>:-O3>)
