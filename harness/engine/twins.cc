#include "harness/engine/twins.h"

#include <fmt/format.h>

#include <algorithm>
#include <bit>
#include <cmath>

#include "harness/core/error.h"

namespace assay {
namespace {

using Kind = Expectation::Word::Kind;

constexpr int kRepeats = 10;        // where there are no schedules
constexpr std::size_t kGuard = 64;  // words before and after the output
constexpr unsigned char kPoison = 0xcb;
constexpr std::uint32_t kPoisonWord = 0xcbcbcbcbu;

float number(std::uint32_t word) { return std::bit_cast<float>(word); }

// In units of the scale; infinite where no scale would do.
double error_of(std::uint32_t got, const Expectation::Word& want) {
  const double value = number(got);
  if (value == want.value || (std::isnan(value) && std::isnan(want.value))) return 0;
  const double error = std::abs(value - want.value) / want.scale;
  return error >= 0 ? error : INFINITY;  // NaN
}

std::string describe(const Expectation::Word& want, std::uint32_t got, double bound) {
  if (want.kind == Kind::unset) return "a word that the check expects nothing of";
  if (want.kind == Kind::bits) return fmt::format("{:#010x}, want {:#010x}", got, want.bits);
  return fmt::format("{:.9g} ({:#010x}), want {:.9g} ± {:.2g}", number(got), got, want.value,
                     bound * want.scale);
}

// Empty: all words are right.
std::string judge(const TwinCheck& check, const Expectation& want, const std::uint32_t* got,
                  double& error) {
  std::size_t wrong = 0;
  std::string first;
  for (std::size_t i = 0; i < want.words().size(); ++i) {
    const Expectation::Word& word = want.words()[i];
    bool right = word.kind == Kind::bits && got[i] == word.bits;
    if (word.kind == Kind::number) {
      const double mine = error_of(got[i], word);
      if (word.scale > 0) error = std::max(error, mine);
      right = mine <= check.bound;
    }
    if (right) continue;
    if (wrong++ == 0) first = fmt::format("out[{}] = {}", i, describe(word, got[i], check.bound));
  }
  if (wrong == 0) return "";
  return fmt::format("{}; {} of {} words wrong", first, wrong, want.words().size());
}

class CheckRun {
 public:
  CheckRun(const TwinCheck& check, Device& device)
      : check_(check),
        device_(device),
        in_(twin_inputs(check)),
        want_(check.outputs),
        input_(device, bytes(in_.size())),
        output_(device, bytes(check.outputs + 2 * kGuard)) {
    check.expect(in_, want_);
    device.name_buffer(input_.data(), bytes(in_.size()), "in", false);
    device.name_buffer(out(), bytes(check.outputs), "out", true);
    device.upload(input_.data(), in_.data(), bytes(in_.size()));
  }

  // What is wrong; empty: nothing.
  std::string once(TwinResult& result) {
    device_.fill(output_.data(), kPoison, output_.bytes());
    if (check_.initial) {
      const Words initial(check_.outputs, *check_.initial);
      device_.upload(out(), initial.data(), bytes(initial.size()));
    }
    check_.launch(static_cast<const std::uint32_t*>(input_.data()), out(), device_.stream());
    device_.synchronize();
    Words got(check_.outputs + 2 * kGuard);
    device_.download(got.data(), output_.data(), output_.bytes());
    const auto begin = got.begin() + kGuard, end = got.end() - kGuard;
    const auto is_poison = [](std::uint32_t word) { return word == kPoisonWord; };
    if (!std::all_of(got.begin(), begin, is_poison) || !std::all_of(end, got.end(), is_poison)) {
      return "words beside the output were written";
    }
    if (result.words.empty()) result.words.assign(begin, end);
    return judge(check_, want_, &*begin, result.error);
  }

 private:
  static std::int64_t bytes(std::size_t words) { return static_cast<std::int64_t>(words * 4); }
  std::uint32_t* out() const { return static_cast<std::uint32_t*>(output_.data()) + kGuard; }

  const TwinCheck& check_;
  Device& device_;
  Words in_;
  Expectation want_;
  DeviceMemory input_, output_;
};

// Calls body(what this run is called), until a text comes back, for every way of running that the
// device has.
template <class Body>
std::string for_each_run(Device& device, const Body& body) {
  const std::vector<std::string> schedules = device.schedules();
  if (schedules.empty()) {
    std::string text;
    for (int i = 0; i < kRepeats && text.empty(); ++i) text = body();
    return text;
  }
  std::string text;
  for (const std::string& schedule : schedules) {
    device.use_schedule({.schedule = schedule});
    try {
      text = body();
    } catch (const KernelFault& fault) {
      text = fault.kind + ": " + fault.what();
    }
    if (!text.empty()) {
      text = "schedule " + schedule + ": " + text;
      break;
    }
  }
  device.use_schedule({.schedule = schedules.front()});
  return text;
}

}  // namespace

std::string_view name(TwinResult::Status status) {
  switch (status) {
    case TwinResult::Status::passed:
      return "passed";
    case TwinResult::Status::failed:
      return "FAILED";
    case TwinResult::Status::unsupported:
      return "-";
  }
  return "";
}

TwinResult run_twin_check(const TwinCheck& check, Device& device) {
  TwinResult result;
  const int arch = device.info().arch;
  if (arch < check.arch.min) {
    result.status = TwinResult::Status::unsupported;
    result.text = fmt::format("needs sm_{}, this is sm_{}", check.arch.min, arch);
    return result;
  }
  try {
    CheckRun run(check, device);
    result.text = for_each_run(device, [&] { return run.once(result); });
  } catch (const std::exception& error) {
    result.text = error.what();
  }
  if (!result.text.empty()) result.status = TwinResult::Status::failed;
  return result;
}

TwinResult run_twin_refusal(const TwinRefusal& refusal, Device& device) {
  TwinResult result;
  if (!refusal.unsupported.empty()) {
    result.status = TwinResult::Status::unsupported;
    result.text = refusal.unsupported;
    return result;
  }
  try {
    refusal.attempt(device.stream());
    device.synchronize();
    result.status = TwinResult::Status::failed;
    result.text = "was not refused";
  } catch (const KernelFault& fault) {
    result.text = fault.what();
    if (fault.kind != "refused") result.status = TwinResult::Status::failed;
  } catch (const EnvironmentError& error) {
    result.text = error.what();
  }
  return result;
}

TwinDifference compare_twins(const TwinCheck& check, const Words& a, const Words& b) {
  TwinDifference difference;
  Expectation want(check.outputs);
  check.expect(twin_inputs(check), want);
  // Floats in order, as integers.
  const auto ordered = [](std::uint32_t word) {
    const auto magnitude = static_cast<std::int64_t>(word & 0x7fffffffu);
    return word >> 31 != 0 ? -magnitude : magnitude;
  };
  for (std::size_t i = 0; i < want.words().size(); ++i) {
    const Expectation::Word& word = want.words()[i];
    const float x = number(a[i]), y = number(b[i]);
    const bool is_number = word.kind == Kind::number;
    if (a[i] == b[i] || (is_number && std::isnan(x) && std::isnan(y))) continue;
    ++difference.words;
    if (!is_number) continue;
    const auto ulps = static_cast<std::uint64_t>(std::abs(ordered(a[i]) - ordered(b[i])));
    difference.ulps = std::max(difference.ulps, ulps);
    if (word.scale > 0) {
      const double apart = std::abs(static_cast<double>(x) - y) / word.scale;
      difference.error = std::max(difference.error, apart >= 0 ? apart : INFINITY);
    }
  }
  return difference;
}

}  // namespace assay
