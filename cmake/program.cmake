# The program `hearth`.
if(TARGET hearth_cli)
  hearth_program(hearth src/cli/main.cpp)
  target_link_libraries(hearth PRIVATE hearth_cli)
  set_target_properties(hearth PROPERTIES RUNTIME_OUTPUT_DIRECTORY ${PROJECT_BINARY_DIR})
endif()
