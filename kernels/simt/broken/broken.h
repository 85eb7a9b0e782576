// Kernels that are wrong on purpose, one bug each, of the kinds that only an executor can see;
// executor_test.cc checks that each is found. Every kernel runs as one block of kThreads threads,
// reads in[kThreads * 4] and writes out[kThreads * 4], both aligned to 256 bytes.
#pragma once

#include "kernels/device/async_copy.h"
#include "kernels/device/atomic.h"
#include "kernels/device/block.h"
#include "kernels/device/launch.h"
#include "kernels/device/mbarrier.h"
#include "kernels/device/vector.h"
#include "kernels/device/warp.h"
#include "kernels/simt/broken/corpus.h"

namespace assay::simt::broken {

using executor::RegisterBroken;

constexpr int kThreads = executor::kBrokenThreads;

}  // namespace assay::simt::broken

// ASSAY_BROKEN(name, plain, race, address) { body of a kernel over `in` and `out` }
#define ASSAY_BROKEN(name, plain, race, address)                          \
  ASSAY_KERNEL(kThreads) void name(const float* in, float* out);          \
  static const RegisterBroken register_##name(                            \
      {#name, plain, race, address, [](const float* i, float* o) {        \
         launch(name, {.threads = kThreads, .shared_bytes = 4096}, i, o); \
       }});                                                               \
  void name([[maybe_unused]] const float* in, [[maybe_unused]] float* out)
