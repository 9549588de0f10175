# Tests of the whole program and of the tree.  Those of the program run where it is built as released.
if(NOT HEARTH_TESTS)
  return()
endif()
find_package(Python3 REQUIRED COMPONENTS Interpreter)

add_test(NAME tidy_floors COMMAND ${Python3_EXECUTABLE} scripts/tidy.py floors
         WORKING_DIRECTORY ${PROJECT_SOURCE_DIR})
if(HEARTH_SANITIZE OR NOT TARGET hearth)
  return()
endif()

add_test(NAME tidy_headers COMMAND ${Python3_EXECUTABLE} scripts/tidy.py headers ${CMAKE_CXX_COMPILER}
         WORKING_DIRECTORY ${PROJECT_SOURCE_DIR})
add_test(NAME tidy_format COMMAND ${Python3_EXECUTABLE} scripts/tidy.py format
         WORKING_DIRECTORY ${PROJECT_SOURCE_DIR})
foreach(name speech cli convert chat builtin load pull index serve settings first_run access events keyring
        shared_store launch lora clients)
  add_test(NAME program_${name} COMMAND ${Python3_EXECUTABLE} test_${name}.py
           WORKING_DIRECTORY ${PROJECT_SOURCE_DIR}/tests/program)
  set_tests_properties(program_${name} PROPERTIES ENVIRONMENT "HEARTH_BINARY=$<TARGET_FILE:hearth>")
endforeach()
add_test(NAME kernel_symbols COMMAND scripts/check_kernel_symbols.sh ${PROJECT_BINARY_DIR}
         WORKING_DIRECTORY ${PROJECT_SOURCE_DIR})
# A server with a model that says what a script says: for tests of real agents.
hearth_program(scripted_server tests/agents/scripted_server.cpp)
target_link_libraries(scripted_server PRIVATE hearth_server_support)
set_target_properties(scripted_server PROPERTIES RUNTIME_OUTPUT_DIRECTORY ${PROJECT_BINARY_DIR}/tests)
add_test(NAME clients COMMAND tests/clients/run.sh $<TARGET_FILE:hearth>
         WORKING_DIRECTORY ${PROJECT_SOURCE_DIR})
add_test(NAME clients_python COMMAND tests/clients/python/run.sh $<TARGET_FILE:hearth> $<TARGET_FILE:scripted_server>
         WORKING_DIRECTORY ${PROJECT_SOURCE_DIR})
set_tests_properties(clients_python PROPERTIES SKIP_RETURN_CODE 77 RUN_SERIAL ON)
add_test(NAME install COMMAND ${PROJECT_SOURCE_DIR}/tests/install/test_install.sh ${PROJECT_SOURCE_DIR}
         ${PROJECT_BINARY_DIR})
add_test(NAME package COMMAND ${PROJECT_SOURCE_DIR}/tests/install/test_package.sh ${PROJECT_BINARY_DIR})
set_tests_properties(program_load program_chat program_serve program_settings program_events clients PROPERTIES RUN_SERIAL ON)
