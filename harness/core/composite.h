// Composites: variants that launch nothing themselves but list steps, each a variant of another op
// on parts of the composite's tensors and of intermediates between them. What else a Variant has
// (numerics, workspace, unsupported, prepare) follows from the list.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "harness/core/problem.h"
#include "harness/core/tensor.h"
#include "harness/core/variant.h"

namespace assay {

// Which variant a step runs, and on what: all that its launch needs.
struct PlacedStep {
  const Step* step;
  const Variant* variant;
  Buffers buffers;
};

struct PlacedSteps {
  StepList list;
  std::vector<TensorView> intermediates;  // as vectors
  std::vector<PlacedStep> steps;          // point into the list
};

// The steps of a composite on its buffers; views into the tensors and the workspace. Throws
// std::logic_error where a step names what is not there: a mistake in the variant.
std::unique_ptr<const PlacedSteps> place(const Variant& composite, const Problem& problem,
                                         const Buffers& buffers);

// Fills in what a composite does not say itself.
void complete_composite(Variant& composite);

// "attnres_fwd/fused@cuda": as the text of a step in messages, with its problem.
std::string str(const Step& step);

}  // namespace assay
