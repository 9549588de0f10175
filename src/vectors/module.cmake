# Loops over the numbers of a vector: -O2 leaves them one number at a time.
foreach(source ivf/trained.cpp ivf/centroids.cpp ivf/batch.cpp flat/row_codec.cpp graph/codec.cpp)
  set_source_files_properties(${folder}/${source} PROPERTIES SKIP_PRECOMPILE_HEADERS ON
                              COMPILE_OPTIONS $<$<CONFIG:Release>:-O3>)
endforeach()
