# Finds LibTorch without find_package(Torch), which asks for nvcc and the CUDA toolkit when the wheel was built with
# CUDA. Only the CPU libraries are linked: the program then starts in half the time and needs none of CUDA's libraries.
#
# Looked for, in this order:
#   1. -DEXCITOR_TORCH_DIR=<folder that holds include/ and lib/>
#   2. the python3 on PATH, if it has torch
#   3. .venv in the repository (scripts/build.sh puts a pinned wheel there)
#
# Defines LibTorch::torch_cpu, LibTorch::c10 and LibTorch::LibTorch (both).

set(EXCITOR_TORCH_DIR "" CACHE PATH "Folder of LibTorch or of Python's torch package (holds include/ and lib/)")

# What is found is not kept in the cache: a build folder then follows a new .venv or another Python.
set(LibTorch_DIRECTORY "${EXCITOR_TORCH_DIR}")
if(NOT LibTorch_DIRECTORY)
  foreach(_python IN ITEMS python3 "${PROJECT_SOURCE_DIR}/.venv/bin/python3")
    execute_process(
      COMMAND "${_python}" "${PROJECT_SOURCE_DIR}/scripts/find_torch.py" "${LibTorch_FIND_VERSION}"
      OUTPUT_VARIABLE _directory OUTPUT_STRIP_TRAILING_WHITESPACE ERROR_QUIET RESULT_VARIABLE _result)
    if(_result EQUAL 0)
      set(LibTorch_DIRECTORY "${_directory}")
      break()
    endif()
  endforeach()
endif()

set(_version_file "${LibTorch_DIRECTORY}/include/torch/headeronly/version.h")
if(EXISTS "${_version_file}")
  file(STRINGS "${_version_file}" _lines REGEX "TORCH_VERSION_(MAJOR|MINOR|PATCH) [0-9]+")
  string(REGEX MATCHALL " [0-9]+" _numbers "${_lines}")
  list(TRANSFORM _numbers STRIP)
  list(JOIN _numbers "." LibTorch_VERSION)
endif()

include(FindPackageHandleStandardArgs)
find_package_handle_standard_args(LibTorch
  REQUIRED_VARS LibTorch_DIRECTORY LibTorch_VERSION
  VERSION_VAR LibTorch_VERSION
  REASON_FAILURE_MESSAGE "Run scripts/build.sh, which installs it into .venv, or pass -DEXCITOR_TORCH_DIR=<folder>.")

if(LibTorch_FOUND AND NOT TARGET LibTorch::LibTorch)
  add_library(LibTorch::LibTorch INTERFACE IMPORTED)
  # Headers then bring in the operators they use alone, not all 2,000.
  target_compile_definitions(LibTorch::LibTorch INTERFACE AT_PER_OPERATOR_HEADERS)
  # Without it at::parallel_for, which is a template, runs on one thread.
  target_compile_options(LibTorch::LibTorch INTERFACE -fopenmp)
  target_link_options(LibTorch::LibTorch INTERFACE -fopenmp)
  # The wheel carries headers of fmt, protobuf and others that it was built with; -idirafter lets the system's win.
  target_compile_options(LibTorch::LibTorch INTERFACE "SHELL:-idirafter \"${LibTorch_DIRECTORY}/include\"")
  foreach(_name IN ITEMS torch_cpu c10)
    add_library(LibTorch::${_name} SHARED IMPORTED)
    set_target_properties(LibTorch::${_name} PROPERTIES
      IMPORTED_LOCATION "${LibTorch_DIRECTORY}/lib/lib${_name}.so")
    target_link_libraries(LibTorch::LibTorch INTERFACE LibTorch::${_name})
  endforeach()
endif()
