// Launches that a device refuses, by its own words on cuda and by those of the executor on simt.
#include "kernels/device/block.h"
#include "kernels/selftest/check.h"

namespace assay::ASSAY_TWIN::selftest {

namespace {

constexpr int kMostThreads = 1024, kBound = 64;
constexpr std::int64_t kPlainShared = 48 << 10;

struct Refusal {
  Refusal(const char* name, void (*attempt)(Stream), bool same_words = true,
          const char* unsupported = "") {
    const RegisterTwinRefusal registered({.name = std::string("refused/") + name,
                                          .backend = kTwinBackend,
                                          .unsupported = unsupported,
                                          .same_words = same_words,
                                          .attempt = attempt});
  }
};

}  // namespace

ASSAY_KERNEL(kMostThreads) void nothing(int) {}
ASSAY_KERNEL(kMostThreads) void nothing_more(int) {}
ASSAY_KERNEL(kBound) void bounded(int) {}
ASSAY_KERNEL(kMostThreads) void with_shared(int* out) {  // 16 KB of its own
  ASSAY_SHARED(words, [4096], int);
  words[thread_index()] = num_blocks();
  sync_threads();
  if (out != nullptr) *out = words[thread_index() ^ 1];
}

static const Refusal kRefusals[] = {
    {"no_threads", [](Stream s) { launch(nothing, {.threads = 0, .stream = s}, 1); }},
    {"negative_threads", [](Stream s) { launch(nothing, {.threads = -32, .stream = s}, 1); }},
    {"too_many_threads", [](Stream s) { launch(nothing, {.threads = 1025, .stream = s}, 1); }},
    {"no_blocks", [](Stream s) { launch(nothing, {.blocks = 0, .stream = s}, 1); }},
    {"negative_blocks", [](Stream s) { launch(nothing, {.blocks = -1, .stream = s}, 1); }},
    {"too_many_blocks",
     [](Stream s) { launch(nothing, {.blocks = std::int64_t{1} << 31, .stream = s}, 1); }},
    {"shared_not_allowed",
     [](Stream s) { launch(nothing, {.shared_bytes = kPlainShared + 1, .stream = s}, 1); }},
    {"more_shared_than_allowed",
     [](Stream s) {
       allow_shared(nothing_more, 2 * kPlainShared);
       launch(nothing_more, {.shared_bytes = 2 * kPlainShared, .stream = s}, 1);  // not refused
       launch(nothing_more, {.shared_bytes = 2 * kPlainShared + 16, .stream = s}, 1);
     }},
    {"negative_shared", [](Stream s) { launch(nothing, {.shared_bytes = -16, .stream = s}, 1); }},
    {"allowing_too_much_shared",
     [](Stream) { allow_shared(nothing_more, max_shared_bytes() + 1); }},
    {"allowing_negative_shared", [](Stream) { allow_shared(nothing_more, -1); }},
    // The executor sees a variable when a thread comes to it.
    {"own_and_dynamic_shared",
     [](Stream s) { launch(with_shared, {.shared_bytes = 40 << 10, .stream = s}, nullptr); },
     false},
    {"beyond_launch_bounds",
     [](Stream s) { launch(bounded, {.threads = 2 * kBound, .stream = s}, 1); }, false,
     ASSAY_SIMT ? "launch bounds are nothing to a host compiler" : ""},
};

}  // namespace assay::ASSAY_TWIN::selftest
