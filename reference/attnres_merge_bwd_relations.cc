// How the outputs of attnres_merge_bwd change when its inputs change in ways that need no further
// reference.
#include <cmath>
#include <cstring>

#include "reference/attnres_merge_bwd_contract.h"
#include "reference/relations.h"

namespace assay::attnres_merge_bwd_contract {
namespace {

// expected: dP, dO1, dL1, dw, dg.
constexpr std::size_t kDP = 0, kDO1 = 1, kDL1 = 2, kDW = 3;

// The bounds of dw and dg depend on no order.
Relation reverse_tokens() {
  return {.name = "reverse_tokens",
          .meaning = "reversing the tokens reverses dP, dO1 and dL1, and leaves dw and dg",
          .applies = [](const Problem& p) { return p.dim("T") > 1; },
          .inputs =
              [](const Problem& p, const Tensors& original, const Tensors& derived) {
                const Size size(p);
                copy_all(original, derived);
                for (const char* name : {"P", "O1", "dH", "dP", "L1", "dLSE"}) {
                  if (!original.find(name)) continue;
                  gather_rows(original[name], derived[name],
                              original[name].spec.elements() / size.tokens,
                              [&](std::int64_t t) { return size.tokens - 1 - t; });
                }
              },
          .expected =
              [](const Problem& p, std::vector<Expected>& expected) {
                const Size size(p);
                for (const std::size_t output : {kDP, kDO1, kDL1})
                  reverse_rows(expected[output], 1, size.tokens,
                               expected[output].size / size.tokens);
              }};
}

Relation scale_cotangents() {
  constexpr double kScale = -32;
  return {.name = "scale_cotangents",
          .meaning = "dH and dLSE (and the given dP) times -32 scale all outputs by that",
          .inputs =
              [](const Problem&, const Tensors& original, const Tensors& derived) {
                copy_all(original, derived);
                for (const char* name : {"dH", "dLSE", "dP"})
                  multiply_if_there(original, derived, name, kScale);
              },
          .expected =
              [](const Problem&, std::vector<Expected>& expected) {
                for (Expected& output : expected) scale(output, kScale, -kScale);
              }};
}

// dl grows with P and O1, r shrinks.
Relation scale_values() {
  constexpr double kScale = 64;
  return {
      .name = "scale_values",
      .meaning = "P, O1 and dLSE 2^6 and eps 4^6 leave dP and dO1 and scale dL1, dw and dg by 2^6",
      .applies =
          [](const Problem& p) {
            // |P| < 32 √eps in the family below.
            const double largest = 32 * kScale * std::sqrt(p.real("eps"));
            for (const char* tensor : {"P", "O1"})
              if (p.dtype_of(tensor) == DType::f16 && largest > 65504) return false;
            for (const char* tensor : {"dLSE", "dL1", "dw", "dg"})
              if (p.dtype_of(tensor) == DType::f16) return false;
            return largest > 0 && largest < 0x1p30;
          },
      .families = {"tiny"},
      .problem =
          [](const Problem& p) { return with_option(p, "eps", p.real("eps") * kScale * kScale); },
      .inputs =
          [](const Problem&, const Tensors& original, const Tensors& derived) {
            copy_all(original, derived);
            for (const char* name : {"P", "O1", "dLSE"})
              multiply_if_there(original, derived, name, kScale);
          },
      .expected =
          [](const Problem&, std::vector<Expected>& expected) {
            for (std::size_t i = kDL1; i < expected.size(); ++i) scale(expected[i], kScale, kScale);
          }};
}

Relation flip_sign() {
  return {
      .name = "flip_sign",
      .meaning = "P, w, O1 and dH (and the given dP) of the other sign negate dP, dO1 and dw alone",
      .inputs =
          [](const Problem&, const Tensors& original, const Tensors& derived) {
            copy_all(original, derived);
            for (const char* name : {"P", "w", "O1", "dH", "dP"})
              multiply_if_there(original, derived, name, -1);
          },
      .expected =
          [](const Problem&, std::vector<Expected>& expected) {
            for (const std::size_t output : {kDP, kDO1, kDW}) scale(expected[output], -1, 1);
          }};
}

Relation add_to_zeros() {
  return {.name = "add_to_zeros",
          .meaning = "what is added to a dP of zeros is what would be written",
          .applies = [](const Problem& p) { return !p.flag("accumulate"); },
          .problem = [](const Problem& p) { return with_option(p, "accumulate", true); },
          .inputs =
              [](const Problem&, const Tensors& original, const Tensors& derived) {
                copy_all(original, derived);
                std::memset(derived["dP"].data, 0,
                            static_cast<std::size_t>(derived["dP"].spec.bytes()));
              }};
}

}  // namespace

std::vector<Relation> relations() {
  return {reverse_tokens(), scale_cotangents(), scale_values(), flip_sign(), add_to_zeros()};
}

}  // namespace assay::attnres_merge_bwd_contract
