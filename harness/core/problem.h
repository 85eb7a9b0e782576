// A Problem is one op at one size: everything that determines what is to be computed, and beside
// that, not in its text, how a variant is asked to. The text form is a suite line, a test name and
// a repro line at once; parse_problem(str(p)) == p, but for the configuration.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "harness/core/configuration.h"
#include "harness/core/dtype.h"

namespace assay {

using OptionValue = std::variant<bool, std::int64_t, double, std::string>;

struct Problem {
  struct Dim {
    std::string name;
    std::int64_t size = 0;
    bool operator==(const Dim&) const = default;
  };
  struct TensorType {
    std::string name;  // as in the contract: "V"; written in lower case: "v=bf16"
    DType dtype = DType::f32;
    bool present = true;
    bool as_declared =
        true;  // neither the dtype nor the presence differs from the contract's default
    bool dtype_named = false;  // the dtype differs from what `dtype=` implies
    bool operator==(const TensorType&) const = default;
  };
  struct Option {
    std::string name;
    OptionValue value;
    bool is_default = true;
    bool operator==(const Option&) const = default;
  };

  // All in the order of the op's contract, which is the canonical order of the text.
  std::string op;
  DType dtype = DType::f32;  // of the large tensors and of all others that follow it
  std::vector<TensorType> tensors;
  std::vector<Dim> dims;
  std::vector<Option> options;
  std::string family{};           // of inputs; empty: the harness chooses
  Configuration configuration{};  // one of Variant::configurations; empty: the variant's own choice

  // Each throws std::out_of_range for a name that the contract does not have.
  std::int64_t dim(std::string_view name) const;
  DType dtype_of(std::string_view tensor) const;
  bool has(std::string_view tensor) const;  // false: an optional tensor that is absent
  double real(std::string_view option) const;
  bool flag(std::string_view option) const;

  bool operator==(const Problem&) const = default;
};

// "attnres_fwd dtype=bf16 w=f32 N=10 Q=6 T=8192 D=2304": every dim, and of the rest only what
// differs from the default; a family of inputs last.
std::string str(const Problem& problem);

// The shortest text that reads back as the same value: 1e-06, 0.5, 3.
std::string str(const OptionValue& value);

}  // namespace assay
