target_include_directories(hearth_api PUBLIC $<BUILD_INTERFACE:${PROJECT_SOURCE_DIR}/include>)
