// Inputs of attnres_merge_fwd for which every bit of H is known, whatever the order of the
// arithmetic, and from which a wrong element tells what was read instead. Compiled with
// -ffp-contract=off.
//
// The columns of D are keys (one in four) and codes, as in attnres_fwd's exact family: c is 0 on
// codes, and a row of P that is 0 in all keys has a logit of exactly 0. By turns a token's L1 is 0
// (β is exactly 1/2), 1000 (β = 0, H = O1) or -1000 (β = 1, H = P), or its P has ±2 in one key,
// which makes its logit ±800 or more beside an L1 of 0. Codes are integers below 128, times 2^-7:
// H, the mean of two of them, has 8 bits, and so have the difference of P and O1 and all that may
// be rounded to 16 bits on the way. U is made of codes as well, and P of what is left: their sum is
// exact.
//
// LSE is not among the exact outputs: it is a logarithm.
#include <fmt/format.h>

#include <cmath>
#include <cstdlib>

#include "reference/attnres_inputs.h"
#include "reference/attnres_merge_fwd_contract.h"
#include "reference/families.h"

namespace assay::attnres_merge_contract {
namespace {

using namespace attnres_inputs;

constexpr std::uint64_t kO1 = 16, kU = 18;
constexpr double kMaxEps = 1000;

enum class Kind : std::uint8_t { tie, only_o1, only_p, logit_up, logit_down };
Kind kind_of(std::uint64_t seed, std::int64_t t) {
  return static_cast<Kind>((static_cast<std::uint64_t>(t) + seed) % 5);
}

struct Keys {
  std::int64_t step, first, count;

  Keys(const Size& size, std::uint64_t seed)
      : step(std::min<std::int64_t>(4, size.dim)),
        first(static_cast<std::int64_t>(seed % static_cast<std::uint64_t>(step))),
        count((size.dim - first + step - 1) / step) {}

  bool is_key(std::int64_t d) const { return d % step == first; }
  std::int64_t column(std::int64_t i) const { return first + rotating_column(i, count) * step; }
};

// -1 or 1, by column.
float sign(std::uint64_t seed, std::int64_t d) {
  return random_word({seed, kPlace}, d) % 2 == 0 ? 1.0f : -1.0f;
}

// A code from random bits: a magnitude in [1, 127] / 128 and a sign.
float code(std::uint32_t bits) {
  const float magnitude = static_cast<float>(1 + ((bits & 0xffff) * 127 >> 16)) / 128;
  return bits >> 31 != 0 ? -magnitude : magnitude;
}

void fill_weights(const Problem& problem, std::uint64_t seed, const Tensors& inputs) {
  const Size size(problem);
  const Keys keys(size, seed);
  // No element of P exceeds 2, so r >= 1/√(4 + eps), and 2c r >= 800.
  const double least = 400 * std::sqrt(4 + problem.real("eps"));
  const int exponent = static_cast<int>(std::ceil(std::log2(least)));
  const TensorView* const g_tensor = inputs.find("g");
  std::vector<float> w(static_cast<std::size_t>(size.dim)), g(w.size(), 1.0f);
  for (std::int64_t d = 0; d < size.dim; ++d) {
    const auto at = static_cast<std::size_t>(d);
    const auto word = random_word({seed, kG}, d);
    if (keys.is_key(d)) {
      if (g_tensor)
        g[at] = std::ldexp(word >> 31 != 0 ? -1.0f : 1.0f, static_cast<int>(word % 3) - 1);
      w[at] = sign(seed, d) * std::ldexp(1.0f, exponent) / g[at];
    } else {
      const bool zero_weight = !g_tensor || word % 2 == 0;
      w[at] = zero_weight ? 0 : 0.75f;
      if (g_tensor) g[at] = zero_weight ? 1.5f : 0;
    }
  }
  store_floats(inputs["w"], w);
  if (g_tensor) store_floats(*g_tensor, g);
}

void fill_exact(const Problem& problem, std::uint64_t seed, const Tensors& inputs) {
  fill_weights(problem, seed, inputs);
  const Size size(problem);
  const Keys keys(size, seed);
  const bool updates = inputs.find("U") != nullptr;
  const auto offset = static_cast<std::int64_t>(seed % 65536);
  // The row's P + U, U, and what is left for P.
  const auto sum_at = [&](std::int64_t t, std::int64_t d) -> float {
    if (!keys.is_key(d)) return code(random_word({seed, kV}, t * size.dim + d));
    const Kind kind = kind_of(seed, t);
    if (kind != Kind::logit_up && kind != Kind::logit_down) return 0;
    if (d != keys.column(t + offset)) return 0;
    return (kind == Kind::logit_up ? 2 : -2) * sign(seed, d);
  };
  const auto update_at = [&](std::int64_t t, std::int64_t d) -> float {
    return keys.is_key(d) ? sign(seed, t + d) : code(random_word({seed, kU}, t * size.dim + d));
  };
  const auto write = [&](const char* name, const auto& at) {
    fill_edited(inputs[name], {seed, kV}, [&](std::int64_t t, float* values) {
      for (std::int64_t d = 0; d < size.dim; ++d) values[d] = at(t, d);
    });
  };
  write("P", [&](std::int64_t t, std::int64_t d) {
    return updates ? sum_at(t, d) - update_at(t, d) : sum_at(t, d);
  });
  if (updates) write("U", update_at);
  write("O1", [&](std::int64_t t, std::int64_t d) {
    return code(random_word({seed, kO1}, t * size.dim + d));
  });
  std::vector<float> l1(static_cast<std::size_t>(size.tokens));
  for (std::int64_t t = 0; t < size.tokens; ++t) {
    const Kind kind = kind_of(seed, t);
    l1[static_cast<std::size_t>(t)] = kind == Kind::only_o1  ? 1000.0f
                                      : kind == Kind::only_p ? -1000.0f
                                                             : 0.0f;
  }
  store_floats(inputs["L1"], l1);
}

std::string exact_inapplicable(const Problem& problem) {
  if (problem.dim("D") < 2) return "takes two columns: one for the logits, one for the codes";
  if (problem.real("eps") > kMaxEps) return "eps outweighs any row whose logit could be -800";
  return "";
}

// What a wrong element of H says about P and O1: the inputs alone tell which of them count.
class Detective {
 public:
  Detective(const Problem& problem, const Tensors& inputs, std::int64_t index)
      : size_(problem),
        t_(index / size_.dim),
        d_(index % size_.dim),
        o1_(load_floats(inputs["O1"])) {
    const std::vector<double> c = folded_weights(inputs);
    std::vector<double> row(static_cast<std::size_t>(size_.dim)), sum(row);
    double score = 0;
    for (std::int64_t t = 0; t < size_.tokens; ++t) {
      load_row(inputs, t, size_.dim, row.data(), sum.data());
      p_.insert(p_.end(), row.begin(), row.end());
      for (std::size_t d = 0; t == t_ && d < row.size(); ++d) score += c[d] * row[d];
    }
    const float l1 = load_floats(inputs["L1"])[static_cast<std::size_t>(t_)];
    beta_ = score == l1 ? 0.5 : score > l1 ? 1 : 0;
    if (inputs.find("U")) before_ = load_floats(inputs["P"]);
  }

  std::string explain(double got) const {
    if (!std::isfinite(got)) return "";
    const double p = at(p_, t_, d_), o1 = at(o1_, t_, d_);
    if (!before_.empty() && got == (1 - beta_) * o1 + beta_ * at(before_, t_, d_))
      return place("U", t_, d_) + " is missing";
    std::string best;
    std::int64_t distance = INT64_MAX;
    if (beta_ > 0) search("P", p_, (got - (1 - beta_) * o1) / beta_, best, distance);
    if (beta_ < 1) search("O1", o1_, (got - beta_ * p) / (1 - beta_), best, distance);
    return best;
  }

 private:
  template <class Values>
  double at(const Values& values, std::int64_t t, std::int64_t d) const {
    return values[static_cast<std::size_t>(t * size_.dim + d)];
  }

  static std::string place(const char* tensor, std::int64_t t, std::int64_t d) {
    return fmt::format("{}[t={}, d={}]", tensor, t, d);
  }

  // Elements that differ from (t_, d_) in one coordinate: of those with the right value the
  // nearest.
  template <class Values>
  void search(const char* tensor, const Values& values, double wanted, std::string& best,
              std::int64_t& distance) const {
    if (wanted == 0) return;  // keys are 0: this would be found anywhere
    const auto consider = [&](std::int64_t t, std::int64_t d) {
      const std::int64_t far = 4 * std::abs(t - t_) + std::abs(d - d_);
      if (far == 0 || far >= distance || at(values, t, d) != wanted) return;
      distance = far;
      best = place(tensor, t, d) + " was read instead of " + place(tensor, t_, d_);
    };
    for (std::int64_t d = 0; d < size_.dim; ++d) consider(t_, d);
    for (std::int64_t t = 0; t < size_.tokens; ++t) consider(t, d_);
  }

  Size size_;
  std::int64_t t_, d_;
  std::vector<float> o1_, before_;  // before_: P without U, where there is one
  std::vector<double> p_;
  double beta_;
};

std::string read_instead(const Problem& problem, const Tensors& inputs, const std::string& output,
                         std::int64_t index, double got) {
  if (output != "H") return "";
  return Detective(problem, inputs, index).explain(got);
}

}  // namespace

Family exact_family() {
  return {.name = "exact",
          .meaning = "weights of 0, 1/2 and 1, codes tell what was read",
          .fill = fill_exact,
          .inapplicable = exact_inapplicable,
          .exact = {"H"},
          .read_instead = read_instead};
}

}  // namespace assay::attnres_merge_contract
