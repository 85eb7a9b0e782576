#include "harness/core/parallel.h"

#include <cstdint>
#include <vector>

#include "harness/testing.h"

namespace assay {
namespace {

TEST_CASE("parallel_for covers every index once, in parts of whole grains", "[parallel]") {
  for (const std::int64_t n : {0, 1, 7, 64, 1000}) {
    for (const std::int64_t grain : {1, 8, 2000}) {
      std::vector<int> seen(static_cast<std::size_t>(n));
      std::vector<int> misaligned(static_cast<std::size_t>(num_threads()));
      parallel_for(n, grain, [&](std::int64_t begin, std::int64_t end, int part) {
        if (begin % grain != 0) ++misaligned[static_cast<std::size_t>(part)];
        for (std::int64_t i = begin; i < end; ++i) ++seen[static_cast<std::size_t>(i)];
      });
      CHECK(seen == std::vector<int>(static_cast<std::size_t>(n), 1));
      CHECK(misaligned == std::vector<int>(static_cast<std::size_t>(num_threads())));
    }
  }
}

}  // namespace
}  // namespace assay
