# How everything here is compiled: build type, language level, warnings, floating point, sanitizers. All targets get it
# through assay_options. Host code is portable: instruction sets are chosen at run time, by attributes of single functions.

option(ASSAY_TESTS "Build the tests (needs Catch2)" ON)
option(ASSAY_BENCHMARKS "Build the benchmarks of our own parts" OFF)
option(ASSAY_SANITIZE "Compile host code with the address and undefined-behaviour sanitizers" OFF)
if(ASSAY_SANITIZE)
  set(default_flavour address)
else()
  set(default_flavour plain)
endif()
set(ASSAY_SIMT_FLAVOUR ${default_flavour} CACHE STRING
  "How assay runs CUDA sources on the CPU: plain, race (race and uninitialised-read checker), address (sanitizers)")
set_property(CACHE ASSAY_SIMT_FLAVOUR PROPERTY STRINGS plain race address)
option(ASSAY_SIMT_ALL "Build the programs and tests of the flavours race and address, too" OFF)
set(ASSAY_HOST_ARCH "" CACHE STRING "-march of host code, such as x86-64-v3; empty: the compiler's portable baseline")

if(NOT CMAKE_BUILD_TYPE AND NOT CMAKE_CONFIGURATION_TYPES)
  set(CMAKE_BUILD_TYPE Release CACHE STRING "Debug, Release, RelWithDebInfo or MinSizeRel" FORCE)
endif()

# For the fetched libraries too. CMAKE_CUDA_STANDARD stays unset: AssayCuda passes nvcc its flag.
set(CMAKE_CXX_STANDARD 20)
set(CMAKE_CXX_STANDARD_REQUIRED ON)
set(CMAKE_CXX_EXTENSIONS OFF)
set(CMAKE_EXPORT_COMPILE_COMMANDS ON)
set(CMAKE_INSTALL_RPATH "$ORIGIN/../lib")  # an installed bundle finds the libraries that it carries

# Link-time optimisation stays off: all hot loops sit in one file each, and it would link for longer than it compiles.
find_program(ASSAY_CCACHE ccache)
mark_as_advanced(ASSAY_CCACHE)
if(ASSAY_CCACHE)
  foreach(language CXX CUDA)
    if(NOT DEFINED CMAKE_${language}_COMPILER_LAUNCHER)
      set(CMAKE_${language}_COMPILER_LAUNCHER ${ASSAY_CCACHE})
    endif()
  endforeach()
endif()

find_package(OpenMP REQUIRED COMPONENTS CXX)

add_library(assay_options INTERFACE)
target_include_directories(assay_options INTERFACE ${PROJECT_SOURCE_DIR})
target_link_libraries(assay_options INTERFACE OpenMP::OpenMP_CXX)

# -ffp-contract=off: the compiler fuses no multiplication with an addition that the source does not fuse, so that
# bits do not depend on the instruction set and declared numerics hold.
# Members left out of a designated initializer have their defaults on purpose.
set(host_flags -Wall -Wextra -Wpedantic -Wno-missing-field-initializers -ffp-contract=off)
if(CMAKE_CXX_COMPILER_ID STREQUAL "GNU" AND CMAKE_CXX_COMPILER_VERSION VERSION_LESS 13)
  list(APPEND host_flags -Wno-restrict)  # GCC bug 105651: accuses std::string's operator+
endif()
if(ASSAY_HOST_ARCH)
  list(APPEND host_flags -march=${ASSAY_HOST_ARCH})
endif()
if(ASSAY_SANITIZE)
  set(sanitize_flags -fsanitize=address,undefined -fno-sanitize-recover=undefined)
  list(APPEND host_flags ${sanitize_flags} -fno-omit-frame-pointer -O1)
  target_link_options(assay_options INTERFACE "$<$<LINK_LANGUAGE:CXX>:${sanitize_flags}>")
endif()
target_compile_options(assay_options INTERFACE "$<$<COMPILE_LANGUAGE:CXX>:${host_flags}>")
