# `cmake --build DIR --target docs`: the API reference, in build/docs/html.
find_program(TROUPE_DOXYGEN doxygen)
mark_as_advanced(TROUPE_DOXYGEN)
if(TROUPE_DOXYGEN AND EXISTS "${PROJECT_SOURCE_DIR}/docs/Doxyfile.in")
  set(TROUPE_DOCS_OUTPUT "${PROJECT_SOURCE_DIR}/build/docs")
  configure_file("${PROJECT_SOURCE_DIR}/docs/Doxyfile.in" "${PROJECT_BINARY_DIR}/Doxyfile" @ONLY)
  add_custom_target(docs
    COMMAND "${CMAKE_COMMAND}" -E make_directory "${TROUPE_DOCS_OUTPUT}"
    COMMAND "${TROUPE_DOXYGEN}" "${PROJECT_BINARY_DIR}/Doxyfile"
    WORKING_DIRECTORY "${PROJECT_SOURCE_DIR}" VERBATIM)
endif()
