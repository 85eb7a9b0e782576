// Kernels that are wrong in the ways that a harness most easily misses: each must be rejected, at
// the right element.
#include "harness/engine/run_case.h"

#include <algorithm>
#include <cstring>
#include <limits>
#include <memory>
#include <set>
#include <utility>

#include "harness/core/host.h"
#include "harness/core/registry.h"
#include "harness/engine/suite.h"
#include "harness/testing.h"
#include "harness/testing_device.h"

namespace assay {
namespace {

const Variant& correct() {
  for (const Variant* variant : variants())
    if (variant->id() == "attnres_fwd/fused@cpu") return *variant;
  throw std::logic_error("attnres_fwd/fused@cpu is not registered");
}

// What a planted bug may touch after the correct kernel has run: the outputs, and how often it ran
// with these buffers.
using Tamper = std::function<void(const Buffers&, int run)>;

Record run_with(const Tamper& tamper, const char* text, bool verify_only = true) {
  Variant variant = correct();
  variant.name = "planted";
  variant.strided = false;  // bugs are planted at elements of packed tensors
  variant.prepare = [tamper](const Problem& problem, const Buffers& buffers) -> Launch {
    return [launch = correct().prepare(problem, buffers), buffers, tamper,
            run = std::make_shared<int>(0)](Stream stream) {
      launch(stream);
      tamper(buffers, (*run)++);
    };
  };
  const auto device = find_platform(Backend::cpu)->open(0);
  Oracle oracle(available_memory());
  RunOptions options;
  options.verify_only = verify_only;
  options.measure.sampling = {
      .min_samples = 10, .min_seconds = 0, .max_seconds = 5, .max_samples = 100};
  return run_case({parse_problem(text), &variant, device.get()}, oracle, options);
}

constexpr const char* kProblem = "attnres_fwd dtype=f32 N=5 Q=2 T=7 D=33";

// Element O[q=1, t=4, d=17] of kProblem.
float& victim(const Buffers& buffers) { return buffers["O"].as<float>()[(1 * 7 + 4) * 33 + 17]; }

bool contains(const std::string& text, const char* part) {
  return text.find(part) != std::string::npos;
}

}  // namespace

TEST_CASE("a variant is asked for nothing about a problem that it cannot run") {
  Variant variant = correct();
  variant.unsupported = [](const Problem&) -> std::string { return "too large"; };
  variant.numerics = [](const Problem&) -> Numerics { throw std::logic_error("asked"); };
  const auto device = find_platform(Backend::cpu)->open(0);
  Oracle oracle(available_memory());
  const Record record = run_case({parse_problem(kProblem), &variant, device.get()}, oracle, {});
  CHECK(record.status == Status::unsupported);
  CHECK(record.reason == "too large");
}

TEST_CASE("an untouched kernel passes, and is timed only then") {
  const Record verified = run_with([](const Buffers&, int) {}, kProblem);
  INFO(verified.reason);
  CHECK(verified.status == Status::passed);
  CHECK(verified.measurements.empty());
  CHECK(verified.repro ==
        "assay run 'attnres_fwd dtype=f32 N=5 Q=2 T=7 D=33' --variant planted@cpu --seed 1");
  for (const Check& check : verified.checks) CHECK(check.utilisation < 0.7);

  const Record timed = run_with([](const Buffers&, int) {}, kProblem, false);
  CHECK(timed.status == Status::passed);
  REQUIRE(timed.measurements.size() == 2);
  CHECK(timed.measurements[0].cache == "cold");
  CHECK(timed.measurements[1].cache == "hot");
  CHECK(timed.measurements[1].buffer_sets == 1);
  CHECK_FALSE(timed.spent.empty());
  const Measurement& measurement = timed.measurements[0];
  CHECK(measurement.samples >= 10);
  CHECK(measurement.p05 > 0);
  CHECK(measurement.p05 <= measurement.median);
  CHECK(measurement.median <= measurement.p95);
  CHECK(measurement.low <= measurement.median);
  CHECK(measurement.median <= measurement.high);
  CHECK(measurement.floor > 0);
  CHECK(static_cast<std::int64_t>(measurement.taken.size()) == measurement.samples);
  CHECK(measurement.buffer_sets >= 2);
  CHECK(measurement.bytes_read == 4.0 * (5 * 7 * 33 + 2 * 33));
  CHECK(measurement.bytes_written == 4.0 * (2 * 7 * 33 + 2 * 7));
  CHECK(timed.checks.back().kind == "fresh");
}

TEST_CASE("a wrong element is rejected with its coordinates") {
  // 1 % of one element out of 462: far inside any usual tolerance for the whole tensor.
  const Record record = run_with([](const Buffers& b, int) { victim(b) *= 1.01F; }, kProblem);
  CHECK(record.status == Status::failed);
  INFO(record.reason);
  CHECK(contains(record.reason, "O[q=1, t=4, d=17] = "));
  CHECK(contains(record.reason, "1 of 462 elements wrong"));
}

TEST_CASE("a NaN is rejected with its coordinates") {
  const Record record = run_with(
      [](const Buffers& b, int) { victim(b) = std::numeric_limits<float>::quiet_NaN(); }, kProblem);
  CHECK(record.status == Status::failed);
  CHECK(contains(record.reason, "O[q=1, t=4, d=17] = nan"));
}

TEST_CASE("an output that is not written is rejected, whatever the memory held before") {
  // The kernel "forgets" one element: what was there stays.
  const auto before = std::make_shared<float>();
  Variant variant = correct();
  variant.prepare = [before](const Problem& problem, const Buffers& buffers) -> Launch {
    return [launch = correct().prepare(problem, buffers), buffers](Stream stream) {
      const float old = victim(buffers);
      launch(stream);
      victim(buffers) = old;
    };
  };
  const auto device = find_platform(Backend::cpu)->open(0);
  Oracle oracle(available_memory());
  const Record record = run_case({parse_problem(kProblem), &variant, device.get()}, oracle, {});
  CHECK(record.status == Status::failed);
  INFO(record.reason);
  CHECK(contains(record.reason, "O[q=1, t=4, d=17] = "));
  CHECK(contains(record.reason, "(not written)"));
  CHECK(record.measurements.empty());
}

TEST_CASE("an output that is right in the first run only is rejected") {
  const Record record =
      run_with([](const Buffers& b, int run) { victim(b) += run > 0 ? 0.5F : 0; }, kProblem);
  CHECK(record.status == Status::failed);
  INFO(record.reason);
  CHECK(contains(record.reason, "O[q=1, t=4, d=17] = "));
  CHECK(contains(record.reason, "in the next"));
}

TEST_CASE("an output that is right until it is timed is rejected") {
  // As often as verification alone runs it, over all buffer sets.
  const auto runs = std::make_shared<int>(0);
  run_with([runs](const Buffers&, int) { ++*runs; }, kProblem);
  const int patience = std::exchange(*runs, 0);
  const Record record = run_with(
      [runs, patience](const Buffers& b, int) { victim(b) += (*runs)++ >= patience ? 0.5F : 0; },
      kProblem, false);
  CHECK(record.status == Status::failed);
  INFO(record.reason);
  CHECK(contains(record.reason, "O[q=1, t=4, d=17] = "));
  CHECK(contains(record.reason, "check after_timing"));
}

TEST_CASE("outputs kept from the inputs that were timed are rejected") {
  // Right for what lies behind the pointers while it is timed, and never computed again.
  const auto runs = std::make_shared<int>(0);
  run_with([runs](const Buffers&, int) { ++*runs; }, kProblem);
  const int patience = *runs;
  Variant variant = correct();
  variant.prepare = [patience, count = std::make_shared<int>(0)](const Problem& problem,
                                                                 const Buffers& buffers) -> Launch {
    return [launch = correct().prepare(problem, buffers), buffers, patience, count,
            kept = std::make_shared<std::vector<float>>()](Stream stream) {
      float* o = buffers["O"].as<float>();
      const auto size = static_cast<std::size_t>(buffers["O"].spec.elements());
      launch(stream);
      if ((*count)++ < patience) return;
      if (kept->empty()) kept->assign(o, o + size);
      std::copy(kept->begin(), kept->end(), o);
    };
  };
  const auto device = find_platform(Backend::cpu)->open(0);
  Oracle oracle(available_memory());
  RunOptions options;
  options.measure.sampling = {
      .min_samples = 10, .min_seconds = 0, .max_seconds = 5, .max_samples = 100};
  const Record record =
      run_case({parse_problem(kProblem), &variant, device.get()}, oracle, options);
  CHECK(record.status == Status::failed);
  INFO(record.reason);
  CHECK(contains(record.reason, "check fresh"));
}

TEST_CASE("an input that is written and a byte outside of the buffers are rejected") {
  const auto kinds = [](const Tamper& tamper) {
    std::set<std::string> failed;
    for (const Check& check : run_with(tamper, kProblem).checks)
      if (check.status != Status::passed) failed.insert(check.kind);
    return failed;
  };
  using Kinds = std::set<std::string>;
  CHECK(kinds([](const Buffers& b, int) { b["w"].as<float>()[3] += 1; }).count("inputs") == 1);
  CHECK(kinds([](const Buffers& b, int) { b["O"].as<float>()[2L * 7 * 33] = 1; }) ==
        Kinds{"guards"});
  CHECK(kinds([](const Buffers& b, int) { b["V"].as<float>()[-1000] = 1; }) == Kinds{"guards"});
}

TEST_CASE("the scalar output is judged like the large one") {
  const Record record =
      run_with([](const Buffers& b, int) { b["LSE"].as<float>()[9] *= 1.001F; }, kProblem);
  CHECK(record.status == Status::failed);
  CHECK(contains(record.reason, "LSE[q=1, t=2] = "));
}

TEST_CASE("a case takes every schedule, or the one that is named") {
  // A CPU device that claims a choice, and notes what it is asked for.
  struct Scheduled final : ForwardingDevice {
    std::vector<std::string> asked;

    std::vector<std::string> schedules() const override { return {"a", "b", "c", "d"}; }
    void use_schedule(const Execution& execution) override { asked.push_back(execution.schedule); }
    std::vector<Sample> time(const std::vector<TimedLaunch>&) override { return {}; }
    std::string clock() const override { return ""; }
  };
  const auto asked = [](std::uint64_t seed, const std::string& schedule) {
    Scheduled device;
    Oracle oracle(available_memory());
    RunOptions options;
    options.seed = seed;
    options.verify.execution.schedule = schedule;
    const Record record = run_case({parse_problem(kProblem), &correct(), &device}, oracle, options);
    CHECK(record.status == Status::passed);
    return std::set<std::string>(device.asked.begin(), device.asked.end());
  };
  using Names = std::set<std::string>;
  CHECK(asked(2, "") == Names{"a", "b", "c", "d"});
  CHECK(asked(3, "") == Names{"a", "b", "c", "d"});
  CHECK(asked(1, "b") == Names{"b"});
}

TEST_CASE("what a kernel throws becomes the status of its case") {
  const Record record = run_with(
      [](const Buffers&, int) { throw std::runtime_error("the device is on fire"); }, kProblem);
  CHECK(record.status == Status::error);
  CHECK(record.reason == "the device is on fire");
}

TEST_CASE("a problem that does not fit in memory is an error that names the bytes") {
  const Record record =
      run_with([](const Buffers&, int) {}, "attnres_fwd dtype=bf16 N=64 T=1000000000 D=8192");
  CHECK(record.status == Status::error);
  INFO(record.reason);
  // V alone has 2 · 64 · 10⁹ · 8192 bytes; O counts 2 · 2 + 16 an element, LSE 2 · 4 + 16, w 2.
  CHECK(contains(record.reason, "needs 1212440000016384 bytes"));
}

}  // namespace assay
