// The one place that knows which Catch2 is there: version 3, or the 2.13 that Debian 12 ships.
#pragma once

#ifdef ASSAY_CATCH2_V2
#include <catch2/catch.hpp>
#else
#include <catch2/catch_approx.hpp>
#include <catch2/catch_test_macros.hpp>
#include <catch2/generators/catch_generators_all.hpp>
#include <catch2/matchers/catch_matchers_all.hpp>
using Catch::Approx;
#endif

// Ends a test that this machine can't run. The text is what ctest's SKIP_REGULAR_EXPRESSION looks
// for.
#define ASSAY_SKIP(reason)             \
  do {                                 \
    WARN("ASSAY_SKIPPED: " << reason); \
    return;                            \
  } while (false)
