// How the outputs of attnres_fwd change when its inputs change in ways that need no further
// reference.
#include <algorithm>
#include <cmath>
#include <cstring>
#include <numbers>

#include "reference/attnres_fwd_contract.h"
#include "reference/families.h"
#include "reference/relations.h"

namespace assay::attnres_contract {
namespace {

// Row (n, t) of the derived V is row source(n, t), counted through N·T, of the original.
template <class Source>
void gather(const Problem& problem, const Tensors& from, const Tensors& to, const Source& source) {
  copy(from, to, "w");
  copy(from, to, "g");
  const Size size(problem);
  const std::int64_t rows = to["V"].spec.elements() / size.dim;
  const auto bytes = static_cast<std::size_t>(size.dim) * size_of(to["V"].spec.dtype);
  const auto* in = from["V"].as<std::byte>();
  auto* out = to["V"].as<std::byte>();
  for (std::int64_t row = 0; row < rows; ++row) {
    const std::int64_t at = source(row / size.tokens, row % size.tokens);
    std::memcpy(out + static_cast<std::size_t>(row) * bytes,
                in + static_cast<std::size_t>(at) * bytes, bytes);
  }
}

Relation permute_sources() {
  return {.name = "permute_sources",
          .meaning = "rotating the sources changes nothing",
          .applies = [](const Problem& p) { return p.dim("N") > 1; },
          .inputs =
              [](const Problem& p, const Tensors& original, const Tensors& derived) {
                const Size size(p);
                gather(p, original, derived, [&](std::int64_t n, std::int64_t t) {
                  return (n + (size.sources + 1) / 2) % size.sources * size.tokens + t;
                });
              }};
}

// Upwards, since that is exact for subnormals as well. A kernel with an eps of its own is off by a
// factor of 4096 where eps decides.
constexpr int kOctaves = 6;
constexpr double kScale2 = 1 << kOctaves;

Relation scale_values() {
  return {
      .name = "scale_values",
      .meaning = "V 2^6 and eps 4^6 scale O by 2^6",
      .applies =
          [](const Problem& p) {
            // |v| < 32 √eps in the families below.
            const double largest = 32 * kScale2 * std::sqrt(p.real("eps"));
            for (const char* tensor : {"V", "O"})
              if (p.dtype_of(tensor) == DType::f16 && largest > 65504) return false;
            return largest > 0 && largest < 0x1p50;
          },
      .families = {"tiny"},
      .problem =
          [](const Problem& p) { return with_option(p, "eps", p.real("eps") * kScale2 * kScale2); },
      .inputs =
          [](const Problem&, const Tensors& original, const Tensors& derived) {
            copy(original, derived, "w");
            copy(original, derived, "g");
            multiply(original["V"], derived["V"], kScale2);
          },
      .expected = [](const Problem&,
                     std::vector<Expected>& expected) { scale(expected[0], kScale2, kScale2); }};
}

Relation reverse_tokens() {
  return {.name = "reverse_tokens",
          .meaning = "reversing the tokens reverses the outputs",
          .applies = [](const Problem& p) { return p.dim("T") > 1; },
          .inputs =
              [](const Problem& p, const Tensors& original, const Tensors& derived) {
                const std::int64_t tokens = p.dim("T");
                gather(p, original, derived,
                       [&](std::int64_t n, std::int64_t t) { return n * tokens + tokens - 1 - t; });
              },
          .expected =
              [](const Problem& p, std::vector<Expected>& expected) {
                const Size size(p);
                const std::int64_t widths[] = {size.dim, 1};
                for (std::size_t i = 0; i < 2; ++i)
                  reverse_rows(expected[i], size.queries, size.tokens, widths[i]);
              }};
}

// With N' = 2N, and up to R' = 2R + 1 rescales: E' = E + 4u(R + 1) <= 2E, the other terms with N or
// R at most double, and e^2E - 1 = (e^E - 1)(e^E + 1). Three times the bound covers e^E <= 1.4 with
// what Σ α e^-E loses.
Relation duplicate_sources() {
  return {.name = "duplicate_sources",
          .meaning = "every source twice: the same O, and log 2 more LSE",
          .problem =
              [](const Problem& p) {
                Problem derived = p;
                for (Problem::Dim& dim : derived.dims)
                  if (dim.name == "N") dim.size *= 2;
                return derived;
              },
          .inputs =
              [](const Problem& p, const Tensors& original, const Tensors& derived) {
                const Size size(p);
                gather(p, original, derived, [&](std::int64_t n, std::int64_t t) {
                  return n % size.sources * size.tokens + t;
                });
              },
          .expected =
              [](const Problem&, std::vector<Expected>& expected) {
                for (Expected& output : expected) scale(output, 1, 3);
                for (std::size_t i = 0; i < static_cast<std::size_t>(expected[1].size); ++i)
                  expected[1].value[i] += std::numbers::ln2;
              }};
}

Relation flip_sign() {
  return {.name = "flip_sign",
          .meaning = "V and w of the other sign negate O",
          .inputs =
              [](const Problem&, const Tensors& original, const Tensors& derived) {
                copy(original, derived, "g");
                for (const char* tensor : {"V", "w"})
                  multiply(original[tensor], derived[tensor], -1);
              },
          .expected = [](const Problem&,
                         std::vector<Expected>& expected) { scale(expected[0], -1, 1); }};
}

}  // namespace

std::vector<Relation> relations() {
  return {permute_sources(), scale_values(), reverse_tokens(), duplicate_sources(), flip_sign()};
}

}  // namespace assay::attnres_contract
