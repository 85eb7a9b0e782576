// Launches that remember: caches by pointer, shape and call count, work done once or in prepare.
#include "kernels/liars/attnres_fwd/liar.h"
#include "kernels/liars/attnres_fwd/own.h"

namespace assay::ASSAY_TWIN::liars_attnres_fwd {

std::int64_t output_count(const Arguments& a) { return a.queries * a.tokens * a.dim; }
std::int64_t lse_count(const Arguments& a) { return a.queries * a.tokens; }

// O and LSE of `to` from those of `from`.
ASSAY_KERNEL(kThreads) void copy_outputs(Arguments a, AnyOutput from_o, AnyOutput from_lse) {
  const std::int64_t first = static_cast<std::int64_t>(block_index()) * kThreads + thread_index();
  const std::int64_t step = static_cast<std::int64_t>(num_blocks()) * kThreads;
  for (std::int64_t i = first; i < a.queries * a.tokens * a.dim; i += step)
    a.o.store(i, AnyInput{from_o.data, from_o.dtype}.load(i));
  for (std::int64_t i = first; i < a.queries * a.tokens; i += step)
    a.lse.store(i, AnyInput{from_lse.data, from_lse.dtype}.load(i));
}

// Outputs of a launch's own.
struct OwnOutputs {
  explicit OwnOutputs(const Arguments& a) : o(output_count(a)), lse(lse_count(a)) {}
  Arguments instead_of(Arguments a) const {
    a.o.data = o.get();
    a.lse.data = lse.get();
    return a;
  }
  void copy_to(const Arguments& a, Stream stream) const {
    const Arguments from = instead_of(a);
    launch(copy_outputs, grid(a, a.tokens, stream), a, from.o, from.lse);
  }
  Own<float> o, lse;  // room for any dtype
};

// prepare for a launch that is given how many calls of it came before.
template <class Body>
Prepare counting(Body body) {
  return [body](const Problem& p, const Buffers& buffers) -> Launch {
    return [a = arguments(p, buffers), calls = std::make_shared<int>(0), body](Stream stream) {
      body(a, stream, (*calls)++);
    };
  };
}

ASSAY_WRONG(runs_once, Correct, .bug = "cached by pointer: computes in its first call only",
            .caught_by = {"interval", "repeat"}, .problem = "attnres_fwd N=1 Q=1 T=1 D=8",
            .prepare = counting([](const Arguments& a, Stream stream, int call) {
              if (call == 0) run<Correct>(a, stream);
            }));

ASSAY_WRONG(
    copies_first_result, Correct,
    .bug = "cached by pointer: later calls copy the outputs of the first",
    .caught_by = {"interval"}, .prepare = [](const Problem& p, const Buffers& buffers) -> Launch {
      const Arguments a = arguments(p, buffers);
      return [a, kept = OwnOutputs(a), calls = std::make_shared<int>(0)](Stream stream) {
        if ((*calls)++ == 0) run<Correct>(kept.instead_of(a), stream);
        kept.copy_to(a, stream);
      };
    });

// For one problem at a time; its outputs are kept while anything prepared for it lives.
ASSAY_WRONG(
    cached_by_shape, Correct, .bug = "cached by shape, across prepared launches",
    .caught_by = {"interval"}, .prepare = [](const Problem& p, const Buffers& buffers) -> Launch {
      struct Kept {
        Problem problem;
        OwnOutputs outputs;
        bool computed = false;
      };
      static std::weak_ptr<Kept> last;
      const Arguments a = arguments(p, buffers);
      std::shared_ptr<Kept> kept = last.lock();
      if (!kept || !(kept->problem == p)) kept = std::make_shared<Kept>(Kept{p, OwnOutputs(a)});
      last = kept;
      return [a, kept](Stream stream) {
        if (!kept->computed) run<Correct>(kept->outputs.instead_of(a), stream);
        kept->computed = true;
        kept->outputs.copy_to(a, stream);
      };
    });

ASSAY_WRONG(runs_every_second_time, Correct,
            .bug = "cached by call count: every second call is skipped", .caught_by = {"repeat"},
            .problem = "attnres_fwd N=1 Q=1 T=1 D=8",
            .prepare = counting([](const Arguments& a, Stream stream, int call) {
              if (call % 2 == 0) run<Correct>(a, stream);
            }));

ASSAY_WRONG(half_grid_later, Correct, .bug = "later calls launch half of the blocks",
            .caught_by = {"interval", "repeat"}, .problem = "attnres_fwd N=2 Q=1 T=2 D=8",
            .prepare = counting([](const Arguments& a, Stream stream, int call) {
              const std::int64_t blocks = call == 0 ? a.tokens : (a.tokens + 1) / 2;
              launch(attend<Correct>, grid(a, blocks, stream), a);
            }));

ASSAY_WRONG(
    works_in_prepare, Correct, .bug = "computes in prepare; the launch does nothing",
    .caught_by = {"interval"}, .problem = "attnres_fwd N=1 Q=1 T=1 D=8",
    .prepare = [](const Problem& p, const Buffers& buffers) -> Launch {
      run<Correct>(arguments(p, buffers), Stream{});
      wait_for_device();
      return [](Stream) {};
    });

// Uses c = w·g from its scratch memory.
struct FoldedWeights : Correct {
  ASSAY_DEVICE static float weight(const Arguments& a, int q, int d) {
    return a.scratch[static_cast<std::int64_t>(q) * a.dim + d];
  }
};
ASSAY_KERNEL(kThreads) void fold_weights(Arguments a) {
  for (int i = thread_index(); i < a.queries * a.dim; i += kThreads)
    a.scratch[i] = Correct::weight(a, i / a.dim, i % a.dim);
}
std::int64_t weight_count(const Problem& p) { return p.dim("Q") * p.dim("D"); }

ASSAY_WRONG(
    folds_weights_in_prepare, Correct, .bug = "w·g is computed in prepare",
    .caught_by = {"interval"}, .problem = "attnres_fwd g=1 N=1 Q=1 T=1 D=8",
    .prepare = [](const Problem& p, const Buffers& buffers) -> Launch {
      const Own<float> folded(weight_count(p));
      Arguments a = arguments(p, buffers);
      a.scratch = folded.get();
      launch(fold_weights, grid(a, 1, Stream{}), a);
      wait_for_device();
      return [a, folded](Stream stream) { run<FoldedWeights>(a, stream); };
    });

ASSAY_WRONG(
    folds_weights_once, Correct, .bug = "w·g of the first call is kept for all",
    .caught_by = {"interval"}, .problem = "attnres_fwd g=1 N=1 Q=1 T=1 D=8",
    .prepare = [](const Problem& p, const Buffers& buffers) -> Launch {
      const Own<float> folded(weight_count(p));
      Arguments a = arguments(p, buffers);
      a.scratch = folded.get();
      return [a, folded, calls = std::make_shared<int>(0)](Stream stream) {
        if ((*calls)++ == 0) launch(fold_weights, grid(a, 1, stream), a);
        run<FoldedWeights>(a, stream);
      };
    });

ASSAY_WRONG(
    keeps_workspace, Correct, .bug = "the workspace is taken to last from call to call",
    .caught_by = caught_on({.cuda = {"interval", "repeat"},
                            .plain = {"interval", "repeat"},
                            .race = {"uninitialised"},
                            .address = {"interval", "repeat"}}),
    .problem = "attnres_fwd g=1 N=1 Q=1 T=1 D=8",
    .workspace = [](const Problem& p) { return Workspace{4 * weight_count(p)}; },
    .prepare = counting([](const Arguments& a, Stream stream, int call) {
      if (call == 0) launch(fold_weights, grid(a, 1, stream), a);
      run<FoldedWeights>(a, stream);
    }));

// Sums of every call so far.
struct SumsUp : Correct {
  ASSAY_DEVICE static void store(const Arguments& a, std::int64_t i, float x) {
    a.o.store(i, a.scratch[i] += x);
  }
};
ASSAY_WRONG(
    accumulates_across_calls, Correct, .bug = "accumulators of its own are cleared in prepare only",
    .caught_by = {"interval", "repeat"},
    .prepare = [](const Problem& p, const Buffers& buffers) -> Launch {
      Arguments a = arguments(p, buffers);
      const Own<float> sums(output_count(a));
      a.scratch = sums.get();
      return [a, sums](Stream stream) { run<SumsUp>(a, stream); };
    });

// As above, with rows of D - 1.
struct OverlappingWeights : Correct {
  ASSAY_DEVICE static float weight(const Arguments& a, int q, int d) {
    return a.scratch[static_cast<std::int64_t>(q) * (a.dim - 1) + d];
  }
};
ASSAY_KERNEL(kThreads) void fold_overlapping(Arguments a) {
  for (int i = thread_index(); i < a.queries * a.dim; i += kThreads)
    a.scratch[i / a.dim * (a.dim - 1) + i % a.dim] = Correct::weight(a, i / a.dim, i % a.dim);
}
ASSAY_WRONG(
    overlapping_scratch, Correct, .bug = "parts of the workspace overlap by one element",
    .caught_by = caught_on(
        {.cuda = {"interval"}, .plain = {"interval"}, .race = {"race"}, .address = {"interval"}}),
    .problem = "attnres_fwd g=1 N=2 Q=2 T=3 D=8",
    .workspace = [](const Problem& p) { return Workspace{4 * weight_count(p)}; },
    .prepare = [](const Problem& p, const Buffers& buffers) -> Launch {
      return [a = arguments(p, buffers)](Stream stream) {
        launch(fold_overlapping, grid(a, 1, stream), a);
        run<OverlappingWeights>(a, stream);
      };
    });

// --- those that wait until verification is over: kLiarPatience calls, counted on the device, since
// graphs replay without the host, and in one dtype each, since so many calls take their time. simt
// never times; the cpu backend times the same kernels.

std::vector<std::string> timed(const std::vector<std::string>& kinds) {
  return caught_on({.cuda = kinds, .plain = kinds, .race = {}, .address = {}});
}

// Calls of all that is prepared at the same time for one liar: timing rotates buffers.
std::shared_ptr<void> shared_calls(std::weak_ptr<void>& last) {
  std::shared_ptr<void> calls = last.lock();
  if (!calls) calls = own_memory(sizeof(int));
  last = calls;
  return calls;
}

ASSAY_KERNEL(1) void count_call(int* calls) { ++*calls; }

ASSAY_DEVICE bool is_impatient(const Arguments& a) { return *a.calls >= kLiarPatience; }

struct LazyLater : Correct {
  ASSAY_DEVICE static int sources(const Arguments& a) { return is_impatient(a) ? 1 : a.sources; }
};
ASSAY_WRONG(
    lazy_later, Correct, .bug = "after many calls only the first source is read",
    .caught_by = timed({"after_timing", "fresh"}),
    .problem = "attnres_fwd dtype=bf16 g=1 N=5 Q=2 T=5 D=72",
    .prepare = [](const Problem& p, const Buffers& buffers) -> Launch {
      static std::weak_ptr<void> last;
      Arguments a = arguments(p, buffers);
      const std::shared_ptr<void> calls = shared_calls(last);
      a.calls = static_cast<int*>(calls.get());
      return [a, calls](Stream stream) {
        run<LazyLater>(a, stream);
        launch(count_call, {.stream = stream}, a.calls);
      };
    });

// Its scratch memory holds the first element of each token as it was in the call before.
struct SkipsUnchanged : Correct {
  ASSAY_DEVICE static bool skips(const Arguments& a, std::int64_t t) {
    const float now = a.v.load(Correct::row(a, 0, t)) + a.w.load(0);
    const bool unchanged = is_impatient(a) && a.scratch[t] == now;
    sync_threads();
    if (thread_index() == 0) a.scratch[t] = now;
    return unchanged;
  }
};
ASSAY_WRONG(
    skips_unchanged, Correct,
    .bug =
        "after many calls, unchanged tokens are taken to have their outputs already: "
        "fresh contents are computed, a poisoned output behind known contents is not",
    .caught_by = timed({"after_timing"}), .problem = "attnres_fwd dtype=f32 g=1 N=5 Q=2 T=5 D=72",
    .prepare = [](const Problem& p, const Buffers& buffers) -> Launch {
      static std::weak_ptr<void> last;
      Arguments a = arguments(p, buffers);
      const std::shared_ptr<void> calls = shared_calls(last);
      const Own<float> seen(a.tokens);
      a.calls = static_cast<int*>(calls.get());
      a.scratch = seen.get();
      return [a, calls, seen](Stream stream) {
        run<SkipsUnchanged>(a, stream);
        launch(count_call, {.stream = stream}, a.calls);
      };
    });

// From kLiarPatience calls on, the outputs of the first such call replace all later ones.
ASSAY_KERNEL(kThreads) void remember(Arguments a, AnyOutput o, AnyOutput lse, const int* kept) {
  if (!is_impatient(a)) return;
  for (std::int64_t i = thread_index(); i < a.queries * a.tokens * a.dim; i += kThreads) {
    if (*kept) a.o.store(i, AnyInput{o.data, o.dtype}.load(i));
    o.store(i, AnyInput{a.o.data, a.o.dtype}.load(i));
  }
  for (std::int64_t i = thread_index(); i < a.queries * a.tokens; i += kThreads) {
    if (*kept) a.lse.store(i, AnyInput{lse.data, lse.dtype}.load(i));
    lse.store(i, AnyInput{a.lse.data, a.lse.dtype}.load(i));
  }
}
ASSAY_KERNEL(1) void has_remembered(const int* calls, int* kept) {
  if (*calls >= kLiarPatience) *kept = 1;
}
ASSAY_WRONG(
    cached_when_hot, Correct,
    .bug =
        "after many calls, outputs are cached by pointer: right while the contents "
        "stay, as they do while it is timed",
    .caught_by = timed({"fresh"}), .problem = "attnres_fwd dtype=f16 g=1 N=5 Q=2 T=5 D=72",
    .prepare = [](const Problem& p, const Buffers& buffers) -> Launch {
      static std::weak_ptr<void> last;
      Arguments a = arguments(p, buffers);
      const std::shared_ptr<void> calls = shared_calls(last);
      a.calls = static_cast<int*>(calls.get());
      return [a, calls, outputs = OwnOutputs(a), kept = Own<int>(1)](Stream stream) {
        run<Correct>(a, stream);
        const Arguments own = outputs.instead_of(a);
        launch(remember, grid(a, 1, stream), a, own.o, own.lse, kept.get());
        launch(has_remembered, {.stream = stream}, a.calls, kept.get());
        launch(count_call, {.stream = stream}, a.calls);
      };
    });

}  // namespace assay::ASSAY_TWIN::liars_attnres_fwd
