# The cuda backend: whether it is built, with which nvcc, for which architectures. It needs no GPU to be built and no
# driver to be started; static cudart makes the binary run wherever the driver is new enough.

set(ASSAY_CUDA AUTO CACHE STRING "Build the cuda backend: AUTO (where nvcc is found), ON, OFF")
set_property(CACHE ASSAY_CUDA PROPERTY STRINGS AUTO ON OFF)
set(ASSAY_CUDA_ARCHITECTURES "80-real;90a-real;80-virtual" CACHE STRING
  "GPU architectures to compile for: machine code for sm_80 and sm_90a, PTX for others")

# From here on a normal variable of the same name holds ON or OFF.
if(ASSAY_CUDA STREQUAL "AUTO")
  set(ASSAY_CUDA_REQUIRED OFF)
  set(ASSAY_CUDA ON)
elseif(ASSAY_CUDA)
  set(ASSAY_CUDA_REQUIRED ON)
endif()

if(ASSAY_CUDA)
  # check_language alone misses an nvcc that is not on the PATH.
  find_program(CMAKE_CUDA_COMPILER nvcc HINTS ENV CUDACXX ENV CUDA_HOME ENV CUDA_PATH
    PATHS /usr/local/cuda PATH_SUFFIXES bin)
  if(NOT CMAKE_CUDA_COMPILER)
    if(ASSAY_CUDA_REQUIRED)
      message(FATAL_ERROR "ASSAY_CUDA=ON, but no nvcc was found on the PATH, in $CUDA_HOME or in /usr/local/cuda. "
        "Install the CUDA Toolkit, or name its compiler with -DCMAKE_CUDA_COMPILER=...")
    endif()
    unset(CMAKE_CUDA_COMPILER CACHE)  # found on a later run, perhaps
    message(STATUS "cuda backend: not built, no nvcc was found")
    set(ASSAY_CUDA OFF)
  endif()
else()
  message(STATUS "cuda backend: not built, ASSAY_CUDA=${ASSAY_CUDA}")
  set(ASSAY_CUDA OFF)
endif()

if(ASSAY_CUDA)
  # CMAKE_CUDA_STANDARD stays unset: CMake 3.25 does not know that this nvcc has C++20.
  set(CMAKE_CUDA_STANDARD_REQUIRED OFF)
  set(CMAKE_CUDA_ARCHITECTURES ${ASSAY_CUDA_ARCHITECTURES})
  set(CMAKE_CUDA_RUNTIME_LIBRARY Static)
  enable_language(CUDA)
  find_package(CUDAToolkit REQUIRED)
  message(STATUS "cuda backend: nvcc ${CMAKE_CUDA_COMPILER_VERSION}, architectures ${ASSAY_CUDA_ARCHITECTURES}")

  add_library(assay_cuda_options INTERFACE)
  target_compile_definitions(assay_cuda_options INTERFACE ASSAY_TWIN=cuda)
  # No fast math: divisions and square roots round as the declared numerics say.
  target_compile_options(assay_cuda_options INTERFACE
    "$<$<COMPILE_LANGUAGE:CUDA>:-std=c++20;-Xcompiler=-Wall,-Wextra;-Wno-deprecated-gpu-targets>")
  target_link_libraries(assay_cuda_options INTERFACE CUDA::cudart_static)
  # Headers alone: the library is looked for at run time. Beside the others, or in a folder of their own.
  find_path(ASSAY_CUPTI_INCLUDE cupti_range_profiler.h HINTS ${CUDAToolkit_INCLUDE_DIRS}
    ${CUDAToolkit_TARGET_DIR}/extras/CUPTI/include ${CUDAToolkit_LIBRARY_ROOT}/extras/CUPTI/include)
  mark_as_advanced(ASSAY_CUPTI_INCLUDE)
  if(ASSAY_CUPTI_INCLUDE)
    target_include_directories(assay_cuda_options SYSTEM INTERFACE ${ASSAY_CUPTI_INCLUDE})
  else()
    message(STATUS "cuda backend: without CUPTI, no cupti_range_profiler.h was found (package cuda-cupti-dev)")
  endif()
endif()

# Adds the cuda backend, every kernels/<op>/<variant>.cu and the liars to the lists of the caller. A macro, for the caller's scope.
macro(assay_add_cuda_backend)
  assay_glob(cuda_kernel_sources kernels/*/*.cu)
  list(FILTER cuda_kernel_sources EXCLUDE REGEX "^kernels/(device|simt|liars)/")
  assay_glob(cuda_backend_sources harness/backend/cuda*.cu harness/backend/cuda*.cc
    harness/backend/cupti*.cc)
  list(FILTER cuda_backend_sources EXCLUDE REGEX "_test\\.cc$")
  assay_glob(cuda_liar_sources kernels/liars/*/*.cu)
  assay_objects(assay_cuda_kernels ${cuda_kernel_sources})
  assay_objects(assay_cuda_liars ${cuda_liar_sources})
  assay_objects(assay_cuda_backend ${cuda_backend_sources})
  target_link_libraries(assay_cuda_kernels PUBLIC assay_cuda_options)
  target_link_libraries(assay_cuda_liars PUBLIC assay_cuda_options)
  target_link_libraries(assay_cuda_backend PUBLIC assay_cuda_options)
endmacro()
