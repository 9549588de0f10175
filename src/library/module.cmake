# builtin.cpp links the built-in models in.
set_source_files_properties(${folder}/builtin.cpp PROPERTIES
  COMPILE_DEFINITIONS "HEARTH_BUILTIN_FOLDER=\"${folder}/builtin\""
  OBJECT_DEPENDS "${folder}/builtin/chat.gguf;${folder}/builtin/embed.gguf")
