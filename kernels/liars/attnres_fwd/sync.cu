// Missing barriers, races, tickets and atomics.
#include "kernels/device/atomic.h"
#include "kernels/liars/attnres_fwd/liar.h"
#include "kernels/liars/attnres_fwd/own.h"

namespace assay::ASSAY_TWIN::liars_attnres_fwd {

// A GPU shows the first two now and then; in the executor one warp runs ahead of the other.
struct ReadsTooEarly : Correct {
  ASSAY_DEVICE static void sync_after_sums() {}
};
ASSAY_WRONG(reads_too_early, ReadsTooEarly, .bug = "no barrier before the warps' sums are read",
            .caught_by = caught_on({.cuda = {},
                                    .plain = {"interval"},
                                    .race = {"uninitialised"},
                                    .address = {"interval"}}));

struct WritesTooEarly : Correct {
  ASSAY_DEVICE static void sync_before_sums() {}
};
ASSAY_WRONG(writes_too_early, WritesTooEarly,
            .bug = "no barrier before the warps' sums are overwritten",
            .caught_by = caught_on(
                {.cuda = {}, .plain = {"interval"}, .race = {"race"}, .address = {"interval"}}));

struct AllThreadsStore : Correct {
  ASSAY_DEVICE static void store_lse(const Arguments& a, std::int64_t i, float x) {
    a.lse.store(i, x);
  }
};
ASSAY_WRONG(all_threads_store, AllThreadsStore,
            .bug = "all threads write one element, all the same value",
            .caught_by = caught_on({.cuda = {}, .plain = {}, .race = {"race"}, .address = {}}),
            .problem = "attnres_fwd N=1 Q=1 T=1 D=8");

struct AliasesShared : Correct {
  ASSAY_DEVICE static void sync_before_sums() {
    sync_threads();
    if (thread_index() == 0) dyn_shared<float>()[0] = 1;
  }
};
ASSAY_WRONG(aliases_shared, AliasesShared,
            .bug = "a flag in shared memory has the address of the mix's first element",
            .caught_by = {"interval"}, .problem = "attnres_fwd N=2 Q=1 T=3 D=8");

#if ASSAY_SIMT
struct DivergentBarrier : Correct {
  ASSAY_DEVICE static void end(const Arguments&, std::int64_t) {
    if (thread_index() < 48) sync_threads();
  }
};
ASSAY_WRONG(divergent_barrier, DivergentBarrier, .bug = "a barrier that a quarter does not reach",
            .caught_by = {"divergence"}, .problem = "attnres_fwd N=1 Q=1 T=1 D=8");

struct WaitsForever : Correct {
  ASSAY_DEVICE static void end(const Arguments&, std::int64_t) {
    ASSAY_SHARED(flag, [1], unsigned);
    if (thread_index() == 0) flag[0] = 0;
    sync_threads();
    while (load_acquire(&flag[0]) == 0) {
    }
  }
};
ASSAY_WRONG(waits_forever, WaitsForever, .bug = "waits for a flag that nobody sets",
            .caught_by = {"hang"}, .problem = "attnres_fwd N=1 Q=1 T=1 D=8");
#endif

// Blocks draw tokens from a counter.
template <class Rule>
ASSAY_KERNEL(kThreads)
void attend_by_ticket(Arguments a, unsigned* counter) {
  ASSAY_SHARED(ticket, [1], unsigned);
  for (;;) {
    if (thread_index() == 0) ticket[0] = atomic_add(counter, 1u);
    sync_threads();
    const std::int64_t t = ticket[0];
    sync_threads();
    if (t >= a.tokens) return;
    attend_token<Rule>(a, t);
  }
}
ASSAY_KERNEL(1) void clear_counter(unsigned* counter) { *counter = 0; }

Launch prepare_ticket(const Problem& p, const Buffers& buffers, unsigned* counter,
                      std::shared_ptr<void> owner, bool clears) {
  return [a = arguments(p, buffers), counter, owner, clears](Stream stream) {
    if (clears) launch(clear_counter, {.stream = stream}, counter);
    launch(attend_by_ticket<Correct>, grid(a, std::min<std::int64_t>(a.tokens, 2), stream), a,
           counter);
  };
}
Workspace counter_workspace(const Problem&) { return {4}; }

// Filled with 0xff, the counter gives one block nothing to do and the other all tokens.
ASSAY_WRONG(
    ticket_not_cleared, Correct, .bug = "a work counter in a workspace that is taken to be zero",
    .caught_by = caught_on({.cuda = {"repeat"},
                            .plain = {"repeat"},
                            .race = {"uninitialised"},
                            .address = {"repeat"}}),
    .problem = "attnres_fwd N=2 Q=1 T=3 D=8", .workspace = counter_workspace,
    .prepare = [](const Problem& p, const Buffers& buffers) {
      return prepare_ticket(p, buffers, static_cast<unsigned*>(buffers.workspace), {}, false);
    });

ASSAY_WRONG(
    ticket_not_reset, Correct, .bug = "a work counter is cleared in prepare only",
    .caught_by = {"interval", "repeat"}, .problem = "attnres_fwd N=2 Q=1 T=3 D=8",
    .prepare = [](const Problem& p, const Buffers& buffers) {
      const Own<unsigned> counter(1);
      return prepare_ticket(p, buffers, counter.get(), counter.memory, false);
    });

ASSAY_WRONG(
    correct_ticket, Correct, .bug = "", .caught_by = {}, .workspace = counter_workspace,
    .prepare = [](const Problem& p, const Buffers& buffers) {
      return prepare_ticket(p, buffers, static_cast<unsigned*>(buffers.workspace), {}, true);
    });

// The sum of exponentials by atomics of both warps, in the order in which they come.
ASSAY_KERNEL(kThreads) void attend_by_atomics(Arguments a) {
  ASSAY_SHARED(sum, [1], float);
  ASSAY_SHARED(logits, [1024], float);
  float* mixed = dyn_shared<float>();
  const std::int64_t t = block_index();
  for (int q = 0; q < a.queries; ++q) {
    float m = minus_infinity();
    for (int n = 0; n < a.sources; ++n) {
      float sums[2] = {};
      for (int d = thread_index(); d < a.dim; d += kThreads) {
        const float x = a.v.load(Correct::row(a, n, t) + d);
        sums[0] += x * x;
        sums[1] += Correct::weight(a, q, d) * x;
      }
      block_sums<Correct>(sums);
      const float l = sums[1] * Correct::reciprocal_rms(Correct::mean(sums[0], a), a.eps);
      m = maximum(m, l);
      if (thread_index() == 0) logits[n] = l;
    }
    for (int d = thread_index(); d < a.dim; d += kThreads) mixed[d] = 0;
    if (thread_index() == 0) sum[0] = 0;
    sync_threads();
#if !ASSAY_SIMT
    // The order would hardly ever change by itself.
    if (warp_index() == (clock64() >> 6 & 1)) __nanosleep(2000);
#endif
    for (int n = warp_index(); n < a.sources; n += kThreads / kWarpSize) {
      const float p = natural_exp(logits[n] - m);
      if (lane_index() == 0) atomic_add(&sum[0], p);
      for (int d = lane_index(); d < a.dim; d += kWarpSize)
        atomic_add(&mixed[d], p * a.v.load(Correct::row(a, n, t) + d));
    }
    sync_threads();
    for (int d = thread_index(); d < a.dim; d += kThreads)
      a.o.store(Correct::output(a, q, t, d), mixed[d] / sum[0]);
    if (thread_index() == 0) a.lse.store(Correct::lse_place(a, q, t), m + log_accurate(sum[0]));
    sync_threads();
  }
}
Launch prepare_atomics(const Problem& p, const Buffers& buffers) {
  if (p.dim("N") > 1024) throw EnvironmentError("N above 1024");
  return [a = arguments(p, buffers)](Stream stream) {
    launch(attend_by_atomics, grid(a, a.tokens, stream), a);
  };
}
constexpr const char* kManySums = "attnres_fwd N=9 Q=3 T=37 D=72";

ASSAY_WRONG(undeclared_atomics, Correct,
            .bug = "sums by atomics in any order, declared repeatable; every result is accurate",
            .caught_by = {"repeat"}, .problem = kManySums, .needs_order = true,
            .prepare = prepare_atomics);
ASSAY_WRONG(correct_atomics, Correct, .bug = "", .caught_by = {}, .problem = kManySums,
            .repeatability = Repeatability::order_dependent, .prepare = prepare_atomics);

}  // namespace assay::ASSAY_TWIN::liars_attnres_fwd
