# cmake --install: headers, libraries, the CMake package and the pkg-config files.
include(CMakePackageConfigHelpers)

set(package_dir "${CMAKE_INSTALL_LIBDIR}/cmake/troupe")
set(TROUPE_REQUIRES_core "libevent_core")
set(TROUPE_REQUIRES_transport "libzmq")
if(TROUPE_BUILD_TRANSPORT)
  string(APPEND TROUPE_REQUIRES_transport ", ${TROUPE_MSGPACK_MODULE_NAME}")
endif()
set(TROUPE_BELOW_actors "troupe-core")
set(TROUPE_BELOW_transport "troupe-actors")

set(all_layers "")
# The way from the .pc files back to the prefix, so that an installed tree can be moved.
file(RELATIVE_PATH TROUPE_PC_TO_PREFIX "${CMAKE_INSTALL_FULL_LIBDIR}/pkgconfig"
     "${CMAKE_INSTALL_PREFIX}")
string(REGEX REPLACE "/$" "" TROUPE_PC_TO_PREFIX "${TROUPE_PC_TO_PREFIX}")

foreach(layer IN LISTS TROUPE_LAYERS)
  install(TARGETS troupe_${layer} troupe_${layer}_static EXPORT troupe-${layer}
    RUNTIME DESTINATION ${CMAKE_INSTALL_BINDIR}
    LIBRARY DESTINATION ${CMAKE_INSTALL_LIBDIR}
    ARCHIVE DESTINATION ${CMAKE_INSTALL_LIBDIR})
  install(EXPORT troupe-${layer} NAMESPACE troupe:: DESTINATION "${package_dir}"
    FILE troupe-${layer}-targets.cmake)
  install(DIRECTORY "${PROJECT_SOURCE_DIR}/${layer}/include/"
    DESTINATION ${CMAKE_INSTALL_INCLUDEDIR} FILES_MATCHING PATTERN "*.h")

  set(TROUPE_PC_NAME ${layer})
  set(TROUPE_PC_LIBS "-L\${libdir} -ltroupe_${layer}")
  set(TROUPE_PC_REQUIRES "${TROUPE_BELOW_${layer}}")
  set(TROUPE_PC_REQUIRES_PRIVATE "${TROUPE_REQUIRES_${layer}}")
  configure_file(cmake/troupe.pc.in "${PROJECT_BINARY_DIR}/troupe-${layer}.pc" @ONLY)
  install(FILES "${PROJECT_BINARY_DIR}/troupe-${layer}.pc"
    DESTINATION ${CMAKE_INSTALL_LIBDIR}/pkgconfig)
  list(APPEND all_layers troupe-${layer})
endforeach()

list(JOIN all_layers ", " TROUPE_PC_REQUIRES)
set(TROUPE_PC_NAME "all layers")
set(TROUPE_PC_LIBS "")
set(TROUPE_PC_REQUIRES_PRIVATE "")
configure_file(cmake/troupe.pc.in "${PROJECT_BINARY_DIR}/troupe.pc" @ONLY)
install(FILES "${PROJECT_BINARY_DIR}/troupe.pc" DESTINATION ${CMAKE_INSTALL_LIBDIR}/pkgconfig)

configure_package_config_file(cmake/troupe-config.cmake.in
  "${PROJECT_BINARY_DIR}/troupe-config.cmake" INSTALL_DESTINATION "${package_dir}")
write_basic_package_version_file("${PROJECT_BINARY_DIR}/troupe-config-version.cmake"
  COMPATIBILITY SameMinorVersion)
install(FILES "${PROJECT_BINARY_DIR}/troupe-config.cmake"
  "${PROJECT_BINARY_DIR}/troupe-config-version.cmake" DESTINATION "${package_dir}")
