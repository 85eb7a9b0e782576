// Contents must not depend on the machine: no library's exp, no sums in an order of the compiler's,
// no contraction.
#include "reference/block_attnres_grown.h"

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <utility>
#include <vector>

#include "harness/core/parallel.h"
#include "reference/families.h"

namespace assay {
namespace {

using Row = std::vector<float>;

double mean_square(const Row& row) {
  const auto count = static_cast<std::int64_t>(row.size());
  return dot(row.data(), row.data(), count) / static_cast<double>(count);
}

// e^x for x <= 0, to 1e-4: (e^(x/64))^64, by Taylor.
double power_of_e(double x) {
  if (!(x > -30)) return 0;
  const double y = x / 64;  // above -1/2
  double power = 1 + y * (1 + y / 2 * (1 + y / 3 * (1 + y / 4 * (1 + y / 5))));
  for (int i = 0; i < 6; ++i) power *= power;
  return power;
}

// A row, with 1/√(mean square + eps).
struct Source {
  Row values;
  double scale;

  Source(Row row, double eps)
      : values(std::move(row)), scale(1 / std::sqrt(mean_square(values) + eps)) {}
};

// What a layer with the weights `c` mixes from them.
Row mix(const std::vector<Source>& sources, const Row& c) {
  std::vector<double> logits;
  for (const Source& source : sources)
    logits.push_back(source.scale *
                     dot(source.values.data(), c.data(), static_cast<std::int64_t>(c.size())));
  const double most = *std::max_element(logits.begin(), logits.end());
  double sum = 0;
  for (double& logit : logits) sum += logit = power_of_e(logit - most);
  Row mixed(c.size());
  for (std::size_t n = 0; n < sources.size(); ++n)
    combine(mixed.data(), 1, sources[n].values.data(), static_cast<float>(logits[n] / sum),
            static_cast<std::int64_t>(c.size()));
  return mixed;
}

// w⊙g of every layer.
std::vector<Row> load_weights(const Problem& problem, const Tensors& inputs) {
  std::vector<float> all = load_floats(inputs["w"]);
  if (const TensorView* const g = inputs.find("g")) {
    const std::vector<float> norms = load_floats(*g);
    for (std::size_t i = 0; i < all.size(); ++i) all[i] *= norms[i];
  }
  std::vector<Row> weights;
  for (auto from = all.begin(); from != all.end(); from += problem.dim("D"))
    weights.emplace_back(from, from + problem.dim("D"));
  return weights;
}

template <class T>
Row load_row(const T* from, std::int64_t dim) {
  Row row;
  for (std::int64_t d = 0; d < dim; ++d) row.push_back(to_float(from[d]));
  return row;
}

}  // namespace

void grow_additions(const Problem& problem, const Tensors& inputs) {
  const std::int64_t layers = problem.dim("L"), tokens = problem.dim("T"), dim = problem.dim("D");
  const double eps = problem.real("eps");
  const std::vector<Row> weights = load_weights(problem, inputs);
  const TensorView &x = inputs["X"], &y = inputs["Y"];
  const auto run = [&]<class X, class Y>(const X* embedding, Y* added, std::int64_t token) {
    std::vector<Source> sources = {{load_row(embedding + token * dim, dim), eps}};
    Row sum;  // of the block, which is the last source from its second layer on
    for (std::int64_t l = 0; l < layers; ++l) {
      if (l % problem.dim("S") == 0) sum.assign(static_cast<std::size_t>(dim), 0);
      const Row input = mix(sources, weights[static_cast<std::size_t>(l)]);
      const auto size = static_cast<float>(std::sqrt(mean_square(input)));
      Y* const own = added + (l * tokens + token) * dim;
      for (std::int64_t d = 0; d < dim; ++d) {
        const auto i = static_cast<std::size_t>(d);
        own[d] = round_to<Y>(size * to_float(own[d]));
        sum[i] += input[i] + to_float(own[d]);
      }
      if (l % problem.dim("S") != 0) sources.pop_back();
      sources.emplace_back(sum, eps);
    }
  };
  parallel_for(tokens, 1, [&](std::int64_t begin, std::int64_t end) {
    dispatch(x.spec.dtype, [&](auto embedding) {
      dispatch(y.spec.dtype, [&](auto added) {
        for (std::int64_t token = begin; token < end; ++token)
          run(x.as<const typename decltype(embedding)::type>(),
              y.as<typename decltype(added)::type>(), token);
      });
    });
  });
}

}  // namespace assay
