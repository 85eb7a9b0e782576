#include "harness/engine/whole.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <limits>

#include "harness/core/error.h"
#include "harness/core/registry.h"
#include "harness/engine/interval.h"
#include "harness/engine/replay.h"

namespace assay {
namespace {

constexpr double kLeast = 1e-4, kFactor = 8;
// Of a row beside the root mean square of all: zero. Gradients of weights that decide nothing are,
// those of the first layer, which has one source.
constexpr double kZero = 1e-12;
constexpr double kMostSilent = 0.01;  // share of an output that zeros may pass for

const Variant& schedule_of(const Problem& problem) {
  for (const Variant* variant : variants())
    if (variant->op == problem.op && variant->backend == Backend::cpu && variant->steps)
      return *variant;
  throw UsageError(problem.op + " can't be judged: no variant on the cpu lists its steps");
}

// Squares of norms, of a row or of all.
struct Norms {
  double want = 0;   // of the definition
  double error = 0;  // NaN: a number that is none, or the reverse
  double ideal = 0;  // the error of the replay

  void operator+=(const Norms& other) {
    want += other.want;
    error += other.error;
    ideal += other.ideal;
  }
};

// What one element adds.
Norms of_element(double want, double got, double replayed) {
  constexpr double kNaN = std::numeric_limits<double>::quiet_NaN();
  if (std::isnan(want)) return {.error = std::isnan(got) ? 0 : kNaN};
  const double error = std::isfinite(got) ? got - want : kNaN;
  const double ideal = replayed - want;
  return {want * want, error * error, ideal * ideal};
}

// What a row of a layer's weights may be off by, as a share, however little the replay is: a
// program that needs the running sums of a block once more may take outputs of layers off the last
// one again, instead of adding them up anew. The first sums then have the roundings of the last,
// and with identity layers sums up to double with each. Beyond half of a row it is useless.
double of_sums_taken_apart(const Problem& problem) {
  const auto layers = static_cast<double>(std::min(problem.dim("S"), problem.dim("L")));
  return std::min(0.5, unit_roundoff(problem.dtype) * std::exp2(layers - 1));
}

// Infinite where there is no number: that is beyond every limit.
double ratio(double error, double of) {
  const double share = error == 0 ? 0 : error / of;
  return std::isnan(share) ? std::numeric_limits<double>::infinity() : share;
}

// One output, row by row.
class Rows {
 public:
  // least: share of a row that it may be off by, whatever the replay is.
  Rows(const Expected& want, const TensorView& got, const TensorView& replayed, double least)
      : want_(want), got_(got), least_(least), row_(got.spec.row_elements()) {
    for (std::int64_t i = 0; i < want.size; ++i) {
      if (i % row_ == 0) rows_.emplace_back();
      rows_.back() += of_element(want.value[static_cast<std::size_t>(i)], value(i),
                                 value_at(replayed.spec, replayed.data, i));
    }
    for (const Norms& row : rows_) all_ += row;
  }

  std::size_t count() const { return rows_.size(); }
  double norm(std::size_t row) const { return std::sqrt(rows_[row].want); }
  double error(std::size_t row) const { return std::sqrt(rows_[row].error); }
  // Of a row: where the replay leaves less than on the average, that.
  double limit(std::size_t row) const {
    const double share = std::max({least_, kLeast, kFactor * ratio(ideal(), norm())});
    return std::max(share * norm(row), kFactor * std::sqrt(rows_[row].ideal));
  }
  double utilisation(std::size_t row) const { return ratio(error(row), limit(row)); }
  // Of all of them.
  double norm() const { return std::sqrt(all_.want); }
  double error() const { return std::sqrt(all_.error); }
  double limit() const { return std::max(kLeast * norm(), kFactor * ideal()); }
  double utilisation() const { return ratio(error(), limit()); }
  double error_rms() const { return std::sqrt(all_.error / static_cast<double>(want_.size)); }

  // Of the elements that are not zero, the share in rows that might as well be.
  double zero_accepted() const {
    double nonzero = 0, accepted = 0;
    for (std::size_t row = 0; row < count(); ++row) {
      if (norm(row) <= kZero * std::sqrt(all_.want / static_cast<double>(count()))) continue;
      ++nonzero;
      if (!(limit(row) < norm(row))) ++accepted;
    }
    return nonzero > 0 ? accepted / nonzero : 0;
  }

  // That with the largest error in a row.
  Element worst(std::size_t row) const {
    const std::int64_t first = static_cast<std::int64_t>(row) * row_;
    std::int64_t at = first;
    for (std::int64_t i = first; i < first + row_; ++i)
      if (distance(i) > distance(at)) at = i;
    return {coordinates(got_.spec, at), want_.value[static_cast<std::size_t>(at)], value(at),
            limit(row), distance(at) / limit(row)};
  }
  // Its place in the output.
  std::int64_t index(const Element& element) const {
    std::int64_t index = 0;
    for (std::size_t axis = 0; axis < element.index.size(); ++axis)
      index = index * got_.spec.shape[axis] + element.index[axis];
    return index;
  }

 private:
  double ideal() const { return std::sqrt(all_.ideal); }
  double value(std::int64_t i) const { return value_at(got_.spec, got_.data, i); }
  double distance(std::int64_t i) const {
    const double error =
        std::sqrt(of_element(want_.value[static_cast<std::size_t>(i)], value(i), 0).error);
    return std::isnan(error) ? std::numeric_limits<double>::infinity() : error;
  }

  const Expected& want_;
  const TensorView& got_;
  double least_;
  std::int64_t row_;  // elements
  std::vector<Norms> rows_;
  Norms all_;
};

}  // namespace

Problem judged_as(const Problem& problem) {
  constexpr std::int64_t kTokens = 4, kDim = 64, kLeastDim = 8;
  // The definition of the gradients is differentiated forwards: (L·D)^2 · T.
  constexpr std::int64_t kMostWeights = 1 << 13;
  std::int64_t dim = kDim;
  while (dim > kLeastDim && dim * problem.dim("L") > kMostWeights) dim /= 2;
  Problem judged = shortened(problem, kTokens, dim);
  judged.family = problem.family;
  return judged;
}

WholeJudge::WholeJudge(const Problem& problem)
    : op_(op_of(problem)), problem_(problem), schedule_(schedule_of(problem)) {
  const Problem judged = judged_as(problem);
  if (str(judged) != str(problem))
    throw UsageError(fmt::format(
        "`{}` can't be judged: networks are, on few tokens and short rows, with all that is "
        "optional. Export `{}` and let the same program compute that",
        str(problem), str(judged)));
}

std::vector<Check> WholeJudge::judge(Subject subject, const Tensors& inputs,
                                     const std::vector<TensorView>& outputs) {
  const Replay replay(schedule_, problem_, inputs, Inside::fp32);
  const std::vector<Expected> expected = op_.reference(problem_, inputs, {});
  std::vector<Check> checks;
  for (const TensorView& got : outputs) {
    const std::string& name = got.spec.name;
    const auto want =
        std::find_if(expected.begin(), expected.end(),
                     [&](const Expected& candidate) { return candidate.output == name; });
    const bool of_layers = batch_axis(op_, got.spec) < 0 && got.spec.shape.size() > 1;
    const Rows rows(*want, got, replay[name], of_layers ? of_sums_taken_apart(problem_) : 0);
    Check& check = checks.emplace_back(make_check("schedule", subject, name));
    check.elements = want->size;
    check.error_normwise = ratio(rows.error(), rows.norm());
    check.error_rms = rows.error_rms();
    check.zero_accepted = rows.zero_accepted();
    const auto silent = zero_accepted_.try_emplace(name, check.zero_accepted).first;
    silent->second = std::min(silent->second, check.zero_accepted);
    std::size_t worst = 0;
    std::int64_t wrong = 0;
    for (std::size_t row = 0; row < rows.count(); ++row) {
      if (!(rows.utilisation(row) <= 1)) ++wrong;
      if (rows.utilisation(row) > rows.utilisation(worst)) worst = row;
    }
    check.utilisation = std::max(rows.utilisation(worst), rows.utilisation());
    check.worst = rows.worst(worst);
    check.wrong = wrong * got.spec.row_elements();
    if (check.utilisation <= 1) continue;
    check.status = Status::failed;
    check.reason = fmt::format(
        "{} = {:.9g}, want {:.9g}, in the worst row: its error is {:.3g} of {:.3g}, right "
        "schedules "
        "leave {:.3g} at most; {} of {} rows wrong; the error of {} is {:.3g} of {:.3g}, right "
        "schedules leave {:.3g} at most",
        place(op_, got.spec, rows.index(*check.worst)), check.worst->got, check.worst->want,
        rows.error(worst), rows.norm(worst), rows.limit(worst), wrong, rows.count(), name,
        rows.error(), rows.norm(), rows.limit());
  }
  return checks;
}

std::vector<Check> WholeJudge::judge_power() const {
  std::vector<Check> checks;
  for (const auto& [output, share] : zero_accepted_) {
    if (share <= kMostSilent) continue;
    Check& check = checks.emplace_back(make_check("power", {nullptr, 0}, output));
    check.status = Status::mistrusted;
    check.zero_accepted = share;
    check.reason =
        fmt::format("zeros would pass for {:.1f} % of {} on these inputs, in these dtypes",
                    100 * share, output);
  }
  return checks;
}

}  // namespace assay
