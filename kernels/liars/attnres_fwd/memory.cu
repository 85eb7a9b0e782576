// Accesses outside of the tensors, to inputs, and to memory that nobody has written.
#include "kernels/liars/attnres_fwd/liar.h"

namespace assay::ASSAY_TWIN::liars_attnres_fwd {

ASSAY_DEVICE bool is_last(const Arguments& a, std::int64_t t) { return t == a.tokens - 1; }

// Makes a read count without changing a result.
ASSAY_DEVICE void look_at(const Arguments& a, float x) {
  if (as_bits(x) == kNever) a.lse.store(0, x);
}

std::vector<std::string> write_outside() {
  return caught_on({.cuda = {"guards"},
                    .plain = {"guards"},
                    .race = {"out_of_bounds"},
                    .address = {"out_of_bounds"}});
}
std::vector<std::string> read_outside() {
  return caught_on({.cuda = {"fence"},
                    .plain = {"fence"},
                    .race = {"out_of_bounds"},
                    .address = {"out_of_bounds"}});
}

struct WritesBeforeOutput : Correct {
  ASSAY_DEVICE static void end(const Arguments& a, std::int64_t t) {
    if (t == 0 && thread_index() == 0) a.o.store(-1, 0);
  }
};
ASSAY_WRONG(writes_before_output, WritesBeforeOutput, .bug = "writes the element before O",
            .caught_by = write_outside(), .problem = "attnres_fwd N=1 Q=1 T=1 D=8");

struct WritesAfterLse : Correct {
  ASSAY_DEVICE static void end(const Arguments& a, std::int64_t t) {
    if (is_last(a, t) && thread_index() == 0) a.lse.store(a.queries * a.tokens, 0);
  }
};
ASSAY_WRONG(writes_after_lse, WritesAfterLse, .bug = "writes the element after LSE",
            .caught_by = write_outside(), .problem = "attnres_fwd N=1 Q=1 T=1 D=8");

struct WritesWholeVectors : Correct {
  ASSAY_DEVICE static void end(const Arguments& a, std::int64_t t) {
    if (is_last(a, t) && thread_index() < (8 - a.dim % 8) % 8)
      a.o.store(a.queries * a.tokens * a.dim + thread_index(), 0);
  }
};
ASSAY_WRONG(writes_whole_vectors, WritesWholeVectors,
            .bug = "the last vector of O is written whole, beyond its end",
            .caught_by = write_outside(), .problem = "attnres_fwd N=1 Q=1 T=1 D=33");

struct WritesAfterWorkspace : Correct {
  ASSAY_DEVICE static void end(const Arguments& a, std::int64_t t) {
    if (is_last(a, t)) a.scratch[thread_index()] = 0;  // of which 32 were asked for
  }
};
ASSAY_WRONG(
    writes_after_workspace, WritesAfterWorkspace,
    .bug = "uses twice the workspace that it asks for", .caught_by = write_outside(),
    .problem = "attnres_fwd N=1 Q=1 T=1 D=8",
    .workspace = [](const Problem&) { return Workspace{32 * 4}; });

struct ReadsAfterValues : Correct {
  ASSAY_DEVICE static void end(const Arguments& a, std::int64_t t) {
    if (!is_last(a, t)) return;
    for (int d = thread_index(); d < a.dim; d += kThreads)
      look_at(a, a.v.load(a.sources * a.tokens * a.dim + d));
  }
};
ASSAY_WRONG(reads_after_values, ReadsAfterValues,
            .bug = "prefetches the row after the last one of V; nothing depends on it",
            .caught_by = read_outside(), .problem = "attnres_fwd dtype=f32 N=1 Q=1 T=1 D=264");

struct ReadsBeforeValues : Correct {
  ASSAY_DEVICE static void end(const Arguments& a, std::int64_t t) {
    if (t != 0) return;
    for (int d = thread_index(); d < a.dim; d += kThreads) look_at(a, a.v.load(d - a.dim));
  }
};
ASSAY_WRONG(reads_before_values, ReadsBeforeValues,
            .bug = "reads the row before the first one of V; nothing depends on it",
            .caught_by = read_outside(), .problem = "attnres_fwd dtype=f32 N=1 Q=1 T=1 D=264");

struct ReadsAfterWeights : Correct {
  ASSAY_DEVICE static void end(const Arguments& a, std::int64_t) {
    for (int d = thread_index(); d < a.dim; d += kThreads)
      look_at(a, a.w.load(a.queries * a.dim + d));
  }
};
ASSAY_WRONG(reads_after_weights, ReadsAfterWeights,
            .bug = "prefetches the weights of a query after the last; nothing depends on them",
            .caught_by = read_outside(), .problem = "attnres_fwd dtype=f32 N=1 Q=1 T=1 D=264");

// c = w·g stays as it is, hence so do all outputs.
ASSAY_KERNEL(kThreads)
void flip_signs(AnyOutput w, AnyOutput g, AnyInput from_w, AnyInput from_g, int n) {
  for (int i = thread_index(); i < n; i += kThreads) {
    w.store(i, -from_w.load(i));
    g.store(i, -from_g.load(i));
  }
}
ASSAY_WRONG(
    flips_input_signs, Correct,
    .bug = "leaves w and g with other signs, which no output depends on",
    .caught_by = caught_on({.cuda = {"inputs"},
                            .plain = {"inputs"},
                            .race = {"write_to_input"},
                            .address = {"inputs"}}),
    .problem = "attnres_fwd g=1 N=1 Q=1 T=1 D=8",
    .prepare = [](const Problem& p, const Buffers& buffers) -> Launch {
      return [a = arguments(p, buffers)](Stream stream) {
        run<Correct>(a, stream);
        if (!a.g.data) return;
        const AnyOutput w{const_cast<void*>(a.w.data), a.w.dtype};
        const AnyOutput g{const_cast<void*>(a.g.data), a.g.dtype};
        launch(flip_signs, grid(a, 1, stream), w, g, a.w, a.g, a.queries * a.dim);
      };
    });

struct RestoresInput : Correct {
  ASSAY_DEVICE static void end(const Arguments& a, std::int64_t t) {
    if (thread_index() != 0) return;
    auto* row = static_cast<volatile char*>(const_cast<void*>(a.v.data)) +
                t * a.dim * (a.v.dtype == DType::f32 ? 4 : 2);
    const char byte = row[0];
    row[0] = static_cast<char>(byte ^ 1);
    row[0] = byte;
  }
};
ASSAY_WRONG(
    restores_input, RestoresInput, .bug = "uses V as scratch memory and restores it",
    .caught_by = caught_on({.cuda = {}, .plain = {}, .race = {"write_to_input"}, .address = {}}),
    .problem = "attnres_fwd N=1 Q=1 T=1 D=8");

struct AddsToOutput : Correct {
  ASSAY_DEVICE static void store(const Arguments& a, std::int64_t i, float x) {
    a.o.store(i, AnyInput{a.o.data, a.o.dtype}.load(i) + x);
  }
};
ASSAY_WRONG(adds_to_output, AddsToOutput, .bug = "O is taken to be zero before the launch",
            .caught_by = caught_on({.cuda = {"interval"},
                                    .plain = {"interval"},
                                    .race = {"uninitialised"},
                                    .address = {"interval"}}),
            .problem = "attnres_fwd N=1 Q=1 T=1 D=8");

struct AddsToWorkspace : Correct {
  ASSAY_DEVICE static float final_sum(float z, float, const Arguments& a) {
    return z + a.scratch[thread_index()];
  }
};
ASSAY_WRONG(
    adds_to_workspace, AddsToWorkspace, .bug = "the workspace is taken to be zero",
    .caught_by = caught_on({.cuda = {"interval"},
                            .plain = {"interval"},
                            .race = {"uninitialised"},
                            .address = {"interval"}}),
    .problem = "attnres_fwd N=1 Q=1 T=1 D=8",
    .workspace = [](const Problem&) { return Workspace{kThreads * 4}; });

struct ReadsUnwrittenShared : Correct {
  ASSAY_DEVICE static void end(const Arguments& a, std::int64_t) {
    ASSAY_SHARED(tile, [kThreads + 1], float);
    tile[thread_index()] = 0;
    if (thread_index() == 0) look_at(a, tile[kThreads]);
  }
};
ASSAY_WRONG(
    reads_unwritten_shared, ReadsUnwrittenShared,
    .bug = "reads shared memory that nobody has written; nothing depends on it",
    .caught_by = caught_on({.cuda = {}, .plain = {}, .race = {"uninitialised"}, .address = {}}),
    .problem = "attnres_fwd N=1 Q=1 T=1 D=8");

struct ReadsAfterShared : Correct {
  ASSAY_DEVICE static void end(const Arguments& a, std::int64_t) {
    ASSAY_SHARED(tile, [kThreads], float);
    tile[thread_index()] = 0;
    if (thread_index() == 0) look_at(a, tile[kThreads + (a.sources > 0 ? 0 : -1)]);
  }
};
ASSAY_WRONG(reads_after_shared, ReadsAfterShared,
            .bug = "reads past a shared array; nothing depends on it",
            .caught_by = caught_on(
                {.cuda = {}, .plain = {}, .race = {"out_of_bounds"}, .address = {"out_of_bounds"}}),
            .problem = "attnres_fwd N=1 Q=1 T=1 D=8");

#if ASSAY_SIMT
// On a GPU these two end the context, or the program's patience.
struct AssumesAlignment : Correct {
  ASSAY_DEVICE static void begin(const Arguments& a, std::int64_t t) {
    std::uint32_t words[4];
    load_words(a.v.as<char>() + t * a.dim * (a.v.dtype == DType::f32 ? 4 : 2), words);
    look_at(a, as_float(words[0]));
  }
};
ASSAY_WRONG(assumes_alignment, AssumesAlignment, .bug = "16-byte loads of rows that begin anywhere",
            .caught_by = {"misaligned"}, .problem = "attnres_fwd N=2 Q=1 T=2 D=33");
#endif

struct ShiftsTooFar : Correct {
  ASSAY_DEVICE static void end(const Arguments& a, std::int64_t t) {
    const int bits = 1 << (31 + a.sources);
    if (bits == 12345 && thread_index() == 0) a.lse.store(t, 0);
  }
};
ASSAY_WRONG(shifts_too_far, ShiftsTooFar,
            .bug = "shifts an int by 32 bits or more; the result is not needed",
            .caught_by = caught_on(
                {.cuda = {}, .plain = {}, .race = {}, .address = {"undefined_behaviour"}}),
            .problem = "attnres_fwd N=1 Q=1 T=1 D=8");

}  // namespace assay::ASSAY_TWIN::liars_attnres_fwd
