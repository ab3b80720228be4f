# The two kinds of target in this project: one static library and one test binary a folder.

# excitor_library(FOLDER SOURCES file... [DEPENDS folder...] [PUBLIC target...] [PRIVATE target...])
# makes excitor_<FOLDER> from src/<FOLDER>. DEPENDS names folders, PUBLIC and PRIVATE libraries of others.
function(excitor_library folder)
  cmake_parse_arguments(PARSE_ARGV 1 arg "" "" "SOURCES;DEPENDS;PUBLIC;PRIVATE")
  set(target excitor_${folder})
  list(TRANSFORM arg_DEPENDS PREPEND excitor_)
  add_library(${target} STATIC ${arg_SOURCES})
  target_include_directories(${target} PUBLIC "${PROJECT_SOURCE_DIR}/include"
                                              "${PROJECT_BINARY_DIR}/include")
  target_link_libraries(${target} PUBLIC ${arg_DEPENDS} ${arg_PUBLIC} PRIVATE ${arg_PRIVATE})
  excitor_compile_options(${target})

  # The first library that uses LibTorch owns the precompiled header; all that stand on it reuse it.
  if("LibTorch::LibTorch" IN_LIST arg_PUBLIC)
    set_target_properties(${target} PROPERTIES EXCITOR_PCH_OWNER ${target})
    if(EXCITOR_PRECOMPILED_HEADER)
      target_precompile_headers(${target} PRIVATE "${PROJECT_SOURCE_DIR}/src/precompiled.h")
    endif()
  else()
    excitor_reuse_precompiled_header(${target} ${arg_DEPENDS})
  endif()
endfunction()

# excitor_test(FOLDER SOURCES file... [DEPENDS folder...] [PRIVATE target...])
# makes the GoogleTest binary test_<FOLDER> from tests/<FOLDER> and one CTest of that name. Tests run in the
# repository's root, with one thread each. ALSO_AVX2 adds a second CTest in which the libraries are held to
# AVX2, as on a CPU without AVX-512, where they take other ways or refuse.
function(excitor_test folder)
  cmake_parse_arguments(PARSE_ARGV 1 arg "ALSO_AVX2" "" "SOURCES;DEPENDS;PRIVATE")
  set(target test_${folder})
  set(libraries ${folder} ${arg_DEPENDS})
  list(TRANSFORM libraries PREPEND excitor_)
  add_executable(${target} ${arg_SOURCES})
  target_link_libraries(${target} PRIVATE ${libraries} ${arg_PRIVATE} GTest::gmock GTest::gtest_main)
  target_include_directories(${target} PRIVATE "${PROJECT_SOURCE_DIR}/tests")
  set_target_properties(${target} PROPERTIES RUNTIME_OUTPUT_DIRECTORY "${PROJECT_BINARY_DIR}/tests")
  excitor_compile_options(${target})
  excitor_reuse_precompiled_header(${target} ${libraries})

  add_test(NAME ${folder} COMMAND ${target} WORKING_DIRECTORY "${PROJECT_SOURCE_DIR}")
  set_tests_properties(${folder} PROPERTIES LABELS unit ENVIRONMENT "OMP_NUM_THREADS=1")
  if(arg_ALSO_AVX2)
    add_test(NAME ${folder}_avx2 COMMAND ${target} WORKING_DIRECTORY "${PROJECT_SOURCE_DIR}")
    set_tests_properties(${folder}_avx2 PROPERTIES LABELS unit ENVIRONMENT
      "OMP_NUM_THREADS=1;ONEDNN_MAX_CPU_ISA=AVX2;ATEN_CPU_CAPABILITY=avx2;MKL_ENABLE_INSTRUCTIONS=AVX2")
  endif()
endfunction()

function(excitor_compile_options target)
  target_compile_options(${target} PRIVATE
    "$<$<COMPILE_LANGUAGE:CXX>:-Wall;-Wextra;-Wno-missing-field-initializers;${EXCITOR_PCH_OPTIONS}>")
endfunction()

# Gives `target` the precompiled header of the first library behind `dependencies` that uses LibTorch, if any does.
function(excitor_reuse_precompiled_header target)
  foreach(dependency IN LISTS ARGN)
    get_target_property(owner ${dependency} EXCITOR_PCH_OWNER)
    if(owner)
      set_target_properties(${target} PROPERTIES EXCITOR_PCH_OWNER ${owner})
      if(EXCITOR_PRECOMPILED_HEADER)
        target_precompile_headers(${target} REUSE_FROM ${owner})
      endif()
      return()
    endif()
  endforeach()
endfunction()
