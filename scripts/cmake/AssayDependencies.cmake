# The libraries Assay stands on: an installed package where there is one, else pinned sources, fetched while configuring.
# Their headers are system headers, so our warnings do not reach them.
include(FetchContent)

# assay_dependency(NAME LEAST_VERSION|"" PINNED_TAG REPOSITORY [further arguments of FetchContent_Declare...])
macro(assay_dependency name least tag repository)
  FetchContent_Declare(${name} SYSTEM GIT_REPOSITORY ${repository} GIT_TAG ${tag} GIT_SHALLOW ON
    ${ARGN} FIND_PACKAGE_ARGS ${least} CONFIG)
  FetchContent_MakeAvailable(${name})
  if(${name}_FOUND)
    message(STATUS "${name} ${${name}_VERSION}: installed")
  else()
    message(STATUS "${name} ${tag}: fetched")
  endif()
endmacro()

# Eigen's own CMake project builds tests and documentation: only its headers are taken.
assay_dependency(Eigen3 3.4 3.4.0 https://gitlab.com/libeigen/eigen.git SOURCE_SUBDIR headers_only)
if(NOT TARGET Eigen3::Eigen)
  add_library(assay_eigen INTERFACE)
  target_include_directories(assay_eigen SYSTEM INTERFACE ${eigen3_SOURCE_DIR})
  add_library(Eigen3::Eigen ALIAS assay_eigen)
endif()

set(JSON_BuildTests OFF)
assay_dependency(fmt 9 10.2.1 https://github.com/fmtlib/fmt.git)
assay_dependency(CLI11 "" v2.4.2 https://github.com/CLIUtils/CLI11.git)
assay_dependency(nlohmann_json 3 v3.11.3 https://github.com/nlohmann/json.git)
assay_dependency(tomlplusplus 3 v3.4.0 https://github.com/marzer/tomlplusplus.git)
assay_dependency(pugixml 1 v1.14 https://github.com/zeux/pugixml.git)

# Boost.Context alone; of an installed Boost, the static library: two small functions.
set(Boost_USE_STATIC_LIBS ON)
find_package(Boost 1.70 QUIET COMPONENTS context)
if(TARGET Boost::context)
  message(STATUS "Boost.Context ${Boost_VERSION_STRING}: installed")
else()
  set(BOOST_INCLUDE_LIBRARIES context)
  FetchContent_Declare(boost SYSTEM
    URL https://github.com/boostorg/boost/releases/download/boost-1.84.0/boost-1.84.0.tar.xz)
  FetchContent_MakeAvailable(boost)
  add_library(Boost::context ALIAS boost_context)
  message(STATUS "Boost.Context 1.84.0: fetched")
endif()

# assay_catch hides the version of Catch2. Version 3 brings a main; 2 takes ours, harness/testing_main.cc, and both
# CMake and code see ASSAY_CATCH2_V2. Catch's own module gives catch_discover_tests.
if(ASSAY_TESTS)
  assay_dependency(Catch2 "" v3.7.1 https://github.com/catchorg/Catch2.git)
  if(NOT Catch2_FOUND)
    list(APPEND CMAKE_MODULE_PATH ${catch2_SOURCE_DIR}/extras)
  endif()
  add_library(assay_catch INTERFACE)
  set(ASSAY_CATCH2_V2 OFF)
  if(Catch2_FOUND AND Catch2_VERSION VERSION_LESS 3)
    set(ASSAY_CATCH2_V2 ON)
    target_link_libraries(assay_catch INTERFACE Catch2::Catch2)
    target_compile_definitions(assay_catch INTERFACE ASSAY_CATCH2_V2)
  else()
    target_link_libraries(assay_catch INTERFACE Catch2::Catch2WithMain)
  endif()
  include(Catch)
endif()

set(BENCHMARK_ENABLE_TESTING OFF)
set(BENCHMARK_ENABLE_GTEST_TESTS OFF)
set(BENCHMARK_ENABLE_INSTALL OFF)
assay_dependency(benchmark "" v1.8.3 https://github.com/google/benchmark.git)
