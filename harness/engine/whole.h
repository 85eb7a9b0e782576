// Judges outputs of a whole network that somebody else computed. A composite has no bounds as a
// whole, and nothing is known of others' steps. So it is judged on a problem so small that
// roundings do not hide a wrong schedule, by norms of the error: of each row of an output (a token,
// a layer) and of all of it, against what a schedule of ours leaves there, replayed with fp32
// inside and stored in the dtypes of the problem (Replay).
//
// They may be off by 8 times as much as the replay, and by 1e-4 of what is wanted in any case.
// Measured on g=1 y=1 T=4 D=64, L=5 S=3 and L=32 S=8, in f32, bf16 and f16, families gaussian and
// grown. Right programs: PyTorch's autograd through one softmax a layer, compiled or not, and Liger
// 0.4 of the limit at most; flash-attn-res, which takes running sums in bf16 apart again
// (whole.cc), 0.9, and with 16 layers in a block beyond any limit: its dX is off by 30 % there.
// Wrong ones: Y of a layer left out, S one more or less, an output without the last block, no eps,
// dw of a layer zero, each at 1.8 times the limit or more; weights of neighbours exchanged as well,
// but for some of the last layers of 32 in bf16 (0.3, backward 0.6: that changes O by 2 %). On
// gaussian inputs alone what the last layers of 32 add is below roundings to 16 bits.
#pragma once

#include <map>
#include <string>
#include <vector>

#include "harness/core/op.h"
#include "harness/core/record.h"
#include "harness/core/variant.h"
#include "harness/engine/judge.h"

namespace assay {

// The problem on which programs for `problem`, one of a composite, are judged: the same layers and
// options, few tokens, short rows, and all that is optional. It is judged as itself.
Problem judged_as(const Problem& problem);

class WholeJudge {
 public:
  // Throws UsageError where the problem is not judged as itself, naming the one that is, or where
  // no variant of ours lists the steps.
  explicit WholeJudge(const Problem& problem);

  // A check `schedule` for each of the outputs, computed from the inputs of that family and seed.
  // NaN must meet NaN.
  std::vector<Check> judge(Subject subject, const Tensors& inputs,
                           const std::vector<TensorView>& outputs);

  // A check `power` with status mistrusted for each output of which no family would have rejected
  // zeros in every row.
  std::vector<Check> judge_power() const;

 private:
  const Op& op_;
  const Problem& problem_;
  const Variant& schedule_;
  std::map<std::string, double> zero_accepted_;  // by output: the least share over the families
};

}  // namespace assay
