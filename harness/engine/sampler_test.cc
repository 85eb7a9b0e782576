#include "harness/engine/sampler.h"

#include <cmath>

#include "harness/testing.h"

namespace assay {
namespace {

// Samples by a formula of their number.
class Source {
 public:
  explicit Source(std::function<Sample(int)> make) : make_(std::move(make)) {}
  Sampled take(const SamplingRule& rule) {
    return take_samples(
        rule,
        [this](int n) {
          std::vector<Sample> samples;
          for (int i = 0; i < n; ++i) samples.push_back(make_(taken_++));
          return samples;
        },
        clock_, [this] { ++pauses_; });
  }
  int pauses() const { return pauses_; }
  int taken() const { return taken_; }

 private:
  std::function<Sample(int)> make_;
  int taken_ = 0, pauses_ = 0;
  UsualClock clock_;
};

Source constant(double seconds) {
  return Source([seconds](int) { return Sample{.seconds = seconds}; });
}

// Evenly spread over 1 ± half of `width`, in a mixed order.
double spread(int i, double width) { return 1 + width * (std::fmod(i * 0.618034, 1.0) - 0.5); }

}  // namespace

TEST_CASE("samples are enough when both minima are reached and the median is precise",
          "[sampler]") {
  const SamplingRule rule = {.min_samples = 10, .min_seconds = 0.5, .max_samples = 1000};
  const Sampled many = constant(1.0 / 64).take(rule);
  CHECK(many.samples.size() == 32);
  CHECK(many.stopped == "precise");
  CHECK(constant(1).take(rule).samples.size() == 10);
  CHECK(constant(1).take({.min_samples = 30, .min_seconds = 0}).samples.size() == 30);
}

TEST_CASE("noise asks for more samples until it is low", "[sampler]") {
  Source source([](int i) { return Sample{.seconds = spread(i, 0.2)}; });
  const Sampled sampled =
      source.take({.min_samples = 10, .min_seconds = 0, .noise = 0.005, .max_samples = 10'000});
  CHECK(sampled.stopped == "precise");
  // Width 0.2: a standard error of 0.2 / (2 √n) is 0.005 at n = 400.
  CHECK(sampled.samples.size() > 200);
  CHECK(sampled.samples.size() < 900);
}

TEST_CASE("noise that does not fall any more ends the sampling", "[sampler]") {
  // Two levels, by longer and longer turns: no number of samples makes the median certain.
  Source source([](int i) {
    return Sample{.seconds = static_cast<int>(std::log2(i + 1) * 2) % 2 == 0 ? 1.0 : 2.0};
  });
  const Sampled sampled =
      source.take({.min_samples = 10, .min_seconds = 0, .noise = 1e-9, .max_samples = 1'000'000});
  CHECK(sampled.stopped == "steady");
  CHECK(sampled.samples.size() < 2000);
}

TEST_CASE("sampling ends with the time or the number of samples", "[sampler]") {
  const Sampled count =
      constant(1e-6).take({.min_samples = 10, .min_seconds = 9, .max_samples = 200});
  CHECK(count.samples.size() == 200);
  CHECK(count.stopped == "count");
  const Sampled time = constant(1e-6).take(
      {.min_samples = 50, .min_seconds = 9, .max_seconds = 0, .max_samples = 200});
  CHECK(time.samples.size() == 10);
  CHECK(time.stopped == "time");
}

TEST_CASE("throttled samples are taken again after a pause", "[sampler]") {
  Source source(
      [](int i) { return Sample{.seconds = 1, .sm_mhz = i >= 5 && i < 8 ? 1200.0F : 1980.0F}; });
  const Sampled sampled = source.take({.min_samples = 20, .min_seconds = 0});
  CHECK(sampled.samples.size() >= 20);
  CHECK(sampled.repeated == 3);
  CHECK(source.pauses() == 1);
  for (const Sample& sample : sampled.samples) CHECK_FALSE(sample.throttled);
}

TEST_CASE("a clock is throttled against the usual one", "[sampler]") {
  UsualClock clock;
  CHECK_FALSE(clock.is_throttled(1000));
  clock.see(2085);
  CHECK(clock.is_throttled(1850));
  clock.made_for_mhz = 1980;
  CHECK_FALSE(clock.is_throttled(1850));
  CHECK(clock.is_throttled(1700));
  CHECK_FALSE(clock.is_throttled(0));  // not known
}

TEST_CASE("samples that stay throttled are kept and marked", "[sampler]") {
  Source source([](int i) { return Sample{.seconds = 1, .sm_mhz = i == 0 ? 1980.0F : 1200.0F}; });
  const Sampled sampled = source.take({.min_samples = 20, .min_seconds = 0});
  CHECK(sampled.samples.size() >= 20);
  CHECK(source.pauses() == 3);
  CHECK(sampled.samples.front().sm_mhz == 1980);
  CHECK_FALSE(sampled.samples.front().throttled);
  CHECK(sampled.samples.back().throttled);
}

}  // namespace assay
