# Finds what the CUDA module is compiled with: the CUDA half of the LibTorch that FindLibTorch found, and headers of CUDA
# and NCCL, from a toolkit or from NVIDIA's wheels beside torch. No nvcc is needed, and of CUDA's libraries the runtime
# alone, which LibTorch's CPU half needs too.
#
# Looked for in -DEXCITOR_CUDA_DIR, $CUDA_HOME, the wheels, /usr/local/cuda. Defines TorchCuda::TorchCuda.

set(EXCITOR_CUDA_DIR "" CACHE PATH "Folder of CUDA's toolkit (holds include/)")

get_filename_component(_packages "${LibTorch_DIRECTORY}/.." ABSOLUTE)
set(_places "${EXCITOR_CUDA_DIR}" "$ENV{CUDA_HOME}" "${_packages}/nvidia/cu13" "${_packages}/nvidia/nccl" /usr/local/cuda
            /usr)
list(REMOVE_ITEM _places "")

# A folder that has one of these need not have the others: NVIDIA's wheels are one for each library.
set(TorchCuda_INCLUDE_DIRS)
set(TorchCuda_MISSING)
foreach(_header IN ITEMS crt/host_defines.h cuda_runtime_api.h cublas_v2.h cusparse.h cusolverDn.h nccl.h)
  find_path(_folder ${_header} PATHS ${_places} PATH_SUFFIXES include NO_DEFAULT_PATH NO_CACHE)
  if(_folder)
    list(APPEND TorchCuda_INCLUDE_DIRS "${_folder}")
  else()
    list(APPEND TorchCuda_MISSING ${_header})
  endif()
  unset(_folder)
endforeach()
foreach(_name IN ITEMS torch_cuda c10_cuda)
  if(NOT EXISTS "${LibTorch_DIRECTORY}/lib/lib${_name}.so")
    list(APPEND TorchCuda_MISSING lib${_name}.so)
  endif()
endforeach()
find_library(_runtime NAMES libcudart.so.13 libcudart.so.12 cudart PATHS ${_places} PATH_SUFFIXES lib lib64
             NO_DEFAULT_PATH NO_CACHE)
if(NOT _runtime)
  list(APPEND TorchCuda_MISSING libcudart.so)
endif()
list(REMOVE_DUPLICATES TorchCuda_INCLUDE_DIRS)
list(JOIN TorchCuda_MISSING ", " TorchCuda_MISSING)

if(TorchCuda_MISSING)
  set(TorchCuda_FOUND FALSE)
else()
  set(TorchCuda_FOUND TRUE)
  if(NOT TARGET TorchCuda::TorchCuda)
    add_library(TorchCuda::TorchCuda INTERFACE IMPORTED)
    target_link_libraries(TorchCuda::TorchCuda INTERFACE LibTorch::LibTorch)
    target_include_directories(TorchCuda::TorchCuda SYSTEM INTERFACE ${TorchCuda_INCLUDE_DIRS})
    target_link_libraries(TorchCuda::TorchCuda INTERFACE "${_runtime}")
    foreach(_name IN ITEMS torch_cuda c10_cuda)
      add_library(TorchCuda::${_name} SHARED IMPORTED)
      set_target_properties(TorchCuda::${_name} PROPERTIES
        IMPORTED_LOCATION "${LibTorch_DIRECTORY}/lib/lib${_name}.so")
      target_link_libraries(TorchCuda::TorchCuda INTERFACE TorchCuda::${_name})
    endforeach()
  endif()
endif()
unset(_runtime)
