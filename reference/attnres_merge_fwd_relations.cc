// How the outputs of attnres_merge_fwd change when its inputs change in ways that need no further
// reference.
#include <algorithm>
#include <cmath>
#include <cstring>

#include "reference/attnres_merge_fwd_contract.h"
#include "reference/relations.h"

namespace assay::attnres_merge_contract {
namespace {

// All inputs as they are, but for those that `change(from, to)` takes care of, by name.
template <class Change>
void copy_others(const Tensors& from, const Tensors& to, std::initializer_list<const char*> changed,
                 const Change& change) {
  for (const TensorView& tensor : to) {
    const bool is_changed = std::any_of(changed.begin(), changed.end(),
                                        [&](const char* name) { return tensor.spec.name == name; });
    if (is_changed)
      change(from[tensor.spec.name], tensor);
    else
      copy(from, to, tensor.spec.name.c_str());
  }
}

Relation reverse_tokens() {
  return {.name = "reverse_tokens",
          .meaning = "reversing the tokens reverses the outputs",
          .applies = [](const Problem& p) { return p.dim("T") > 1; },
          .inputs =
              [](const Problem& p, const Tensors& original, const Tensors& derived) {
                copy_others(original, derived, {"P", "O1", "L1", "U"},
                            [&](const TensorView& from, const TensorView& to) {
                              const std::int64_t tokens = p.dim("T");
                              const auto row = static_cast<std::size_t>(from.spec.bytes() / tokens);
                              for (std::int64_t t = 0; t < tokens; ++t)
                                std::memcpy(to.as<std::byte>() + static_cast<std::size_t>(t) * row,
                                            from.as<std::byte>() +
                                                static_cast<std::size_t>(tokens - 1 - t) * row,
                                            row);
                            });
              },
          .expected =
              [](const Problem& p, std::vector<Expected>& expected) {
                const std::int64_t tokens = p.dim("T");
                for (Expected& output : expected)
                  reverse_rows(output, 1, tokens, output.size / tokens);
              }};
}

// Upwards, since that is exact for subnormals as well. A kernel with an eps of its own is off by a
// factor of 4096 where eps decides.
constexpr double kScale = 64;

Relation scale_values() {
  return {
      .name = "scale_values",
      .meaning = "P, U and O1 2^6 and eps 4^6 scale H and P by 2^6",
      .applies =
          [](const Problem& p) {
            // What U has below f16's least subnormal, a scaled sum would round elsewhere.
            if (p.has("U") && p.dtype_of("P") == DType::f16 && p.dtype_of("U") != DType::f16)
              return false;
            // |P| < 32 √eps in the families below.
            const double largest = 32 * kScale * std::sqrt(p.real("eps"));
            for (const char* tensor : {"P", "U", "O1", "H"})
              if (p.dtype_of(tensor) == DType::f16 && largest > 65504) return false;
            return largest > 0 && largest < 0x1p50;
          },
      .families = {"tiny"},
      .problem =
          [](const Problem& p) { return with_option(p, "eps", p.real("eps") * kScale * kScale); },
      .inputs =
          [](const Problem&, const Tensors& original, const Tensors& derived) {
            copy_others(
                original, derived, {"P", "O1", "U"},
                [](const TensorView& from, const TensorView& to) { multiply(from, to, kScale); });
          },
      .expected =
          [](const Problem&, std::vector<Expected>& expected) {
            for (Expected& output : expected)
              if (output.output != "LSE") scale(output, kScale, kScale);
          }};
}

Relation flip_sign() {
  return {.name = "flip_sign",
          .meaning = "P, U, O1 and w of the other sign negate H and P",
          .inputs =
              [](const Problem&, const Tensors& original, const Tensors& derived) {
                copy_others(
                    original, derived, {"P", "O1", "U", "w"},
                    [](const TensorView& from, const TensorView& to) { multiply(from, to, -1); });
              },
          .expected =
              [](const Problem&, std::vector<Expected>& expected) {
                for (Expected& output : expected)
                  if (output.output != "LSE") scale(output, -1, 1);
              }};
}

Relation swap_update() {
  return {
      .name = "swap_update",
      .meaning = "P and U exchanged: nothing changes",
      .applies = [](const Problem& p) { return p.has("U") && p.dtype_of("U") == p.dtype_of("P"); },
      .inputs =
          [](const Problem&, const Tensors& original, const Tensors& derived) {
            copy_others(original, derived, {"P", "U"},
                        [&](const TensorView& from, const TensorView& to) {
                          const char* other = from.spec.name == "P" ? "U" : "P";
                          std::memcpy(to.data, original[other].data,
                                      static_cast<std::size_t>(to.spec.bytes()));
                        });
          }};
}

Relation update_before() {
  return {.name = "update_before",
          .meaning = "the updated P and a U of zeros: nothing changes",
          .applies = [](const Problem& p) { return p.has("U"); },
          .inputs =
              [](const Problem& p, const Tensors& original, const Tensors& derived) {
                const std::int64_t dim = p.dim("D");
                std::vector<double> row(static_cast<std::size_t>(dim)), sum(row);
                copy_others(original, derived, {"P", "U"},
                            [&](const TensorView& from, const TensorView& to) {
                              std::memset(to.data, 0, static_cast<std::size_t>(to.spec.bytes()));
                              if (from.spec.name != "P") return;
                              dispatch(to.spec.dtype, [&](auto type) {
                                using T = typename decltype(type)::type;
                                for (std::int64_t t = 0; t < p.dim("T"); ++t) {
                                  load_row(original, t, dim, row.data(), sum.data());
                                  for (std::int64_t d = 0; d < dim; ++d)
                                    to.as<T>()[t * dim + d] =
                                        round_to<T>(row[static_cast<std::size_t>(d)]);
                                }
                              });
                            });
              },
          .expected =
              [](const Problem& p, std::vector<Expected>& expected) {
                // The updated P is now itself the sum.
                dispatch(p.dtype_of("P"), [&](auto type) {
                  using T = typename decltype(type)::type;
                  for (std::int64_t i = 0; i < expected[0].size; ++i) {
                    double& value = expected[0].value[static_cast<std::size_t>(i)];
                    value = to_float(round_to<T>(value));
                  }
                });
              }};
}

}  // namespace

std::vector<Relation> relations() {
  return {reverse_tokens(), scale_values(), flip_sign(), swap_update(), update_before()};
}

}  // namespace assay::attnres_merge_contract
