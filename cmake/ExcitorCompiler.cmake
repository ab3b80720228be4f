# How every target of this project is compiled and linked.

if(NOT CMAKE_BUILD_TYPE)
  set(CMAKE_BUILD_TYPE Release CACHE STRING "Release, Debug or RelWithDebInfo" FORCE)
endif()

set(CMAKE_CXX_STANDARD 20)
set(CMAKE_CXX_STANDARD_REQUIRED ON)
set(CMAKE_CXX_EXTENSIONS OFF)
set(CMAKE_EXPORT_COMPILE_COMMANDS ON)
set(CMAKE_CXX_FLAGS_RELEASE "-O2 -DNDEBUG")

# Warnings are errors with the compiler that we test with; a newer one may know new warnings.
set(warnings_are_errors OFF)
if(CMAKE_CXX_COMPILER_ID STREQUAL "GNU" AND CMAKE_CXX_COMPILER_VERSION VERSION_LESS 13)
  set(warnings_are_errors ON)
endif()
option(CMAKE_COMPILE_WARNING_AS_ERROR "Treat warnings as errors" ${warnings_are_errors})
add_link_options(-Wl,--as-needed)

option(EXCITOR_PRECOMPILED_HEADER "Precompile ATen's headers: a source then takes 0.8 s instead of 3.2 s" ON)
option(EXCITOR_CCACHE "Compile through ccache when it is installed" ON)
set(EXCITOR_SANITIZE "" CACHE STRING "Sanitizers to build with, e.g. address,undefined")

if(EXCITOR_CCACHE)
  find_program(CCACHE_PROGRAM ccache)
  if(CCACHE_PROGRAM)
    # A precompiled header is found by its content, not by its time, only with these settings.
    set(CMAKE_CXX_COMPILER_LAUNCHER "${CMAKE_COMMAND}" -E env
        CCACHE_SLOPPINESS=pch_defines,time_macros,include_file_mtime,include_file_ctime "${CCACHE_PROGRAM}")
    set(EXCITOR_PCH_OPTIONS -fpch-preprocess)
  endif()
endif()

find_program(LLD_PROGRAM ld.lld)
if(LLD_PROGRAM)
  add_link_options(-fuse-ld=lld)
endif()

if(EXCITOR_SANITIZE)
  add_compile_options(-fsanitize=${EXCITOR_SANITIZE} -fno-omit-frame-pointer)
  add_link_options(-fsanitize=${EXCITOR_SANITIZE})
endif()
