// The contracts of block_attnres_fwd and block_attnres_bwd: dims, tensors, inputs, cost, and the
// definition in fp64. The header has the formulas.
#include "reference/block_attnres.h"

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <limits>
#include <utility>
#include <vector>

#include "harness/core/parallel.h"
#include "harness/core/registry.h"
#include "reference/attnres_inputs.h"
#include "reference/block_attnres_grown.h"
#include "reference/dual.h"
#include "reference/families.h"

namespace assay {
namespace {

constexpr std::uint64_t kX = 0, kW = 1, kG = 2, kScale = 3, kWOut = 16, kGOut = 17, kCotangent = 18,
                        kY = 19;

using Table = RowMatrix<double>;

Table load(const TensorView& tensor) {
  const std::vector<float> values = load_floats(tensor);
  const auto columns = static_cast<Eigen::Index>(tensor.spec.shape.back());
  const auto rows = static_cast<Eigen::Index>(values.size()) / columns;
  return Eigen::Map<const RowMatrix<float>>(values.data(), rows, columns).cast<double>();
}

// Of the layers and of the output, (L+1, D).
Table load_both(const Tensors& inputs, const char* layers, const char* output) {
  const Table of_layers = load(inputs[layers]);
  Table both(of_layers.rows() + 1, of_layers.cols());
  both << of_layers, load(inputs[output]);
  return both;
}

struct Weights {
  Table w, g, c;  // (L+1, D)

  explicit Weights(const Tensors& inputs) : w(load_both(inputs, "w", "w_out")) {
    g = inputs.find("g") ? load_both(inputs, "g", "g_out") : Table::Ones(w.rows(), w.cols());
    c = w.cwiseProduct(g);
  }
};

// What the layers add to a token, (L, D).
Table load_added(const Problem& problem, const Tensors& inputs, std::int64_t token) {
  const std::int64_t layers = problem.dim("L"), tokens = problem.dim("T"), dim = problem.dim("D");
  Table y = Table::Zero(layers, dim);
  if (const TensorView* const tensor = inputs.find("Y")) {
    dispatch(tensor->spec.dtype, [&](auto type) {
      using T = typename decltype(type)::type;
      for (std::int64_t l = 0; l < layers; ++l)
        for (std::int64_t d = 0; d < dim; ++d)
          y(l, d) = to_float(tensor->as<const T>()[(l * tokens + token) * dim + d]);
    });
  }
  return y;
}

void add(const char* output, const Table& from, Eigen::Index first, Eigen::Index rows,
         ExpectedWriter& writer) {
  Expected to(output, rows * from.cols());
  std::fill_n(to.bound.get(), static_cast<std::size_t>(to.size), 0.0);
  Eigen::Map<Table>(to.value.get(), rows, from.cols()) = from.middleRows(first, rows);
  writer.add(std::move(to));
}

void reference_fwd(const Problem& problem, const Tensors& inputs, const Numerics&,
                   ExpectedWriter& writer) {
  const Weights weights(inputs);
  const Table x = load(inputs["X"]);
  Table o(x.rows(), x.cols());
  parallel_for(x.rows(), 1, [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t t = begin; t < end; ++t)
      o.row(t) = block_attnres_token<double>(x.row(t), load_added(problem, inputs, t), weights.c,
                                             problem.dim("S"), problem.real("eps"));
  });
  add("O", o, 0, o.rows(), writer);
}

// The gradients of ⟨dO, O⟩ by forward differentiation: as many passes as there are parameters.
void reference_bwd(const Problem& problem, const Tensors& inputs, const Numerics&,
                   ExpectedWriter& writer) {
  constexpr int kPartials = 16;
  using Number = Dual<kPartials>;
  const Weights weights(inputs);
  const Table x = load(inputs["X"]), d_o = load(inputs["dO"]);
  const Eigen::Index tokens = x.rows(), dim = x.cols(), rows = weights.c.rows();
  const std::int64_t layers_per_block = problem.dim("S");
  const Number eps(problem.real("eps"));
  Table d_x(tokens, dim);
  std::vector<Table> d_c(static_cast<std::size_t>(tokens), Table(rows, dim));
  parallel_for(tokens, 1, [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t t = begin; t < end; ++t) {
      const RowMatrix<Number> y = load_added(problem, inputs, t).cast<Number>();
      // X of the token, then c.
      const Eigen::Index parameters = dim + weights.c.size();
      for (Eigen::Index first = 0; first < parameters; first += kPartials) {
        const int count = static_cast<int>(std::min<Eigen::Index>(kPartials, parameters - first));
        RowMatrix<Number> row = x.row(t).cast<Number>(), c = weights.c.cast<Number>();
        const auto parameter = [&](Eigen::Index i) -> Number& {
          return i < dim ? row.data()[i] : c.data()[i - dim];
        };
        for (int i = 0; i < count; ++i)
          parameter(first + i).partials[static_cast<std::size_t>(i)] = 1;
        const RowMatrix<Number> o = block_attnres_token<Number>(row, y, c, layers_per_block, eps);
        for (int i = 0; i < count; ++i) {
          double sum = 0;
          for (Eigen::Index d = 0; d < dim; ++d)
            sum += d_o(t, d) * o(0, d).partials[static_cast<std::size_t>(i)];
          const Eigen::Index at = first + i;
          (at < dim ? d_x(t, at) : d_c[static_cast<std::size_t>(t)].data()[at - dim]) = sum;
        }
      }
    }
  });
  Table sum = Table::Zero(rows, dim);
  for (const Table& of_token : d_c) sum += of_token;
  const Table d_w = sum.cwiseProduct(weights.g), d_g = sum.cwiseProduct(weights.w);
  add("dX", d_x, 0, tokens, writer);
  const auto add_both = [&](const char* of_layers, const char* of_output, const Table& gradient) {
    add(of_layers, gradient, 0, rows - 1, writer);
    add(of_output, gradient, rows - 1, 1, writer);
  };
  add_both("dw", "dw_out", d_w);
  if (problem.has("g")) add_both("dg", "dg_out", d_g);
}

// Running sums grow with every block: an f16 must hold the last.
float scale_of(DType dtype) { return dtype == DType::f16 ? 0x1p-8f : 1; }

void fill_weights(const Problem& problem, std::uint64_t seed, const Tensors& inputs, float length) {
  const float deviation = length / attnres_inputs::root_dim(problem);
  fill_gaussian(inputs["w"], {seed, kW}, deviation);
  fill_gaussian(inputs["w_out"], {seed, kWOut}, deviation);
  if (const TensorView* const g = inputs.find("g")) fill_gaussian(*g, {seed, kG}, 0.25f, 1);
  if (const TensorView* const g = inputs.find("g_out")) fill_gaussian(*g, {seed, kGOut}, 0.25f, 1);
}

void fill_usual(const Problem& problem, std::uint64_t seed, const Tensors& inputs, float length) {
  fill_gaussian(inputs["X"], {seed, kX}, scale_of(problem.dtype_of("X")));
  if (const TensorView* const y = inputs.find("Y"))
    fill_gaussian(*y, {seed, kY}, scale_of(y->spec.dtype));
  fill_weights(problem, seed, inputs, length);
  if (const TensorView* const d_o = inputs.find("dO"))
    fill_gaussian(*d_o, {seed, kCotangent}, scale_of(d_o->spec.dtype));
}

void fill_gaussian_all(const Problem& problem, std::uint64_t seed, const Tensors& inputs) {
  fill_usual(problem, seed, inputs, 2);
}

void fill_spread(const Problem& problem, std::uint64_t seed, const Tensors& inputs) {
  fill_usual(problem, seed, inputs, 2);
  const TensorView& x = inputs["X"];
  const SpreadScale scale({seed, kScale}, x.spec.dtype, problem.real("eps"));
  fill_rows(x, {seed, kX}, [&](std::int64_t t) { return scale(t, t); });
}

void fill_nan(const Problem& problem, std::uint64_t seed, const Tensors& inputs) {
  fill_gaussian_all(problem, seed, inputs);
  const TensorView& x = inputs["X"];
  dispatch(x.spec.dtype, [&](auto type) {
    using T = typename decltype(type)::type;
    x.as<T>()[x.spec.elements() / 2] = round_to<T>(std::numeric_limits<float>::quiet_NaN());
  });
}

// Every fourth token begins so small that eps decides in its first layers.
void fill_grown(const Problem& problem, std::uint64_t seed, const Tensors& inputs) {
  fill_usual(problem, seed, inputs, 2);
  const TensorView& x = inputs["X"];
  const float usual = scale_of(x.spec.dtype);
  const float small = std::clamp(attnres_inputs::root(problem.real("eps")) / 8, 0x1p-12f, usual);
  fill_rows(x, {seed, kX}, [&](std::int64_t t) { return t % 4 == 1 ? small : usual; });
  fill_gaussian(inputs["Y"], {seed, kY}, 1);
  grow_additions(problem, inputs);
}

std::vector<Family> families() {
  return {gaussian_family(fill_gaussian_all),
          {.name = kSpread,
           .meaning = "scales of tokens many octaves apart, so that eps decides in some",
           .fill = fill_spread,
           .inapplicable =
               [](const Problem& problem) {
                 return problem.dtype_of("X") == DType::f16
                            ? "f16 has no room for sums over the blocks of such rows"
                            : "";
               }},
          {.name = "sharp",
           .meaning = "gaussian, weights four times as long: softmaxes near one-hot",
           .fill = [](const Problem& problem, std::uint64_t seed,
                      const Tensors& inputs) { fill_usual(problem, seed, inputs, 8); }},
          {.name = "grown",
           .meaning = "what layers add grows as their inputs do, so that each counts alike; every "
                      "fourth token begins so small that eps decides",
           .fill = fill_grown,
           .inapplicable =
               [](const Problem& problem) {
                 return problem.has("Y")
                            ? ""
                            : "without Y there is nothing that could grow with the inputs";
               }},
          {.name = "misaligned",
           .meaning = "gaussian, every tensor one element away from an aligned address",
           .fill = fill_gaussian_all,
           .layout = Layout::misaligned},
          {.name = "nan",
           .meaning = "gaussian, a NaN in one token of X",
           .fill = fill_nan,
           .isolates = kGaussian}};
}

// What the parts cost that the definition has, each of which reads its inputs and writes its
// outputs once.
class Parts {
 public:
  explicit Parts(const Problem& problem) : problem_(problem) {}

  void add(const char* name, std::initializer_list<std::pair<const char*, std::int64_t>> dims,
           std::initializer_list<const char*> optional = {}, bool accumulate = false) {
    const Op& op = *find_op(name);
    Problem part = default_problem(op, problem_.dtype);
    set_dim(part, "T", problem_.dim("T"));
    set_dim(part, "D", problem_.dim("D"));
    for (const auto& [dim, size] : dims) set_dim(part, dim, size);
    for (const char* tensor : optional) set_tensor(op, part, tensor, true);
    if (accumulate) set_option(op, part, "accumulate", true);
    const Cost cost = op.cost(part);
    sum_.bytes_read += cost.bytes_read;
    sum_.bytes_written += cost.bytes_written;
    sum_.flops += cost.flops;
  }

  const Cost& sum() const { return sum_; }

 private:
  const Problem& problem_;
  Cost sum_;
};

// Calls block(b, layers in it); returns the number of blocks.
template <class F>
std::int64_t for_each_block(const Problem& problem, const F& block) {
  const std::int64_t layers = problem.dim("L"), most = problem.dim("S");
  std::int64_t b = 0;
  for (; b * most < layers; ++b) block(b, std::min(most, layers - b * most));
  return b;
}

void add_forward(const Problem& problem, Parts& parts) {
  for_each_block(problem, [&](std::int64_t b, std::int64_t layers) {
    parts.add("attnres_fwd", {{"N", b + 1}, {"Q", layers}});
    for (std::int64_t j = 0; j < layers && problem.has("Y"); ++j)
      parts.add("residual_add", {}, {"P", "U"});
    for (std::int64_t j = 1; j < layers; ++j) {
      if (j > 1)
        parts.add("attnres_merge_fwd", {}, {"U"});
      else
        parts.add("attnres_merge_fwd", {});
    }
    if (layers > 1) parts.add("residual_add", {}, {"P", "U"});
  });
}

Cost cost_fwd(const Problem& problem) {
  Parts parts(problem);
  add_forward(problem, parts);
  const std::int64_t blocks = for_each_block(problem, [](std::int64_t, std::int64_t) {});
  parts.add("attnres_fwd", {{"N", blocks + 1}});
  return parts.sum();
}

// Forward, then every block from the last to the first: its phase 1 and its sums once more, for
// those of more than the last one are too large to be kept. What phase 2 adds to dP is dH.
Cost cost_bwd(const Problem& problem) {
  Parts parts(problem);
  add_forward(problem, parts);
  const std::int64_t blocks = for_each_block(problem, [&](std::int64_t b, std::int64_t layers) {
    if (layers > 1 && (b + 1) * problem.dim("S") < problem.dim("L")) {
      parts.add("attnres_fwd", {{"N", b + 1}, {"Q", layers}});
      for (std::int64_t j = 1; j + 1 < layers; ++j) {
        parts.add("attnres_merge_fwd", {});
        parts.add("residual_add", {}, {"P", "U"});
      }
    }
    for (std::int64_t j = 1; j < layers; ++j) parts.add("attnres_merge_bwd", {});
    if (layers > 1)
      parts.add("attnres_bwd", {{"N", b + 1}, {"Q", layers}}, {"dLSE"}, true);
    else
      parts.add("attnres_bwd", {{"N", b + 1}, {"Q", layers}}, {}, true);
  });
  parts.add("attnres_bwd", {{"N", blocks + 1}});
  return parts.sum();
}

const std::vector<DimSpec> kDims = {{"L", "layers", std::nullopt},
                                    {"S", "layers in a block", std::nullopt},
                                    {"T", "tokens", std::nullopt},
                                    {"D", "hidden size", std::nullopt}};
const std::vector<OptionSpec> kOptions = {
    {"eps", "added to the mean square of a row", 1e-6, 0, 1e30}};

std::vector<TensorDeclaration> inputs_declared() {
  return {{"X", Role::in, {"T", "D"}, std::nullopt, false, "embedding"},
          {"w", Role::in, {"L", "D"}, std::nullopt, false, "pseudo-queries of the layers"},
          {"g", Role::in, {"L", "D"}, std::nullopt, true, "their RMSNorm weights; absent: ones"},
          {"w_out", Role::in, {"D"}, std::nullopt, false, "pseudo-query of the output"},
          {.name = "g_out",
           .role = Role::in,
           .shape = {"D"},
           .meaning = "its RMSNorm weights",
           .present_with = "g"},
          {"Y", Role::in, {"L", "T", "D"}, std::nullopt, true, "what layers add; absent: zeros"}};
}

std::vector<TensorDeclaration> with(std::vector<TensorDeclaration> declared,
                                    std::vector<TensorDeclaration> further) {
  declared.insert(declared.end(), further.begin(), further.end());
  return declared;
}

TensorDeclaration gradient(const char* name, std::vector<std::string> shape, const char* of,
                           const char* present_with = "") {
  return {.name = name,
          .role = Role::out,
          .shape = std::move(shape),
          .dtype = DType::f32,
          .meaning = std::string("gradient of ") + of,
          .present_with = present_with};
}

ASSAY_OP(block_attnres_fwd){
    .name = "block_attnres_fwd",
    .formula =
        "V_0 = X; for each block of S layers: (O_j, L_j) = attnres_fwd(V, w_j), h_0 = O_0, h_j = "
        "attnres_merge_fwd(sum_{i<j} (h_i + Y_i), w_j, O_j, L_j), V += [sum_j (h_j + Y_j)]; O = "
        "attnres_fwd(V, w_out)",
    .source = "Attention Residuals, Kimi Team, arXiv 2603.15031, block form",
    .dims = kDims,
    .tensors = with(inputs_declared(),
                    {{"O", Role::out, {"T", "D"}, std::nullopt, false, "output of the network"}}),
    .options = kOptions,
    .families = families(),
    .batch_dim = "T",
    .write_reference = reference_fwd,
    .is_composite = true,
    .cost = cost_fwd,
};

ASSAY_OP(block_attnres_bwd){
    .name = "block_attnres_bwd",
    .formula = "gradients of <dO, O>, O = block_attnres_fwd(X, w, w_out); forward pass included",
    .source = "Attention Residuals, Kimi Team, arXiv 2603.15031, block form differentiated",
    .dims = kDims,
    .tensors = with(inputs_declared(),
                    {{"dO", Role::in, {"T", "D"}, std::nullopt, false, "gradient of O"},
                     {"dX", Role::out, {"T", "D"}, std::nullopt, false, "gradient of X"},
                     gradient("dw", {"L", "D"}, "w"),
                     gradient("dg", {"L", "D"}, "g", "g"),
                     gradient("dw_out", {"D"}, "w_out"),
                     gradient("dg_out", {"D"}, "g_out", "g")}),
    .options = kOptions,
    .families = families(),
    .batch_dim = "T",
    .write_reference = reference_bwd,
    .is_composite = true,
    .cost = cost_bwd,
};

}  // namespace
}  // namespace assay
