set_source_files_properties(${folder}/sndfile.cpp PROPERTIES INCLUDE_DIRECTORIES "${SNDFILE_INCLUDE}")
