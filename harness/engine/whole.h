// Judges outputs of a whole network that somebody else computed. A composite has no bounds as a
// whole, and nothing is known of others' steps. So it is judged on a problem so small that
// roundings do not hide a wrong schedule, by the norm of the error of each row of an output,
// against what a right schedule leaves there that rounds nothing but what it stores, in the dtypes
// of the problem (Replay).
//
// A row may be off by the larger of 1e-4 and 8 times the replay's share, that of the row or of the
// output, whichever is larger. Measured with g and Y, T=4, D=64, of L=5 S=3 and L=32 S=8, in f32,
// bf16 and f16: PyTorch's autograd through one softmax a layer takes up to 0.3 of the limit, with
// the bf16 gradients and running sums of flash-attn-res up to 0.5. Of the mistakes tried (Y of one
// layer left out; weights of neighbours exchanged; S one more or less; an output without the last
// block; no eps; dw of one layer zero) the family `grown` shows each in each dtype, 1.6 times the
// limit at the least, but for one: in the bf16 forward of 32 layers neighbours among the last may
// be exchanged, which changes O by 2 %; backward it takes 1.6 of the limit. On gaussian inputs the
// additions of the last layers are below roundings to 16 bits.
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
  // zeros in all of its rows.
  std::vector<Check> judge_power() const;

 private:
  const Op& op_;
  const Problem& problem_;
  const Variant& schedule_;
  std::map<std::string, double> zero_accepted_;  // by output: the least share over the families
};

}  // namespace assay
