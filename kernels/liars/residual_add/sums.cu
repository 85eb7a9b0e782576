// Wrong sums.
#include "kernels/device/launch.h"
#include "kernels/device/rows.h"
#include "kernels/liars/liar.h"

namespace assay::ASSAY_TWIN::liars_residual_add {

using namespace liar_making;

struct Arguments {
  AnyInput p, u;
  AnyOutput r;
  std::int64_t elements;
};

struct Correct {
  ASSAY_DEVICE static std::int64_t end(const Arguments& a) { return a.elements; }
  ASSAY_DEVICE static float sum(float x, float y, DType) { return x + y; }
};

template <class Rule>
ASSAY_KERNEL(256)
void add(Arguments a) {
  for (std::int64_t i = thread_index(); i < Rule::end(a); i += num_threads())
    a.r.store(i, Rule::sum(a.p.load(i), a.u.load(i), a.r.dtype));
}

template <class Rule>
Liar wrong(const char* name, Wrong w) {
  return make_liar(name, std::move(w),
                   {.op = "residual_add",
                    .problem = "residual_add p=1 u=1 T=5 D=72",
                    .numerics = [](const Problem&) { return Numerics{}; },
                    .unsupported = [](const Problem& p) -> std::string {
                      return p.has("P") && p.has("U") ? "" : "both are read";
                    },
                    .prepare = [](const Problem& p, const Buffers& buffers) -> Launch {
                      const Arguments a = {input(buffers, "P"), input(buffers, "U"),
                                           output(buffers, "R"), p.dim("T") * p.dim("D")};
                      return [a](Stream stream) {
                        launch(add<Rule>, {.blocks = 1, .threads = 256, .stream = stream}, a);
                      };
                    }});
}

ASSAY_WRONG(sum_correct, Correct, .bug = "", .caught_by = {});

struct SumOmitsAdded : Correct {
  ASSAY_DEVICE static float sum(float x, float, DType) { return x; }
};
ASSAY_WRONG(sum_omits_added, SumOmitsAdded, .bug = "U is not added", .caught_by = {"exact"});

struct SumSubtracts : Correct {
  ASSAY_DEVICE static float sum(float x, float y, DType) { return x - y; }
};
ASSAY_WRONG(sum_subtracts, SumSubtracts, .bug = "U is subtracted", .caught_by = {"exact"});

struct SumDropsLast : Correct {
  ASSAY_DEVICE static std::int64_t end(const Arguments& a) { return a.elements - 1; }
};
ASSAY_WRONG(sum_drops_last, SumDropsLast, .bug = "the last element is not written",
            .caught_by = {"exact"});

// Right where U has no more bits than R: a sum in fp32 is then as good as the sum itself.
ASSAY_WRONG(sum_rounds_twice, Correct,
            .bug = "the sum is rounded to fp32 before it is rounded to R", .caught_by = {"exact"},
            .problem = "residual_add dtype=bf16 p=1 u=f32 T=5 D=72");

struct SumTruncates : Correct {
  ASSAY_DEVICE static float sum(float x, float y, DType) {
    return as_float(as_bits(x + y) & 0xffff0000u);
  }
};
ASSAY_WRONG(sum_truncates, SumTruncates, .bug = "the sum is cut off, not rounded",
            .caught_by = {"exact"}, .problem = "residual_add dtype=bf16 p=1 u=1 T=5 D=72");

}  // namespace assay::ASSAY_TWIN::liars_residual_add
