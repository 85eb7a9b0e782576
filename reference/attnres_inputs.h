// What the inputs of the attention-residual ops are made of: weights, and rows that make wrong
// kernels visible, whichever tensor they are in.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "harness/core/op.h"
#include "harness/core/random.h"

namespace assay::attnres_inputs {

// Streams of random numbers, one for each purpose; SpreadScale takes two from 2 · kScale on.
inline constexpr std::uint64_t kV = 0, kW = 1, kG = 2, kScale = 3, kTarget = 8, kPlace = 9;

float root(double x);
float root_dim(const Problem& problem);  // √D

// With unit rows a logit is N(0, |c|²). |w| = 2 makes the largest of nine weights 0.54 in the
// median and between 0.29 and 0.90 nine times out of ten (measured at D = 256).
void gaussian_weights(const Problem& problem, std::uint64_t seed, const Tensors& inputs,
                      float length = 2);

// Of rows whose mean square is eps times 2^-4 … 2^4.
class TinyScale {
 public:
  TinyScale(std::uint64_t seed, double eps) : centre_(root(eps)), sequence_{seed, kScale} {}
  float operator()(std::int64_t row) const;

 private:
  float centre_;
  RandomSequence sequence_;
};
// Why rows of that dtype can't be like that.
std::string tiny_inapplicable(double eps, DType dtype);

// The spike in the i-th row holds four fifths of its squares, and w is nowhere near 0: a column
// that is missing in either sum shows.
void set_spike(float* row, std::int64_t dim, std::int64_t i);
void spike_weights(const Problem& problem, std::uint64_t seed, const Tensors& inputs);

// Unit gaussians become values near the top or the bottom of a dtype, as far as Σ v² in fp32
// allows: f16: 65504 and multiples of 2^-24 below 2^-14; others 2^±edge.
inline constexpr int kEdge = 60;
void move_to_edge(float* row, std::int64_t dim, DType dtype, bool to_top, int edge = kEdge);

// Logits up to `reach` in size. The logits of other queries than the first differ from its by about
// `noise`; their c is that of the first times a power of two where they are `scaled`.
struct Steered {
  double reach = 0;
  float noise = 0;
  bool scaled = false;
};

// Weights of which those of all queries share a direction, and rows turned towards it so that their
// logits are what is wanted.
class Steering {
 public:
  // Fills w and g, (queries, D).
  Steering(std::int64_t queries, const Problem& problem, std::uint64_t seed, const Tensors& inputs,
           const Steered& how);

  // Makes a row of unit variance one whose logit for the first query is `logit`. What is
  // orthogonal to c stays; with b along c, l = √D |c| b / √(|x|² + b² + D eps).
  void turn(float* row, double logit) const;

 private:
  std::int64_t dim_;
  double eps_;
  std::vector<float> direction_;  // c of the first query
  double square_;
};
std::string steered_inapplicable(const Problem& problem);

}  // namespace assay::attnres_inputs
