// Wrong composites: the steps of the correct ones, changed. Their kernels are right; what is wrong
// is what they are given, or what is launched in their place.
#include <algorithm>
#include <functional>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

#include "harness/core/composite.h"
#include "harness/core/registry.h"
#include "kernels/liars/liar.h"

namespace assay::ASSAY_TWIN::liars_block_attnres {

using namespace liar_making;

using Change = std::function<void(const Problem&, StepList&)>;

StepList correct_steps(const std::string& op, const Problem& problem) {
  return find_variant(op, "fused", kTwinBackend)->steps(problem);
}

Binding& bound(Step& step, const std::string& tensor) {
  for (Binding& binding : step.tensors)
    if (binding.tensor == tensor) return binding;
  throw std::logic_error(str(step) + " has no " + tensor);
}

// The steps of that op, in order.
std::vector<Step*> steps_of(StepList& list, const std::string& op) {
  std::vector<Step*> found;
  for (Step& step : list.steps)
    if (step.problem.op == op) found.push_back(&step);
  return found;
}

Liar change(const char* name, const std::string& op, std::string bug, const Change& how,
            std::vector<std::string> caught_by = {"schedule"}) {
  Liar liar;
  liar.bug = bug;
  liar.caught_by = std::move(caught_by);
  liar.problem = op + " g=1 y=1 L=5 S=3 T=5 D=72";
  liar.variant.op = op;
  liar.variant.name = name;
  liar.variant.summary = std::move(bug);
  liar.variant.backend = kTwinBackend;
  liar.variant.arch = {.min = 80};
  liar.variant.steps = [op, how](const Problem& problem) {
    StepList list = correct_steps(op, problem);
    how(problem, list);
    return list;
  };
  return liar;
}

const char* const kForward = "block_attnres_fwd";
const char* const kBackward = "block_attnres_bwd";

ASSAY_LIAR(block_correct)(change("block_correct", kForward, "", [](const Problem&, StepList&) {},
                                 {}));

ASSAY_LIAR(block_weights_of_next_layer)
(change("block_weights_of_next_layer", kForward,
        "phase 2 scores with the weights of the next layer", [](const Problem& p, StepList& list) {
          bound(*steps_of(list, "attnres_merge_fwd").front(), "w").first += p.dim("D");
        }));

ASSAY_LIAR(block_norm_of_first_layer)
(change("block_norm_of_first_layer", kForward, "a layer of phase 2 takes the g of the first layer",
        [](const Problem&, StepList& list) {
          bound(*steps_of(list, "attnres_merge_fwd").back(), "g").first = 0;
        }));

ASSAY_LIAR(block_merges_other_query)
(change("block_merges_other_query", kForward,
        "a layer merges what phase 1 mixed for the one before",
        [](const Problem& p, StepList& list) {
          bound(*steps_of(list, "attnres_merge_fwd").back(), "O1").first -= p.dim("T") * p.dim("D");
        }));

ASSAY_LIAR(block_takes_other_lse)
(change("block_takes_other_lse", kForward, "a layer is weighed by the LSE of the one before",
        [](const Problem& p, StepList& list) {
          bound(*steps_of(list, "attnres_merge_fwd").front(), "L1").first -= p.dim("T");
        }));

// The last sum of a block, written into V, takes the running sum for the output of the last layer.
ASSAY_LIAR(block_sum_without_last_layer)
(change("block_sum_without_last_layer", kForward,
        "the sum of a block lacks its last layer's output", [](const Problem&, StepList& list) {
          for (Step* step : steps_of(list, "residual_add"))
            if (bound(*step, "R").buffer == "V" && step->problem.has("U"))
              bound(*step, "U").buffer = "H0";
        }));

ASSAY_LIAR(block_output_without_last_sum)
(change("block_output_without_last_sum", kForward, "the output mixes all blocks but the last",
        [](const Problem&, StepList& list) {
          Problem& last = list.steps.back().problem;
          set_dim(last, "N", last.dim("N") - 1);
        }));

ASSAY_LIAR(block_first_sum_forgotten)
(change("block_first_sum_forgotten", kForward,
        "a layer is merged with the sum before it was updated", [](const Problem&, StepList& list) {
          Step& merge = *steps_of(list, "attnres_merge_fwd").at(1);
          set_tensor(*find_op("attnres_merge_fwd"), merge.problem, "U", false);
        }));

// Read by no earlier step: the steps find what the whole leaves in another order.
ASSAY_LIAR(block_layer_too_late)
(change("block_layer_too_late", kForward, "what a layer adds is added after it was read",
        [](const Problem&, StepList& list) {
          const auto reads = std::find_if(list.steps.begin(), list.steps.end(), [](Step& step) {
            return step.problem.op == "attnres_merge_fwd" && step.problem.has("U");
          });
          std::iter_swap(reads, reads - 1);
        }));

ASSAY_LIAR(block_bwd_single_path)
(change("block_bwd_single_path", kBackward,
        "the gradient of a running sum lacks what came past the merge",
        [](const Problem&, StepList& list) {
          for (Step* step : steps_of(list, "attnres_merge_bwd"))
            set_option(*find_op("attnres_merge_bwd"), step->problem, "accumulate", false);
        }));

ASSAY_LIAR(block_bwd_overwrites)
(change("block_bwd_overwrites", kBackward, "phase 1 of a block overwrites the gradients of V",
        [](const Problem&, StepList& list) {
          Step& last = *steps_of(list, "attnres_bwd").back();
          set_option(*find_op("attnres_bwd"), last.problem, "accumulate", false);
        }));

ASSAY_LIAR(block_bwd_phase_1_alone)
(change("block_bwd_phase_1_alone", kBackward, "dw lacks what phase 2 adds to it",
        [](const Problem&, StepList& list) {
          for (Step* step : steps_of(list, "residual_add"))
            if (step->problem.has("U") && bound(*step, "U").buffer == "dw_2")
              set_tensor(*find_op("residual_add"), step->problem, "U", false);
        }));

ASSAY_LIAR(block_bwd_without_lse)
(change("block_bwd_without_lse", kBackward, "phase 1 is not told the gradients of its LSE",
        [](const Problem&, StepList& list) {
          for (Step* step : steps_of(list, "attnres_bwd"))
            set_tensor(*find_op("attnres_bwd"), step->problem, "dLSE", false);
        }));

// In exact arithmetic all is read before anything is written; a kernel reads a row after the one
// before it was written.
ASSAY_LIAR(block_output_over_input)
(change(
    "block_output_over_input", kForward, "a sum lies where half of what it is made of is read",
    [](const Problem& p, StepList& list) {
      Intermediate both = {"Both", p.dtype, 2 * p.dim("T") * p.dim("D")};
      list.intermediates.push_back(both);
      // V_0, copied to two places that overlap.
      const Problem copy = list.steps.front().problem;
      const Step spread = {copy, "naive", {{"P", "X"}, {"R", "Both"}}};
      const Step shift = {copy, "naive", {{"P", "Both"}, {"R", "Both", 1}}};
      const Step back = {copy, "naive", {{"P", "Both", 1}, {"R", "V"}}};
      list.steps.erase(list.steps.begin());
      list.steps.insert(list.steps.begin(), {spread, shift, back});
    },
    caught_on({.cuda = {"step"}, .plain = {"step"}, .race = {"race"}, .address = {"step"}})));

// The steps are right; what is launched as a whole are others.
Liar launch_of_others() {
  Liar liar = change("block_launches_others", kForward, "the whole is not what its steps are",
                     [](const Problem&, StepList&) {}, {"whole"});
  liar.variant.prepare = [](const Problem& problem, const Buffers& buffers) -> Launch {
    Variant other;
    other.op = kForward;
    other.backend = kTwinBackend;
    other.steps = [](const Problem& p) {
      StepList list = correct_steps(kForward, p);
      bound(*steps_of(list, "attnres_merge_fwd").back(), "w").first = 0;
      return list;
    };
    complete_composite(other);
    return other.prepare(problem, buffers);
  };
  return liar;
}
ASSAY_LIAR(block_launches_others)(launch_of_others());

}  // namespace assay::ASSAY_TWIN::liars_block_attnres
