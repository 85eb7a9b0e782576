// Large outputs that are judged where they are: on a device that can, with the host's verdicts.
#include <algorithm>
#include <functional>
#include <memory>
#include <vector>

#include "harness/core/error.h"
#include "harness/core/host.h"
#include "harness/core/registry.h"
#include "harness/engine/run_case.h"
#include "harness/engine/suite.h"
#include "harness/testing.h"
#include "harness/testing_judging_device.h"

namespace assay {
namespace {

constexpr const char* kLarge = "attnres_fwd dtype=bf16 N=2 T=1200 D=1024";
constexpr const char* kSmall = "attnres_fwd dtype=bf16 N=4 T=30 D=64";

using Tamper = std::function<void(const Buffers&)>;

// The fused kernel of the CPU, and what is done to its buffers after each launch.
Record run_on(Device& device, const Tamper& tamper, const char* problem = kLarge) {
  Variant variant = *find_variant("attnres_fwd", "fused", Backend::cpu);
  variant.prepare = [inner = variant.prepare, tamper](const Problem& problem,
                                                      const Buffers& buffers) -> Launch {
    return [launch = inner(problem, buffers), buffers, tamper](Stream stream) {
      launch(stream);
      tamper(buffers);
    };
  };
  Oracle oracle(available_memory());
  RunOptions options;
  options.verify_only = true;
  return run_case({parse_problem(problem), &variant, &device}, oracle, options);
}

void compare(const Record& there, const Record& host) {
  CHECK(there.status == host.status);
  CHECK(there.reason == host.reason);
  REQUIRE(there.checks.size() == host.checks.size());
  for (std::size_t i = 0; i < host.checks.size(); ++i) {
    const Check &a = there.checks[i], &b = host.checks[i];
    INFO(b.kind << " " << b.family << " " << b.output);
    CHECK(a.kind == b.kind);
    CHECK(a.family == b.family);
    CHECK(a.output == b.output);
    CHECK(a.status == b.status);
    CHECK(a.reason == b.reason);
    CHECK(a.wrong == b.wrong);
    CHECK(a.ulps == b.ulps);
    CHECK(a.utilisation == b.utilisation);
    CHECK(a.zero_accepted == b.zero_accepted);
    CHECK(a.error_rms == b.error_rms);
    REQUIRE(a.worst.has_value() == b.worst.has_value());
    if (!b.worst) continue;
    CHECK(a.worst->index == b.worst->index);
    CHECK(a.worst->want == b.worst->want);
    CHECK(a.worst->bound == b.worst->bound);
    CHECK(a.worst->got == b.worst->got);
  }
}

}  // namespace

TEST_CASE("a device that judges gives the host's verdicts, and does not send outputs back") {
  struct Counting final : JudgingDevice {
    std::int64_t most = 0;
    void download(void* to, const void* from, std::int64_t n) override {
      most = std::max(most, n);
      JudgingDevice::download(to, from, n);
    }
  } device;
  ForwardingDevice host;
  const Tamper nothing = [](const Buffers&) {};
  const Record there = run_on(device, nothing);
  CHECK(there.status == Status::passed);
  CHECK(device.references.size() == 2);  // a family each
  CHECK(device.most < std::int64_t{1200} * 1024 * 2);
  compare(there, run_on(host, nothing));

  const Tamper wrong = [](const Buffers& b) { b["O"].as<bf16>()[200 * 1024 + 77].bits ^= 0x100; };
  const Record failed = run_on(device, wrong);
  CHECK(failed.status == Status::failed);
  CHECK(failed.reason.find("O[q=0, t=200, d=77] = ") != std::string::npos);
  compare(failed, run_on(host, wrong));

  // Not written at all, and another value each time.
  const Tamper other = [count = std::make_shared<int>(0)](const Buffers& b) {
    b["O"].as<bf16>()[5].bits = static_cast<std::uint16_t>(0x3f80 + ++*count);
  };
  CHECK(run_on(device, other).status == Status::failed);
}

TEST_CASE("where there is no room on a device, the host judges") {
  struct Full final : JudgingDevice {
    struct NoRoom final : DeviceReference {
      void begin(std::vector<SlicedOutput>, std::int64_t) override {
        throw EnvironmentError("no room");
      }
      Window open(std::int64_t, std::int64_t) noexcept override { return {}; }
      void close(const Window&) noexcept override {}
      void upload(const Expected&) override { throw EnvironmentError("no room"); }
      void finish() override {}
      std::int64_t bytes() const override { return 0; }
      bool is_intact() override { return true; }
      Judgement judge(const TensorSpec&, const void*, bool, double) override { return {}; }
      Pair at(const std::string&, std::int64_t) override { return {}; }
      std::vector<Expected> fetch() override { return {}; }
    };
    std::unique_ptr<DeviceReference> make_reference() override {
      return std::make_unique<NoRoom>();
    }
  } device;
  CHECK(run_on(device, [](const Buffers&) {}).status == Status::passed);
  CHECK(run_on(device, [](const Buffers& b) { b["O"].as<bf16>()[9].bits ^= 0x100; }).status ==
        Status::failed);
}

TEST_CASE("steps are judged on a device where one reference fits beside the buffers") {
  struct Small final : JudgingDevice {
    explicit Small(std::int64_t bytes) { small.memory_bytes = bytes; }
    const DeviceInfo& info() const override { return small; }
    DeviceInfo small = JudgingDevice::info();
  };
  // The reference of phase 1, two queries, has 39 MB; the oracle would keep one of an eighth.
  constexpr const char* kNetwork = "block_attnres_fwd dtype=bf16 L=2 S=2 T=1200 D=1024";
  Small device(128 << 20), full(80 << 20);
  ForwardingDevice host;
  Oracle oracle(available_memory());
  RunOptions options;
  options.verify_only = true;
  const auto run = [&](Device& on) {
    return run_case(
        {parse_problem(kNetwork), find_variant("block_attnres_fwd", "fused", Backend::cpu), &on},
        oracle, options);
  };
  const Record there = run(device);
  CHECK(there.status == Status::passed);
  REQUIRE_FALSE(device.reference_bytes.empty());
  CHECK(std::ranges::max(device.reference_bytes) > device.small.memory_bytes / 8);
  CHECK(run(full).status == Status::passed);
  REQUIRE_FALSE(full.reference_bytes.empty());  // those of other steps
  CHECK(std::ranges::max(full.reference_bytes) < 39'000'000);
  compare(there, run(host));
}

TEST_CASE("references are computed while inputs are on their way") {
  struct Busy final : JudgingDevice {
    std::shared_ptr<void> upload_ahead(const std::vector<HostRange>& ranges) override {
      for (const HostRange& range : ranges)
        if (range.bytes > 1 << 20) began.push_back(references.size());
      if (began.empty()) return nullptr;
      return {this, [](Busy* device) { ++device->ended; }};
    }
    void upload(void* to, const void* from, std::int64_t n) override {
      if (n > 1 << 20) {
        CHECK(ended < began.size());
        came.push_back(references.size());
      }
      JudgingDevice::upload(to, from, n);
    }
    // How many references there were when V set out, and when it came.
    std::vector<std::size_t> began, came;
    std::size_t ended = 0;
  } device;
  const Tamper nothing = [](const Buffers&) {};
  const Record there = run_on(device, nothing);
  CHECK(there.status == Status::passed);
  CHECK(device.began == std::vector<std::size_t>{0, 1});
  CHECK(device.came == std::vector<std::size_t>{1, 2});
  CHECK(device.ended == 2);
  ForwardingDevice host;
  compare(there, run_on(host, nothing));
}

TEST_CASE("what is small is judged by the host") {
  JudgingDevice device;
  const Tamper nothing = [](const Buffers&) {};
  CHECK(run_on(device, nothing, kSmall).status == Status::passed);
  CHECK(device.references.empty());
}

TEST_CASE("a kernel that writes over the reference is found out") {
  JudgingDevice device;
  Variant variant = *find_variant("attnres_fwd", "fused", Backend::cpu);
  const Problem problem = parse_problem(kLarge);
  Oracle oracle(available_memory());
  RunOptions options;
  options.verify_only = true;
  CHECK(run_case({problem, &variant, &device}, oracle, options).status == Status::passed);
  // The next variant of the same problem and arithmetic meets the same reference.
  CHECK(run_case({problem, &variant, &device}, oracle, options).status == Status::passed);
  CHECK(device.references.size() == 2);
  Variant writer = variant;
  WindowedReference* const victim = device.references.front();
  writer.prepare = [&](const Problem& p, const Buffers& buffers) -> Launch {
    return [victim, launch = variant.prepare(p, buffers)](Stream stream) {
      launch(stream);
      victim->named("O").bound[12345] = 1000;
    };
  };
  const Record record = run_case({problem, &writer, &device}, oracle, options);
  CHECK(record.status == Status::failed);
  CHECK(record.reason.find("was overwritten") != std::string::npos);
  // It is not held against the next one, whoever has done it.
  CHECK(run_case({problem, &variant, &device}, oracle, options).status == Status::passed);
  CHECK(device.references.size() == 3);
}

}  // namespace assay
