// Op is the contract of an operation: what is computed, on which tensors, how wrong a result may
// be, what it must cost. One per pair of files in reference/; it registers itself. Nothing here
// says how anything is computed on a device.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "harness/core/problem.h"
#include "harness/core/tensor.h"

namespace assay {

struct DimSpec {
  std::string name;
  std::string meaning;
  std::optional<std::int64_t> default_size;  // none: the problem must name it
};

struct TensorDeclaration {
  std::string name;
  Role role = Role::in;
  std::vector<std::string> shape;  // names of dims
  std::optional<DType> dtype;      // none: follows `dtype=` unless the problem names it
  bool optional = false;           // absent unless the problem says so: `g=1` or `g=f32`
  std::string meaning;
};

struct OptionSpec {
  std::string name;
  std::string meaning;
  OptionValue default_value;  // also fixes the type
  double min = 0;             // for numbers, inclusive
  double max = 0;
};

// A kind of inputs chosen to make wrong kernels visible.
struct Family {
  std::string name;
  std::string meaning;
};

// The arithmetic that a variant declares to use; the error bound follows from it (see
// reference/<op>.h).
struct Numerics {
  DType accumulate = DType::f32;
  // Longest chain of roundings through which a term of a reduction passes (products and the folding
  // of weights included), for the reductions over the hidden dimension. Rounded up to a power of
  // two by `height`, so that variants share references.
  double summation_height = 1;
  // How often an online softmax may rescale what it has accumulated; 0 where the maximum is known
  // first.
  double rescales = 0;

  bool operator==(const Numerics&) const = default;
};

// Height of a reduction of n products over `lanes` independent running sums that a tree then adds:
// n/lanes + log2(lanes), and 2 for the rounding of the product and of a folded weight; rounded up
// to a power of two.
double height(std::int64_t n, std::int64_t lanes);

// One output in exact arithmetic (fp64) with the a-priori bound of each element's error, before the
// rounding to the output's dtype. Row-major like the output.
struct Expected {
  std::string output;
  std::int64_t size = 0;
  std::unique_ptr<double[]> value;
  std::unique_ptr<double[]> bound;

  Expected(std::string name, std::int64_t count);  // uninitialised: 16 bytes an element
};

// What no implementation can avoid.
struct Cost {
  double bytes_read = 0;     // each input once
  double bytes_written = 0;  // each output once
  double flops = 0;          // multiply and add count as two
};

struct Op {
  std::string name;
  std::string formula;
  std::string source;
  std::vector<DimSpec> dims;
  std::vector<TensorDeclaration> tensors;
  std::vector<OptionSpec> options;
  std::vector<Family> families;

  // Writes the inputs of (family, seed), in the dtype in which they are stored, to host memory. The
  // same on every machine.
  std::function<void(const Problem&, const std::string& family, std::uint64_t seed,
                     const Tensors& inputs)>
      fill;
  // From the inputs as stored (host memory); one Expected per output, in the contract's order.
  std::function<std::vector<Expected>(const Problem&, const Tensors& inputs, const Numerics&)>
      reference;
  std::function<Cost(const Problem&)> cost;
};

// The present tensors of a problem: contiguous, row-major. Throws UsageError where a size in bytes
// overflows 63 bits.
std::vector<TensorSpec> tensor_specs(const Op& op, const Problem& problem);

}  // namespace assay
