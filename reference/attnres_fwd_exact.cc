// Inputs of attnres_fwd for which every bit of O is known, whatever the order of the arithmetic,
// and from which a wrong element tells what was read instead. Compiled with -ffp-contract=off.
//
// The columns of D are keys (one in four) and codes. c is 0 on codes. In a key column the row of a
// source that is to win is 0, so that its logit is exactly 0 in any order and in every algebraic
// form; a source that is to lose has ±2 in one key column, where c makes its logit -800 or less:
// its weight is 0 in fp32 and in fp64. A token has 2^k winners of weight 2^-k. Codes are random
// integers of 8 - k bits, times 2^(k-7): any sum of winners has 8 bits, so O and all that may be
// rounded to 16 bits on the way are exact. Queries fall into up to four classes with key columns,
// and hence winners, of their own. With g, half of the codes have w = 0 and the others g = 0.
//
// LSE is not among the exact outputs: it is a logarithm.
#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <numeric>

#include "harness/core/convert.h"
#include "harness/core/parallel.h"
#include "reference/attnres_fwd_contract.h"
#include "reference/attnres_inputs.h"
#include "reference/families.h"

namespace assay::attnres_contract {
namespace {

using namespace attnres_inputs;

constexpr int kMaxWinners = 4;  // log2
constexpr double kMaxEps = 1000;

struct Keys {
  std::int64_t step, first, count, classes;

  Keys(const Size& size, std::uint64_t seed)
      : step(std::min<std::int64_t>(4, size.dim)),
        first(static_cast<std::int64_t>(seed % static_cast<std::uint64_t>(step))),
        count((size.dim - first + step - 1) / step),
        classes(std::min({size.queries, std::int64_t{4}, count})) {}

  bool is_key(std::int64_t d) const { return d % step == first; }
  std::int64_t class_of(std::int64_t d) const { return (d - first) / step % classes; }
  // The i-th special column of a class.
  std::int64_t column(std::int64_t i, std::int64_t of_class) const {
    const std::int64_t own = (count - of_class + classes - 1) / classes;
    return first + (of_class + classes * rotating_column(i, own)) * step;
  }
};

std::int64_t below(RandomSequence sequence, std::int64_t index, std::int64_t end) {
  return static_cast<std::int64_t>(random_word(sequence, index)) % end;
}

// log2 of the number of winners: 0 for every other token.
int log_winners(const Size& size, std::uint64_t seed, std::int64_t t) {
  const int most = std::min(kMaxWinners, std::ilogb(static_cast<double>(size.sources)));
  const auto word = random_word({seed, kScale}, t);
  return word % 2 == 0 || most == 0 ? 0
                                    : 1 + static_cast<int>(word / 2 % static_cast<unsigned>(most));
}

bool wins(const Size& size, std::uint64_t seed, std::int64_t n, std::int64_t t,
          std::int64_t of_class) {
  const std::int64_t start = below({seed, kTarget}, 8 * t + 2 * of_class, size.sources);
  std::int64_t step = 1 + below({seed, kTarget}, 8 * t + 2 * of_class + 1, size.sources);
  while (std::gcd(step, size.sources) != 1) ++step;
  std::int64_t winner = start;
  for (int i = 0; i < 1 << log_winners(size, seed, t); ++i, winner += step)
    if (winner % size.sources == n) return true;
  return false;
}

// -1 or 1, by column.
float sign(std::uint64_t seed, std::int64_t d) {
  return random_word({seed, kPlace}, d) % 2 == 0 ? 1.0f : -1.0f;
}

void fill_weights(const Problem& problem, std::uint64_t seed, const Tensors& inputs) {
  const Size size(problem);
  const Keys keys(size, seed);
  // No element of V exceeds 2, so r >= 1/√(4 + eps), and 2c r >= 800.
  const double least = 400 * std::sqrt(4 + problem.real("eps"));
  const int exponent = static_cast<int>(std::ceil(std::log2(least)));
  const TensorView* const g_tensor = inputs.find("g");
  std::vector<float> w(static_cast<std::size_t>(size.queries * size.dim)), g(w.size());
  for (std::int64_t q = 0; q < size.queries; ++q) {
    for (std::int64_t d = 0; d < size.dim; ++d) {
      const auto at = static_cast<std::size_t>(q * size.dim + d);
      if (keys.is_key(d) && keys.class_of(d) == q % keys.classes) {
        g[at] = g_tensor ? std::ldexp(sign(seed, -1 - d + 2 * size.dim + q),
                                      integer({seed, kG}, q * size.dim + d, -1, 1))
                         : 1;
        w[at] = sign(seed, d) * std::ldexp(1.0f, exponent) / g[at];
      } else {
        const bool zero_weight = !g_tensor || random_word({seed, kG}, q * size.dim + d) % 2 == 0;
        w[at] = zero_weight ? 0 : 0.75f;
        g[at] = zero_weight ? 1.5f : 0;
      }
    }
  }
  store_floats(inputs["w"], w);
  if (g_tensor) store_floats(*g_tensor, g);
}

// Codes from random bits: a magnitude in [1, largest] units and a sign.
struct Encode {
  template <Isa>
  static ASSAY_INLINE void run(const std::uint32_t* bits, std::int64_t count, std::uint32_t largest,
                               float unit, float* out) {
    for (std::int64_t i = 0; i < count; ++i) {
      const auto code = static_cast<std::int32_t>(1 + ((bits[i] & 0xffff) * largest >> 16));
      out[i] = unit * static_cast<float>(bits[i] >> 31 != 0 ? -code : code);
    }
  }
};

template <class T>
struct Store {
  template <Isa>
  static ASSAY_INLINE void run(const float* values, std::int64_t count, T* out) {
    for (std::int64_t i = 0; i < count; ++i) out[i] = narrow<T>(values[i]);
  }
};

void fill_exact(const Problem& problem, std::uint64_t seed, const Tensors& inputs) {
  fill_weights(problem, seed, inputs);
  const Size size(problem);
  const Keys keys(size, seed);
  const auto dim = static_cast<std::size_t>(size.dim);
  const auto offset = static_cast<std::int64_t>(seed % 65536);
  const auto threads = static_cast<std::size_t>(num_threads());
  std::vector<std::vector<std::uint32_t>> words(threads, std::vector<std::uint32_t>(dim));
  std::vector<std::vector<float>> values(threads, std::vector<float>(dim));
  const TensorView& v = inputs["V"];
  dispatch(v.spec.dtype, [&](auto type) {
    using T = typename decltype(type)::type;
    parallel_for(
        size.sources * size.tokens, 1, [&](std::int64_t begin, std::int64_t end, int part) {
          std::uint32_t* const bits = words[static_cast<std::size_t>(part)].data();
          float* const x = values[static_cast<std::size_t>(part)].data();
          for (std::int64_t row = begin; row < end; ++row) {
            const std::int64_t n = row / size.tokens, t = row % size.tokens;
            const int k = log_winners(size, seed, t);
            const std::uint32_t largest = (256u >> k) - 1;
            const float unit = std::ldexp(1.0f, k - 7);
            random_bits({seed, kV}, row * size.dim, size.dim, bits);
            run_simd<Encode>(static_cast<const std::uint32_t*>(bits), size.dim, largest, unit, x);
            for (std::int64_t d = keys.first; d < size.dim; d += keys.step) x[d] = 0;
            for (std::int64_t j = 0; j < keys.classes; ++j) {
              if (wins(size, seed, n, t, j)) continue;
              const std::int64_t d = keys.column(n + size.sources * t + offset, j);
              x[d] = -2 * sign(seed, d);
            }
            T* const out = v.as<T>() + row * size.dim;
            run_simd<Store<T>>(static_cast<const float*>(x), size.dim, out);
          }
        });
  });
}

std::string exact_inapplicable(const Problem& problem) {
  if (problem.dim("D") < 2) return "takes two columns: one for the logits, one for the codes";
  if (problem.real("eps") > kMaxEps) return "eps outweighs any row whose logit could be -800";
  return "";
}

// What a wrong element of O says about V: the inputs alone tell who should have won.
class Detective {
 public:
  Detective(const Problem& problem, const Tensors& inputs, std::int64_t index)
      : size_(problem),
        v_(inputs["V"]),
        d_(index % size_.dim),
        t_(index / size_.dim % size_.tokens) {
    const std::int64_t q = index / size_.dim / size_.tokens;
    const std::vector<float> w = load_floats(inputs["w"]);
    const std::vector<float> g =
        inputs.find("g") ? load_floats(inputs["g"]) : std::vector<float>(w.size(), 1.0f);
    for (std::int64_t n = 0; n < size_.sources; ++n) {
      bool wins = true;
      for (std::int64_t d = 0; d < size_.dim && wins; ++d) {
        const auto at = static_cast<std::size_t>(q * size_.dim + d);
        wins = w[at] * g[at] * value(n, t_, d) == 0;
      }
      if (wins) winners_.push_back(n);
    }
  }

  std::string explain(double got) const {
    if (winners_.empty() || !std::isfinite(got)) return "";
    const auto count = static_cast<double>(winners_.size());
    double sum = 0;
    for (const std::int64_t n : winners_) sum += value(n, t_, d_);
    if (winners_.size() > 1) {
      for (const std::int64_t n : winners_) {
        if (value(n, t_, d_) == 0) continue;
        if (got * count == sum - value(n, t_, d_) || got * (count - 1) == sum - value(n, t_, d_))
          return place(n, t_, d_) + " is missing";
        if (got * count == sum + value(n, t_, d_)) return place(n, t_, d_) + " was counted twice";
      }
    } else if (got == 0) {
      return place(winners_[0], t_, d_) + " is missing";
    }
    // One element in place of another: of those with the right value the nearest.
    Found best;
    for (const std::int64_t n : winners_) search(n, got * count - (sum - value(n, t_, d_)), best);
    return best.text;
  }

 private:
  struct Found {
    std::string text;
    std::int64_t distance = INT64_MAX;
  };

  double value(std::int64_t n, std::int64_t t, std::int64_t d) const {
    const std::int64_t at = (n * size_.tokens + t) * size_.dim + d;
    return dispatch(v_.spec.dtype, [&](auto type) -> double {
      return to_float(v_.as<typename decltype(type)::type>()[at]);
    });
  }

  static std::string place(std::int64_t n, std::int64_t t, std::int64_t d) {
    return fmt::format("V[n={}, t={}, d={}]", n, t, d);
  }

  // Elements that differ from (n, t_, d_) in one coordinate, and of the row before and after.
  void search(std::int64_t n, double wanted, Found& best) const {
    if (wanted == 0) return;  // keys are 0: this would be found anywhere
    const auto consider = [&](std::int64_t n2, std::int64_t t2, std::int64_t d2) {
      const std::int64_t distance = 4 * (std::abs(n2 - n) + std::abs(t2 - t_)) + std::abs(d2 - d_);
      if (distance == 0 || distance >= best.distance || value(n2, t2, d2) != wanted) return;
      best = {place(n2, t2, d2) + " was read instead of " + place(n, t_, d_), distance};
    };
    for (std::int64_t d = 0; d < size_.dim; ++d) consider(n, t_, d);
    for (std::int64_t other = 0; other < size_.sources; ++other) consider(other, t_, d_);
    for (std::int64_t other = 0; other < size_.tokens; ++other) consider(n, other, d_);
  }

  Size size_;
  const TensorView& v_;
  std::int64_t d_, t_;
  std::vector<std::int64_t> winners_;
};

std::string read_instead(const Problem& problem, const Tensors& inputs, const std::string& output,
                         std::int64_t index, double got) {
  if (output != "O") return "";
  return Detective(problem, inputs, index).explain(got);
}

}  // namespace

Family exact_family() {
  return {.name = "exact",
          .meaning = "winners tie at a logit of 0, losers weigh 0, codes tell what was read",
          .fill = fill_exact,
          .inapplicable = exact_inapplicable,
          .exact = {"O"},
          .read_instead = read_instead};
}

}  // namespace assay::attnres_contract
