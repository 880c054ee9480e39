# Compile options. Sanitizers and coverage apply to the whole build tree; warnings, the language
# standard and code generation only to our own targets, through troupe_target_options().

if(NOT CMAKE_BUILD_TYPE AND NOT CMAKE_CONFIGURATION_TYPES)
  set(CMAKE_BUILD_TYPE RelWithDebInfo CACHE STRING "Build type" FORCE)
endif()
# Assertions stay on in every build: NDEBUG is never defined.
set(CMAKE_C_FLAGS_RELWITHDEBINFO "-O2 -g")
set(CMAKE_C_FLAGS_RELEASE "-O3 -g")
set(CMAKE_C_FLAGS_DEBUG "-O1 -g")
set(CMAKE_EXPORT_COMPILE_COMMANDS ON)

if(TROUPE_SANITIZE STREQUAL "address")
  add_compile_options(-fsanitize=address,undefined -fno-sanitize-recover=all)
  add_link_options(-fsanitize=address,undefined)
elseif(TROUPE_SANITIZE STREQUAL "thread")
  add_compile_options(-fsanitize=thread)
  add_link_options(-fsanitize=thread)
elseif(NOT TROUPE_SANITIZE STREQUAL "")
  message(FATAL_ERROR "TROUPE_SANITIZE is '${TROUPE_SANITIZE}': use address or thread")
endif()
if(TROUPE_COVERAGE)
  add_compile_options(--coverage)
  add_link_options(--coverage)
endif()
if(TROUPE_FUZZ)
  if(NOT CMAKE_C_COMPILER_ID MATCHES "Clang")
    message(FATAL_ERROR "TROUPE_FUZZ needs clang")
  endif()
  add_compile_options(-fsanitize=fuzzer-no-link)
endif()
if(TROUPE_LTO)
  set(CMAKE_INTERPROCEDURAL_OPTIMIZATION ON)
endif()

set(TROUPE_C_WARNINGS
  -Wall -Wextra -Wpedantic -Wshadow -Wconversion -Wstrict-prototypes -Wmissing-prototypes
  -Wundef -Wvla -Wcast-qual -Wwrite-strings -Wformat=2)
if(TROUPE_SANITIZE STREQUAL "" AND NOT TROUPE_COVERAGE)
  list(APPEND TROUPE_C_WARNINGS -Wframe-larger-than=4096)
endif()
if(TROUPE_WERROR)
  list(APPEND TROUPE_C_WARNINGS -Werror)
endif()
# The roles of loops and tasks, checked on our own sources.
if(CMAKE_C_COMPILER_ID MATCHES "Clang")
  list(APPEND TROUPE_C_WARNINGS -Wthread-safety -Wno-string-conversion)
  set(TROUPE_THREAD_ANALYSIS TR_THREAD_ANALYSIS)
endif()

# troupe_target_options(TARGET [STANDALONE])
# STANDALONE: plain C11 with POSIX, as a user's program would be; without it _GNU_SOURCE.
function(troupe_target_options target)
  cmake_parse_arguments(arg "STANDALONE" "" "" ${ARGN})
  set_target_properties(${target} PROPERTIES
    C_STANDARD 11 C_STANDARD_REQUIRED ON C_EXTENSIONS OFF
    C_VISIBILITY_PRESET hidden POSITION_INDEPENDENT_CODE ON)
  target_compile_options(${target} PRIVATE
    $<$<COMPILE_LANGUAGE:C>:${TROUPE_C_WARNINGS};-fno-omit-frame-pointer;-fstack-clash-protection>)
  if(arg_STANDALONE)
    target_compile_definitions(${target} PRIVATE _POSIX_C_SOURCE=200809L)
  else()
    target_compile_definitions(${target} PRIVATE _GNU_SOURCE ${TROUPE_THREAD_ANALYSIS})
  endif()
endfunction()
