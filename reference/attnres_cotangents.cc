// Compiled with -ffp-contract=off like families.cc: the same bits on every machine.
#include "reference/attnres_cotangents.h"

#include <algorithm>
#include <cmath>
#include <string>
#include <utility>

#include "reference/attnres_inputs.h"
#include "reference/families.h"

namespace assay::attnres_inputs {
namespace {

constexpr float kDLseSize = 4;

RandomSequence of_output(const Cotangents& c, std::uint64_t seed) { return {seed, c.first_stream}; }
RandomSequence of_lse(const Cotangents& c, std::uint64_t seed) {
  return {seed, c.first_stream + 1};
}

void fill_given(const Cotangents& c, std::uint64_t seed, const Tensors& inputs) {
  if (const TensorView* given = inputs.find(c.given))
    fill_gaussian(*given, {seed, c.first_stream + 2}, 1);
}

// About as small as the values are large, give or take 6 octaves, and never so large that their
// gradient leaves f16.
void fill_spread_cotangents(const Cotangents& c, const Problem& problem, std::uint64_t seed,
                            const Tensors& inputs) {
  const std::int64_t tokens = problem.dim("T");
  const TensorView& values = inputs[c.values];
  const DType dtype = values.spec.dtype;
  const SpreadScale scale({seed, kScale}, dtype, problem.real("eps"));
  const int most = dtype == DType::f32 ? 36 : 6;
  const std::int64_t rows = c.tensors * (values.spec.elements() / problem.dim("D"));
  fill_rows(inputs[c.output], of_output(c, seed), [&](std::int64_t row) {
    // A row beyond those of the values has an offset of its own from the centre of its token.
    const float of_values = scale(row % tokens, rows + row);
    return std::ldexp(1.0f, std::clamp(-std::ilogb(of_values), -most, most));
  });
  if (const TensorView* d_lse = inputs.find("dLSE"))
    fill_gaussian(*d_lse, of_lse(c, seed), kDLseSize);
  fill_given(c, seed, inputs);
}

// The first and the last token; for tiles of 16 to 256 tokens the begin of the last tile and of a
// random one, with the tokens beside them; three random ones.
std::vector<bool> sparse_tokens(std::int64_t tokens, RandomSequence places) {
  const auto below = [&](std::int64_t index, std::int64_t end) {
    return static_cast<std::int64_t>(random_word(places, index)) % end;
  };
  std::vector<bool> chosen(static_cast<std::size_t>(tokens));
  const auto choose = [&](std::int64_t t) {
    if (t >= 0 && t < tokens) chosen[static_cast<std::size_t>(t)] = true;
  };
  choose(0);
  choose(tokens - 1);
  for (std::int64_t i = 0; i < 3; ++i) choose(below(i, tokens));
  for (std::int64_t tile = 16; tile <= 256; tile *= 2) {
    const std::int64_t tiles = (tokens + tile - 1) / tile;
    for (const std::int64_t begin : {(tiles - 1) * tile, below(tile, tiles) * tile})
      for (const std::int64_t t : {begin - 1, begin, begin + 1}) choose(t);
  }
  return chosen;
}

void fill_sparse_cotangents(const Cotangents& c, const Problem& problem, std::uint64_t seed,
                            const Tensors& inputs) {
  const std::int64_t tokens = problem.dim("T"), dim = problem.dim("D");
  const std::vector<bool> chosen = sparse_tokens(tokens, {seed, c.first_stream + 3});
  fill_edited(inputs[c.output], of_output(c, seed), [&](std::int64_t row, float* values) {
    if (!chosen[static_cast<std::size_t>(row % tokens)]) std::fill_n(values, dim, 0.0f);
  });
  if (const TensorView* d_lse = inputs.find("dLSE")) {
    fill_edited(*d_lse, of_lse(c, seed), [&](std::int64_t, float* values) {
      for (std::int64_t t = 0; t < tokens; ++t)
        values[t] *= chosen[static_cast<std::size_t>(t)] ? kDLseSize : 0;
    });
  }
  fill_given(c, seed, inputs);
}

// A forward family with cotangents.
template <class Fill>
Family with(const Family& family, const Fill& cotangents) {
  Family result = family;
  result.fill = [values = family.fill, cotangents](const Problem& problem, std::uint64_t seed,
                                                   const Tensors& inputs) {
    values(problem, seed, inputs);
    cotangents(problem, seed, inputs);
  };
  result.random_signs = true;
  return result;
}

}  // namespace

void fill_cotangents(const Cotangents& cotangents, std::uint64_t seed, const Tensors& inputs,
                     float deviation) {
  fill_gaussian(inputs[cotangents.output], of_output(cotangents, seed), deviation);
  if (const TensorView* d_lse = inputs.find("dLSE"))
    fill_gaussian(*d_lse, of_lse(cotangents, seed), kDLseSize * deviation);
  fill_given(cotangents, seed, inputs);
}

std::vector<Family> with_cotangents(std::vector<Family> forward, const Cotangents& cotangents) {
  std::vector<Family> all;
  all.reserve(forward.size() + 1);
  for (const Family& family : forward) {
    const bool spread = family.name == kSpread, edge = family.name == "dtype_edge";
    all.push_back(with(family, [=](const Problem& p, std::uint64_t seed, const Tensors& inputs) {
      if (spread) return fill_spread_cotangents(cotangents, p, seed, inputs);
      // Values of f16 up to 65504 beside others of 2^-24: their gradient would overflow wherever
      // the two meet.
      const bool narrow = edge && inputs[cotangents.values].spec.dtype == DType::f16;
      fill_cotangents(cotangents, seed, inputs, narrow ? 0x1p-9f : 1.0f);
    }));
  }
  Family sparse =
      with(forward.front(), [=](const Problem& p, std::uint64_t seed, const Tensors& inputs) {
        fill_sparse_cotangents(cotangents, p, seed, inputs);
      });
  sparse.name = "sparse";
  sparse.meaning = std::string(cotangents.output) +
                   " and dLSE of a few tokens: the ends, tile edges, random ones; each must count";
  sparse.random_signs = false;
  all.push_back(std::move(sparse));
  return all;
}

}  // namespace assay::attnres_inputs
