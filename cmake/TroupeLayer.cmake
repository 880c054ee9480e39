# troupe_add_layer(NAME SOURCES ... [BELOW layer...] [LIBS library...])
#
# One layer: an object library, and from it libtroupe_NAME.a and libtroupe_NAME.so. Targets
# troupe::NAME (shared) and troupe::NAME_static. A layer without sources is left out.
function(troupe_add_layer name)
  cmake_parse_arguments(arg "" "" "SOURCES;BELOW;LIBS" ${ARGN})
  if(NOT arg_SOURCES)
    message(STATUS "Layer ${name}: no sources yet")
    return()
  endif()

  set(objects troupe_${name}_objects)
  add_library(${objects} OBJECT ${arg_SOURCES})
  troupe_target_options(${objects})
  target_include_directories(${objects} PRIVATE
    "${PROJECT_SOURCE_DIR}/${name}/include" "${PROJECT_SOURCE_DIR}/${name}/src")
  target_link_libraries(${objects} PRIVATE ${arg_LIBS})
  foreach(below IN LISTS arg_BELOW)
    # The implementer's interface of the layers below: in the build tree only, never installed.
    target_include_directories(${objects} PRIVATE
      "${PROJECT_SOURCE_DIR}/${below}/include" "${PROJECT_SOURCE_DIR}/${below}/src")
  endforeach()

  foreach(kind IN ITEMS shared static)
    if(kind STREQUAL "shared")
      set(target troupe_${name})
      set(suffix "")
      add_library(${target} SHARED $<TARGET_OBJECTS:${objects}>)
      set_target_properties(${target} PROPERTIES
        VERSION ${PROJECT_VERSION} SOVERSION ${PROJECT_VERSION_MAJOR}
        INSTALL_RPATH "$ORIGIN")
      target_link_options(${target} PRIVATE -Wl,-z,defs,-z,relro,-z,noexecstack)
      if(TROUPE_SANITIZE OR TROUPE_FUZZ)
        # The sanitizers' runtime is in the executable.
        target_link_options(${target} PRIVATE -Wl,-z,undefs)
      endif()
    else()
      set(target troupe_${name}_static)
      set(suffix _static)
      add_library(${target} STATIC $<TARGET_OBJECTS:${objects}>)
      set_target_properties(${target} PROPERTIES OUTPUT_NAME troupe_${name})
    endif()
    set_target_properties(${target} PROPERTIES EXPORT_NAME ${name}${suffix} LINKER_LANGUAGE C)
    target_include_directories(${target} INTERFACE
      $<BUILD_INTERFACE:${PROJECT_SOURCE_DIR}/${name}/include>
      $<INSTALL_INTERFACE:${CMAKE_INSTALL_INCLUDEDIR}>)
    foreach(below IN LISTS arg_BELOW)
      if(below IN_LIST TROUPE_LAYERS)
        target_link_libraries(${target} PUBLIC troupe_${below}${suffix})
      endif()
    endforeach()
    target_link_libraries(${target} PRIVATE ${arg_LIBS})
    add_library(troupe::${name}${suffix} ALIAS ${target})
  endforeach()

  list(APPEND TROUPE_LAYERS ${name})
  set(TROUPE_LAYERS "${TROUPE_LAYERS}" PARENT_SCOPE)
endfunction()
