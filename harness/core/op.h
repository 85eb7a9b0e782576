// Op is the contract of an operation: what is computed, on which tensors, how wrong a result may
// be, what it must cost. One per pair of files in reference/; it registers itself. Nothing here
// says how anything is computed on a device.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "harness/core/expected.h"
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
  // An input or output that is updated in place (inout) where this optional tensor is present, or
  // this option is true. Empty: never.
  std::string inout_with{};
  // Present only where this optional tensor is: the gradient of one. Empty: by itself.
  std::string present_with{};
  // An output whose bits every family demands: correctly rounded from its exact value, which is the
  // reference, with bounds of 0.
  bool exact = false;
};

struct OptionSpec {
  std::string name;
  std::string meaning;
  OptionValue default_value;  // also fixes the type
  double min = 0;             // for numbers, inclusive
  double max = 0;
};

// How the tensors of a run lie in memory. packed: each begins at a multiple of 256 bytes.
// misaligned: one element later. padded: between the rows of a tensor (its last axis) lie 32 bytes
// that nobody may touch.
enum class Layout : std::uint8_t { packed, misaligned, padded };

// A kind of inputs chosen to make wrong kernels visible.
struct Family {
  std::string name;
  std::string meaning;  // a line
  // Writes the inputs, in the dtype in which they are stored, to host memory. The same on every
  // machine.
  std::function<void(const Problem&, std::uint64_t seed, const Tensors& inputs)> fill;
  // Why the family says nothing about this problem, or an empty text. Optional.
  std::function<std::string(const Problem&)> inapplicable{};
  Layout layout = Layout::packed;
  // The outputs whose bits are demanded: their reference is exact, and representable.
  std::vector<std::string> exact{};
  // For a wrong element of an exact output: which inputs must have been read instead of the right
  // ones, in words; empty where that can't be told. Optional.
  std::function<std::string(const Problem&, const Tensors& inputs, const std::string& output,
                            std::int64_t index, double got)>
      read_instead{};
  // The family whose inputs of the same seed differ from these in NaNs alone, in one slice of the
  // batch dim: every other slice must have the same bits in both. Optional.
  std::string isolates{};
  // Whatever else is in a slice of the batch dim, changing the sign of all its cotangents (dO,
  // dLSE) gives inputs that are as likely, whatever the other slices hold. Sums over the batch dim,
  // odd in them, then have terms of independent random signs: a statistical bound may replace the
  // sum of the slices' bounds.
  bool random_signs = false;
};

// The arithmetic that a variant declares to use; the error bound follows from it (see
// reference/<op>.h).
struct Numerics {
  DType accumulate = DType::f32;
  // Longest chain of roundings through which a term of a reduction passes (products and the folding
  // of weights included), for the reductions over the hidden dimension. Rounded up to a power of
  // two by `height`, so that variants share references.
  double summation_height = 1;
  // The same for reductions over the batch dim (of weights' gradients: over tokens and sources).
  double batch_height = 1;
  // How often an online softmax may rescale what it has accumulated; 0 where the maximum is known
  // first.
  double rescales = 0;
  // What is rounded to fewer bits on the way, each once; f32: nothing is.
  DType probabilities = DType::f32;  // softmax weights, before the mix
  DType weights = DType::f32;        // what is folded from weights: c = w⊙g
  DType partials = DType::f32;       // outputs of parts that are merged later
  // The mix is added up by units that cut off instead of rounding: an addition errs by 2u, not u.
  // (For the reductions over the hidden dimension that is in the height.)
  bool truncates_mix = false;

  bool operator==(const Numerics&) const = default;
};

// "f32 accumulation, height 64, 2 rescales, bf16 probabilities": what differs from plain fp32
// internals is named.
std::string str(const Numerics& numerics);

// Half the distance from 1 to the next number: 2^-24, 2^-11, 2^-8.
double unit_roundoff(DType dtype);

// Height of a reduction of n products over `lanes` independent running sums that a tree then adds:
// n/lanes + log2(lanes), and 2 for the rounding of the product and of a folded weight; rounded up
// to a power of two.
double height(std::int64_t n, std::int64_t lanes);

// The derivative of one output by the logarithm of a factor that a wrong kernel may have: the error
// of a kernel whose factor is 1 + e is e times this, to first order. `allowance` is the largest |e|
// that the declared arithmetic explains.
struct Sensitivity {
  std::string name;  // "scale of the logits"
  std::string output;
  double allowance = 0;
  std::vector<double> value;  // row-major like the output
};

// A metamorphic relation: how the outputs change when inputs change in a way that needs no further
// reference.
struct Relation {
  std::string name;                               // "permute_sources"
  std::string meaning;                            // a line
  std::function<bool(const Problem&)> applies{};  // none: always
  // The families whose inputs it is for; empty: any.
  std::vector<std::string> families{};
  // The problem, the inputs (all of them written, in the derived problem's shapes) and the expected
  // outputs of the derived run; expected has the originals and is given the original problem. Each
  // is optional: unchanged.
  std::function<Problem(const Problem&)> problem{};
  std::function<void(const Problem&, const Tensors& original, const Tensors& derived)> inputs{};
  std::function<void(const Problem&, std::vector<Expected>& expected)> expected{};
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
  std::vector<Family> families;  // the first is the one that is timed
  // The dim along which everything is computed independently of the rest (tokens): what
  // batch-invariant variants are held to.
  std::string batch_dim{};
  std::vector<Relation> relations{};

  // From the inputs as stored (host memory): every output, with its bound, in the contract's order.
  // problem.family names the family that made the inputs; empty: any inputs, no statistics apply.
  std::function<void(const Problem&, const Tensors& inputs, const Numerics&, ExpectedWriter&)>
      write_reference;
  // Its variants are composites (composite.h): their steps have bounds, the whole has none. The
  // reference gives values alone (bounds of 0), by a straightforward computation for small sizes.
  bool is_composite = false;
  std::function<Cost(const Problem&)> cost;
  // For the bias test, at sizes where a straightforward computation will do. Optional.
  std::function<std::vector<Sensitivity>(const Problem&, const Tensors& inputs, const Numerics&)>
      sensitivities{};

  // What write_reference writes, in host memory.
  std::vector<Expected> reference(const Problem& problem, const Tensors& inputs,
                                  const Numerics& numerics) const;
  const Family* find_family(std::string_view family) const;  // null: none
  // Whether every family demands the bits of this tensor.
  bool is_exact(std::string_view tensor) const;
};

// The present tensors of a problem, row-major; contiguous but for Layout::padded. Throws UsageError
// where a size in bytes overflows 63 bits.
std::vector<TensorSpec> tensor_specs(const Op& op, const Problem& problem,
                                     Layout layout = Layout::packed);

// The problem that says nothing but a dtype: tensors and options are as the contract declares them.
// A dim without a default is 0 until set_dim.
Problem default_problem(const Op& op, DType dtype);
// Each throws std::out_of_range for a name that the contract does not have. No dtype: what `dtype=`
// implies.
void set_dim(Problem& problem, std::string_view dim, std::int64_t size);
void set_tensor(const Op& op, Problem& problem, std::string_view tensor, bool present,
                std::optional<DType> dtype = std::nullopt);
void set_option(const Op& op, Problem& problem, std::string_view option, OptionValue value);

// The bytes of a problem's tensors, each read or written once; one that is updated, both.
Cost least_traffic(const Op& op, const Problem& problem);

}  // namespace assay
