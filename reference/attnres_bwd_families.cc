// The inputs of attnres_bwd: those of attnres_fwd, with cotangents. Compiled with -ffp-contract=off
// like families.cc: the same bits on every machine.
#include <algorithm>
#include <cmath>
#include <utility>

#include "reference/attnres_bwd_contract.h"
#include "reference/attnres_inputs.h"
#include "reference/families.h"

namespace assay::attnres_bwd_contract {
namespace {

// The given dV, where one is added to.
void fill_given(std::uint64_t seed, const Tensors& inputs) {
  if (const TensorView* given = inputs.find("dV")) fill_gaussian(*given, {seed, kGiven}, 1);
}

// With unit rows a - δ is N(0, √D): dLSE should not vanish beside it.
constexpr float kDLseSize = 4;

void fill_cotangents(const Problem&, std::uint64_t seed, const Tensors& inputs, float scale = 1) {
  fill_gaussian(inputs["dO"], {seed, kDO}, scale);
  if (const TensorView* d_lse = inputs.find("dLSE"))
    fill_gaussian(*d_lse, {seed, kDLse}, kDLseSize * scale);
  fill_given(seed, inputs);
}

// dO about as small as V is large, give or take 6 octaves, and never so large that dV leaves f16.
void fill_spread_cotangents(const Problem& problem, std::uint64_t seed, const Tensors& inputs) {
  const Size size(problem);
  const DType dtype = inputs["V"].spec.dtype;
  const SpreadScale scale({seed, attnres_inputs::kScale}, dtype, problem.real("eps"));
  const int most = dtype == DType::f32 ? 36 : 6;
  fill_rows(inputs["dO"], {seed, kDO}, [&](std::int64_t row) {
    // A row beyond those of V has an offset of its own from the centre of its token.
    const float of_values = scale(row % size.tokens, size.sources * size.tokens + row);
    return std::ldexp(1.0f, std::clamp(-std::ilogb(of_values), -most, most));
  });
  if (const TensorView* d_lse = inputs.find("dLSE"))
    fill_gaussian(*d_lse, {seed, kDLse}, kDLseSize);
  fill_given(seed, inputs);
}

// Values of f16 up to 65504 beside others of 2^-24: dV would overflow wherever the two meet.
void fill_edge_cotangents(const Problem& problem, std::uint64_t seed, const Tensors& inputs) {
  fill_cotangents(problem, seed, inputs, inputs["V"].spec.dtype == DType::f16 ? 0x1p-9f : 1.0f);
}

// The first and the last token; for tiles of 16 to 256 tokens the begin of the last tile and of a
// random one, with the tokens beside them; three random ones.
std::vector<bool> sparse_tokens(std::int64_t tokens, std::uint64_t seed) {
  const RandomSequence places{seed, kDPlace};
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

void fill_sparse_cotangents(const Problem& problem, std::uint64_t seed, const Tensors& inputs) {
  const Size size(problem);
  const std::vector<bool> chosen = sparse_tokens(size.tokens, seed);
  fill_edited(inputs["dO"], {seed, kDO}, [&](std::int64_t row, float* values) {
    if (!chosen[static_cast<std::size_t>(row % size.tokens)]) std::fill_n(values, size.dim, 0.0f);
  });
  if (const TensorView* d_lse = inputs.find("dLSE")) {
    fill_edited(*d_lse, {seed, kDLse}, [&](std::int64_t, float* values) {
      for (std::int64_t t = 0; t < size.tokens; ++t)
        values[t] *= chosen[static_cast<std::size_t>(t)] ? kDLseSize : 0;
    });
  }
  fill_given(seed, inputs);
}

// A forward family with cotangents.
template <class Cotangents>
Family with(Family family, const Cotangents& cotangents) {
  family.fill = [values = std::move(family.fill), cotangents](
                    const Problem& problem, std::uint64_t seed, const Tensors& inputs) {
    values(problem, seed, inputs);
    cotangents(problem, seed, inputs);
  };
  family.random_signs = true;
  return family;
}

}  // namespace

std::vector<Family> families() {
  // One source that has all the weight leaves ds = α (a - δ) = 0 ± its rounding, of which dw says
  // nothing: 7e-3 is left for each of the others. Weights stay above the least numbers of dV's
  // dtype. The coefficient ds l r² / D of a small row beside a large one stays below 2^128.
  const attnres_contract::Extremes extremes{
      .step = 3, .range = 60, .narrow_range = 10, .dominance = 5, .edge = 30};
  std::vector<Family> all;
  for (Family& family : attnres_contract::common_families(extremes)) {
    if (family.name == kSpread)
      all.push_back(with(std::move(family), fill_spread_cotangents));
    else if (family.name == "dtype_edge")
      all.push_back(with(std::move(family), fill_edge_cotangents));
    else
      all.push_back(with(std::move(family), [](const Problem& p, std::uint64_t seed,
                                               const Tensors& t) { fill_cotangents(p, seed, t); }));
  }
  Family sparse = all.front();
  for (const Family& family : attnres_contract::common_families(extremes))
    if (family.name == kGaussian) sparse = with(family, fill_sparse_cotangents);
  sparse.name = "sparse";
  sparse.meaning =
      "dO and dLSE of a few tokens: the ends, tile edges, random ones; each must count";
  sparse.random_signs = false;
  all.push_back(std::move(sparse));
  all.push_back(exact_family());
  return all;
}

}  // namespace assay::attnres_bwd_contract
