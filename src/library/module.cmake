# builtin.cpp links the built-in models in.
set_source_files_properties(${folder}/builtin.cpp PROPERTIES
  COMPILE_DEFINITIONS "HEARTH_BUILTIN_FOLDER=\"${folder}/builtin\""
  OBJECT_DEPENDS "${folder}/builtin/chat.gguf;${folder}/builtin/embed.gguf")
# catalog.cpp links the catalog in.
set_source_files_properties(${folder}/catalog.cpp PROPERTIES
  COMPILE_DEFINITIONS "HEARTH_CATALOG_FILE=\"${folder}/catalog/catalog.json\""
  OBJECT_DEPENDS "${folder}/catalog/catalog.json")
set_source_files_properties(${folder}/transfer.cpp PROPERTIES INCLUDE_DIRECTORIES "${CURL_INCLUDE}")
set_source_files_properties(${folder}/archive.cpp PROPERTIES INCLUDE_DIRECTORIES "${ARCHIVE_INCLUDE}")
