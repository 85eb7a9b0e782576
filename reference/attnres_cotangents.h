// Inputs of a backward op: the families of its forward, with gradients of the forward's outputs.
#pragma once

#include <cstdint>
#include <vector>

#include "harness/core/op.h"

namespace assay::attnres_inputs {

// Where a backward op has them.
struct Cotangents {
  const char* values;    // what the forward mixes: V
  std::int64_t tensors;  // of such rows: 1, or 2 where there is one beside `values`
  const char* output;    // gradient of the mix: dO; that of LSE is always dLSE
  const char* given;     // gradient that may be added to: dV
  // Of random numbers, four from here on: for output, dLSE, given, and which tokens are chosen.
  std::uint64_t first_stream;
};

// Those of the forward with gaussian cotangents, as small as the values are large in `spread`; and
// the first of them with cotangents of a few tokens (sparse). All but the last have random signs.
std::vector<Family> with_cotangents(std::vector<Family> forward, const Cotangents& cotangents);

// Gaussian: of the output with that deviation, of LSE four times as large: with unit rows a - δ is
// N(0, √D), beside which dLSE should not vanish. And the given gradient, where one is added to.
void fill_cotangents(const Cotangents& cotangents, std::uint64_t seed, const Tensors& inputs,
                     float deviation = 1);

}  // namespace assay::attnres_inputs
