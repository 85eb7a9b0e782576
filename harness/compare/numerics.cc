#include "harness/compare/numerics.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <string_view>

namespace assay {
namespace {

// Larger is better: what is promised of equal inputs. Not among them: promises nothing.
int promise(std::string_view repeatability) {
  constexpr std::string_view kPromises[] = {"order_dependent", "bitwise", "batch_invariant"};
  const auto* found = std::find(std::begin(kPromises), std::end(kPromises), repeatability);
  return found == std::end(kPromises) ? -1 : static_cast<int>(found - std::begin(kPromises));
}

bool is_same_check(const Check& a, const Check& b) {
  return a.kind == b.kind && a.family == b.family && a.seed == b.seed && a.output == b.output;
}

bool is_numeric(const Check& check) {
  return !check.output.empty() && check.kind != "repeat" && check.kind != "replay" &&
         check.kind != "twin" && check.kind != "missing" && check.kind != "power";
}

std::string name_of(const Check& check) {
  return fmt::format("{} (family {}, seed {}, check {})", check.output, check.family, check.seed,
                     check.kind);
}

// The check whose figure grew most.
struct Growth {
  const Check* check = nullptr;
  double was = 0, is = 0;
  void offer(const Check& candidate, double before, double now) {
    const auto growth = [](double from, double to) { return from > 0 ? to / from : INFINITY; };
    if (check && !(growth(before, now) > growth(was, is))) return;
    *this = {&candidate, before, now};
  }
};

void compare_verdicts(const Record& base, const Record& next, std::vector<NumericChange>& found) {
  if (base.status == next.status) return;
  // What never passed can't get worse.
  const bool worse = base.status == Status::passed;
  found.push_back({"verdict", worse,
                   fmt::format("{}, now {}{}{}", name(base.status), name(next.status),
                               next.reason.empty() ? "" : ": ", next.reason)});
}

void compare_errors(const Record& base, const Record& next, const Thresholds& thresholds,
                    std::vector<NumericChange>& found) {
  // Below this share of the values themselves nothing was rounded: an eighth of a unit of fp32.
  constexpr double kNoise = 0x1p-27;
  Growth utilisation, error;
  std::size_t hint = 0;  // checks come in the same order, mostly
  for (const Check& is : next.checks) {
    if (!is_numeric(is)) continue;
    std::size_t tried = 0;
    while (tried < base.checks.size() &&
           !is_same_check(base.checks[(hint + tried) % base.checks.size()], is))
      ++tried;
    if (tried == base.checks.size()) continue;
    const std::size_t place = (hint + tried) % base.checks.size();
    const Check& was = base.checks[place];
    hint = place + 1;
    if (!(is.utilisation <= thresholds.utilisation_floor) &&
        !(is.utilisation <= thresholds.utilisation_factor * was.utilisation))
      utilisation.offer(is, was.utilisation, is.utilisation);
    const double values = is.error_normwise > 0 ? is.error_rms / is.error_normwise : 0;
    if (!(is.error_rms <= kNoise * values) &&
        !(is.error_rms <= thresholds.error_factor * was.error_rms))
      error.offer(is, was.error_rms, is.error_rms);
  }
  if (utilisation.check)
    found.push_back({"utilisation", true,
                     fmt::format("error/bound of {} was {:.3f}, now {:.3f}",
                                 name_of(*utilisation.check), utilisation.was, utilisation.is)});
  if (error.check)
    found.push_back({"error", true,
                     fmt::format("rms error of {} was {:.3g}, now {:.3g}", name_of(*error.check),
                                 error.was, error.is)});
}

void compare_promises(const Record& base, const Record& next, std::vector<NumericChange>& found) {
  if (base.repeatability != next.repeatability && promise(base.repeatability) >= 0)
    found.push_back({"repeatability", promise(next.repeatability) < promise(base.repeatability),
                     fmt::format("declared {}, now {}", base.repeatability, next.repeatability)});
  if (base.numerics != next.numerics)
    found.push_back(
        {"numerics", false, fmt::format("declared {}, now {}", base.numerics, next.numerics)});
}

}  // namespace

std::vector<NumericChange> compare_numerics(const Record& base, const Record& next,
                                            const Thresholds& thresholds) {
  std::vector<NumericChange> found;
  compare_verdicts(base, next, found);
  if (base.status == Status::passed && next.status == Status::passed)
    compare_errors(base, next, thresholds, found);
  compare_promises(base, next, found);
  return found;
}

}  // namespace assay
