// How the outputs of attnres_bwd change when its inputs change in ways that need no further
// reference.
#include <algorithm>
#include <cmath>
#include <cstring>

#include "reference/attnres_bwd_contract.h"
#include "reference/relations.h"

namespace assay::attnres_bwd_contract {
namespace {

Expected gather(const Expected& from, std::int64_t size, std::int64_t width, const auto& source) {
  Expected result(from.output, size);
  for (std::int64_t i = 0; i < size; ++i) {
    const auto at = static_cast<std::size_t>(source(i / width) * width + i % width);
    result.value[static_cast<std::size_t>(i)] = from.value[at];
    result.bound[static_cast<std::size_t>(i)] = from.bound[at];
  }
  return result;
}

Problem with_dim(const Problem& problem, const char* name, std::int64_t size) {
  Problem derived = problem;
  for (Problem::Dim& dim : derived.dims)
    if (dim.name == name) dim.size = size;
  return derived;
}

Relation permute_sources() {
  const auto source = [](const Size& size) {
    return [size](std::int64_t row) {
      const std::int64_t n = row / size.tokens;
      return (n + (size.sources + 1) / 2) % size.sources * size.tokens + row % size.tokens;
    };
  };
  return {.name = "permute_sources",
          .meaning = "rotating the sources rotates dV and leaves dw and dg",
          .applies = [](const Problem& p) { return p.dim("N") > 1; },
          .inputs =
              [=](const Problem& p, const Tensors& original, const Tensors& derived) {
                const Size size(p);
                copy_all(original, derived);
                for (const char* name : {"V", "dV"})
                  if (original.find(name))
                    gather_rows(original[name], derived[name], size.dim, source(size));
              },
          .expected =
              [=](const Problem& p, std::vector<Expected>& expected) {
                const Size size(p);
                expected[0] = gather(expected[0], expected[0].size, size.dim, source(size));
              }};
}

// The bounds of dw and dg depend on no order.
Relation reverse_tokens() {
  return {.name = "reverse_tokens",
          .meaning = "reversing the tokens reverses dV and leaves dw and dg",
          .applies = [](const Problem& p) { return p.dim("T") > 1; },
          .inputs =
              [](const Problem& p, const Tensors& original, const Tensors& derived) {
                const Size size(p);
                copy_all(original, derived);
                const auto mirrored = [&](std::int64_t row) {
                  return row / size.tokens * size.tokens + size.tokens - 1 - row % size.tokens;
                };
                for (const char* name : {"V", "dO", "dV", "dLSE"})
                  if (original.find(name))
                    gather_rows(original[name], derived[name],
                                std::strcmp(name, "dLSE") == 0 ? 1 : size.dim, mirrored);
              },
          .expected =
              [](const Problem& p, std::vector<Expected>& expected) {
                const Size size(p);
                reverse_rows(expected[0], size.sources, size.tokens, size.dim);
              }};
}

Relation scale_cotangents() {
  constexpr double kScale = -32;
  return {.name = "scale_cotangents",
          .meaning = "dO and dLSE (and the given dV) times -32 scale all outputs by that",
          .inputs =
              [](const Problem&, const Tensors& original, const Tensors& derived) {
                copy_all(original, derived);
                for (const char* name : {"dO", "dLSE", "dV"})
                  multiply_if_there(original, derived, name, kScale);
              },
          .expected =
              [](const Problem&, std::vector<Expected>& expected) {
                for (Expected& output : expected) scale(output, kScale, -kScale);
              }};
}

// ds grows with V, r shrinks.
Relation scale_values() {
  constexpr double kScale = 64;
  return {
      .name = "scale_values",
      .meaning = "V 2^6, dLSE 2^6 and eps 4^6 leave dV and scale dw and dg by 2^6",
      .applies =
          [](const Problem& p) {
            // |v| < 32 √eps in the family below.
            const double largest = 32 * kScale * std::sqrt(p.real("eps"));
            if (p.dtype_of("V") == DType::f16 && largest > 65504) return false;
            for (const char* output : {"dw", "dg"})
              if (p.dtype_of(output) == DType::f16) return false;
            return largest > 0 && largest < 0x1p30;
          },
      .families = {"tiny"},
      .problem =
          [](const Problem& p) { return with_option(p, "eps", p.real("eps") * kScale * kScale); },
      .inputs =
          [](const Problem&, const Tensors& original, const Tensors& derived) {
            copy_all(original, derived);
            for (const char* name : {"V", "dLSE"})
              multiply_if_there(original, derived, name, kScale);
          },
      .expected =
          [](const Problem&, std::vector<Expected>& expected) {
            for (std::size_t i = 1; i < expected.size(); ++i) scale(expected[i], kScale, kScale);
          }};
}

Relation flip_sign() {
  return {.name = "flip_sign",
          .meaning = "V, w and dO (and the given dV) of the other sign negate dV and dw",
          .inputs =
              [](const Problem&, const Tensors& original, const Tensors& derived) {
                copy_all(original, derived);
                for (const char* name : {"V", "w", "dO", "dV"})
                  multiply_if_there(original, derived, name, -1);
              },
          .expected =
              [](const Problem&, std::vector<Expected>& expected) {
                for (std::size_t i = 0; i < 2; ++i) scale(expected[i], -1, 1);
              }};
}

// Twice the queries, and a chain of n' = 6Q + 8 <= 2n roundings: four times the bound of dV.
Relation duplicate_queries() {
  return {
      .name = "duplicate_queries",
      .meaning = "every query twice (and the given dV doubled): twice dV, each dw and dg twice",
      .problem = [](const Problem& p) { return with_dim(p, "Q", 2 * p.dim("Q")); },
      .inputs =
          [](const Problem& p, const Tensors& original, const Tensors& derived) {
            const Size size(p);
            const auto again = [](std::int64_t rows) {
              return [rows](std::int64_t i) { return i % rows; };
            };
            for (const char* name : {"w", "g"})
              if (original.find(name))
                gather_rows(original[name], derived[name], size.dim, again(size.queries));
            gather_rows(original["dO"], derived["dO"], size.dim, again(size.queries * size.tokens));
            if (original.find("dLSE"))
              gather_rows(original["dLSE"], derived["dLSE"], 1, again(size.queries * size.tokens));
            copy(original, derived, "V");
            multiply_if_there(original, derived, "dV", 2);
          },
      .expected =
          [](const Problem& p, std::vector<Expected>& expected) {
            const Size size(p);
            scale(expected[0], 2, 4);
            for (std::size_t i = 1; i < expected.size(); ++i)
              expected[i] = gather(expected[i], 2 * expected[i].size, size.dim,
                                   [&](std::int64_t row) { return row % size.queries; });
          }};
}

Relation add_to_zeros() {
  return {.name = "add_to_zeros",
          .meaning = "what is added to a dV of zeros is what would be written",
          .applies = [](const Problem& p) { return !p.flag("accumulate"); },
          .problem = [](const Problem& p) { return with_option(p, "accumulate", true); },
          .inputs =
              [](const Problem&, const Tensors& original, const Tensors& derived) {
                copy_all(original, derived);
                std::memset(derived["dV"].data, 0,
                            static_cast<std::size_t>(derived["dV"].spec.bytes()));
              }};
}

}  // namespace

std::vector<Relation> relations() {
  return {permute_sources(), reverse_tokens(),    scale_cotangents(), scale_values(),
          flip_sign(),       duplicate_queries(), add_to_zeros()};
}

}  // namespace assay::attnres_bwd_contract
