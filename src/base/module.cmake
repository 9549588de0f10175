# Boost.JSON's parser under UBSan takes half a minute to compile, and it is not ours to check.
set_source_files_properties(${folder}/json.cpp PROPERTIES SKIP_PRECOMPILE_HEADERS ON)
if(HEARTH_SANITIZE MATCHES "undefined")
  set_source_files_properties(${folder}/json.cpp PROPERTIES COMPILE_OPTIONS
                              -fno-sanitize=undefined)
endif()
