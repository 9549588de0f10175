# libhearth, the installed tree and the Debian package.
include(GNUInstallDirs)
include(CMakePackageConfigHelpers)

if(TARGET hearth_api)
  # One shared library of all floors; it exports the C API alone.
  add_library(libhearth SHARED cmake/libhearth.cpp)
  target_link_libraries(libhearth PRIVATE -Wl,--whole-archive hearth_api -Wl,--no-whole-archive)
  target_link_options(libhearth PRIVATE
                      -Wl,--version-script=${PROJECT_SOURCE_DIR}/cmake/libhearth.map)
  target_include_directories(libhearth INTERFACE
                             $<BUILD_INTERFACE:${PROJECT_SOURCE_DIR}/include>
                             $<INSTALL_INTERFACE:${CMAKE_INSTALL_INCLUDEDIR}>)
  set_target_properties(libhearth PROPERTIES OUTPUT_NAME hearth EXPORT_NAME hearth
                        VERSION ${PROJECT_VERSION} SOVERSION ${PROJECT_VERSION_MAJOR}
                        LIBRARY_OUTPUT_DIRECTORY ${PROJECT_BINARY_DIR})
  add_library(hearth::hearth ALIAS libhearth)

  install(TARGETS libhearth EXPORT hearth LIBRARY DESTINATION ${CMAKE_INSTALL_LIBDIR})
  install(DIRECTORY include/hearth DESTINATION ${CMAKE_INSTALL_INCLUDEDIR})
  install(EXPORT hearth NAMESPACE hearth:: FILE hearth-targets.cmake
          DESTINATION ${CMAKE_INSTALL_LIBDIR}/cmake/hearth)
  file(WRITE ${PROJECT_BINARY_DIR}/hearth-config.cmake
       "include(\"\${CMAKE_CURRENT_LIST_DIR}/hearth-targets.cmake\")\n")
  write_basic_package_version_file(${PROJECT_BINARY_DIR}/hearth-config-version.cmake
                                   COMPATIBILITY SameMinorVersion)
  install(FILES ${PROJECT_BINARY_DIR}/hearth-config.cmake
                ${PROJECT_BINARY_DIR}/hearth-config-version.cmake
          DESTINATION ${CMAKE_INSTALL_LIBDIR}/cmake/hearth)
endif()

if(TARGET hearth)
  install(TARGETS hearth RUNTIME DESTINATION ${CMAKE_INSTALL_BINDIR})
  install(FILES README.md CHANGELOG.md LICENSE DESTINATION ${CMAKE_INSTALL_DOCDIR})
endif()

set(CPACK_GENERATOR DEB)
set(CPACK_PACKAGE_NAME hearth)
set(CPACK_PACKAGE_VENDOR "The Hearth authors")
set(CPACK_PACKAGE_CONTACT "The Hearth authors <hearth@localhost>")
set(CPACK_PACKAGE_DESCRIPTION_SUMMARY "Runs language models on this machine")
set(CPACK_PACKAGING_INSTALL_PREFIX /usr)
set(CPACK_STRIP_FILES ON)
set(CPACK_DEBIAN_PACKAGE_SHLIBDEPS ON)
set(CPACK_DEBIAN_PACKAGE_DEPENDS "libcurl4 | libcurl3-gnutls")
set(CPACK_DEBIAN_PACKAGE_RECOMMENDS "libarchive13, libsndfile1")  # loaded when it is needed
set(CPACK_DEBIAN_PACKAGE_SECTION science)
set(CPACK_DEBIAN_FILE_NAME DEB-DEFAULT)
include(CPack)
