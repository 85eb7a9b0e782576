// The cuda backend where there is a device.
#include <algorithm>
#include <cmath>
#include <optional>
#include <utility>
#include <vector>

#include "harness/backend/backend.h"
#include "harness/core/error.h"
#include "harness/core/fingerprint.h"
#include "harness/core/host_memory.h"
#include "harness/core/parallel.h"
#include "harness/engine/interval.h"
#include "harness/testing.h"
#include "harness/testing_numbers.h"

namespace assay {
namespace {

std::unique_ptr<Device> open_cuda() {
  Platform* platform = find_platform(Backend::cuda);
  return platform && !platform->devices().empty() ? platform->open(0) : nullptr;
}

}  // namespace

TEST_CASE("what is uploaded in several pieces comes back whole", "[cuda]") {
  const auto device = open_cuda();
  if (!device) ASSAY_SKIP("no CUDA device");
  for (const std::int64_t bytes : {std::int64_t{1}, std::int64_t{1} << 20, (std::int64_t{16} << 20),
                                   (std::int64_t{50} << 20) + 13}) {
    std::vector<unsigned char> sent(static_cast<std::size_t>(bytes)), back(sent.size(), 0);
    for (std::size_t i = 0; i < sent.size(); ++i)
      sent[i] = static_cast<unsigned char>((i * 2654435761U) >> 13);
    const DeviceMemory memory(*device, bytes);
    device->upload(memory.data(), sent.data(), bytes);
    device->download(back.data(), memory.data(), bytes);
    CHECK(back == sent);
  }
}

TEST_CASE("fingerprints of device memory are those of the host", "[cuda]") {
  const auto device = open_cuda();
  if (!device) ASSAY_SKIP("no CUDA device");
  std::vector<unsigned char> sent((std::size_t{3} << 20) + 16);
  for (std::size_t i = 0; i < sent.size(); ++i)
    sent[i] = static_cast<unsigned char>((i * 2654435761U) >> 13);
  const DeviceMemory memory(*device, static_cast<std::int64_t>(sent.size()));
  device->upload(memory.data(), sent.data(), memory.bytes());
  for (const std::int64_t bytes : {0, 1, 2, 7, 8, 15, 16, 17, 4095, 4096, 70001, (3 << 20) + 3}) {
    for (const std::int64_t offset : {0, 1, 2, 4, 6, 8, 13}) {
      INFO(bytes << " bytes from " << offset);
      CHECK(device->fingerprint(static_cast<char*>(memory.data()) + offset, bytes) ==
            fingerprint(sent.data() + offset, bytes));
    }
  }
}

namespace {

// Windows of several sizes, an output of several rows and one that is made as a whole.
template <class T>
void compare_judgements(Device& device, bool is_ordinary) {
  constexpr std::int64_t kOuter = 3, kSlices = 1111, kInner = 97, kSize = kOuter * kSlices * kInner;
  const TensorSpec spec{"O", Role::out, dtype_of<T>, {kSize}, {1}};
  Expected expected("O", kSize), whole("dw", 777);
  std::vector<T> got(static_cast<std::size_t>(kSize));
  Mixed mixed;
  for (std::size_t i = 0; i < got.size(); ++i) {
    const double want = expected.value[i] = is_ordinary ? mixed.uniform() + 0.5 : mixed.want();
    const double bound = expected.bound[i] =
        is_ordinary ? 0x1p-6 * (1 + mixed.uniform()) : mixed.bound(want);
    const double error = i % 16 == 0 ? mixed.uniform() - 0.5 : 0;
    got[i] = round_to<T>(is_ordinary ? want + error * bound : mixed.got(want, bound));
  }
  if (is_ordinary) {  // the largest utilisation three times, in two warps of one part and in the
                      // last
    for (const std::size_t i : {kSize - 5, 2 * kJudgedPart + 40, 2 * kJudgedPart + 7}) {
      expected.value[i] = 1;
      expected.bound[i] = 0x1p-6;
      got[i] = round_to<T>(1 + 0x1p-6);
    }
  }
  for (std::size_t i = 0; i < 777; ++i)
    whole.value[i] = whole.bound[i] = 1 + static_cast<double>(i);

  const auto reference = device.make_reference();
  REQUIRE(reference);
  reference->begin({{"O", kOuter, kInner}}, kSlices);
  parallel_for(kSlices, 10, [&](std::int64_t begin, std::int64_t end) {
    write_slices(*reference, begin, end, [&](std::int64_t slice, const ExpectedSlice* to) {
      for (std::int64_t outer = 0; outer < kOuter; ++outer) {
        const std::int64_t from = (outer * kSlices + slice) * kInner, at = outer * to->stride;
        std::copy_n(expected.value.get() + from, kInner, to->value + at);
        std::copy_n(expected.bound.get() + from, kInner, to->bound + at);
      }
    });
  });
  reference->upload(whole);
  reference->finish();
  CHECK(reference->bytes() == 16 * (kSize + 777));
  const auto fetched = reference->fetch();
  REQUIRE(fetched.size() == 2);
  CHECK(fingerprint(fetched[0].value.get(), 8 * kSize) ==
        fingerprint(expected.value.get(), 8 * kSize));
  CHECK(fingerprint(fetched[0].bound.get(), 8 * kSize) ==
        fingerprint(expected.bound.get(), 8 * kSize));
  CHECK(fetched[1].value[776] == 777);
  CHECK(reference->at("dw", 5).bound == 6);

  const DeviceMemory memory(device, spec.bytes());
  device.upload(memory.data(), got.data(), spec.bytes());
  for (const bool exact : {false, true}) {
    const Judgement there = reference->judge(spec, memory.data(), exact, 0x1p-24);
    const Judgement host = judge(spec, got.data(), expected, exact, 0x1p-24);
    CHECK(there.elements == host.elements);
    CHECK(there.wrong == host.wrong);
    CHECK(there.nonzero == host.nonzero);
    CHECK(there.zero_accepted == host.zero_accepted);
    CHECK(there.unsound == host.unsound);
    CHECK(there.utilisation == host.utilisation);
    CHECK(there.worst == host.worst);
    CHECK(there.ulps == host.ulps);
    CHECK(std::abs(there.error_squared - host.error_squared) <= 1e-12 * host.error_squared);
    CHECK(std::abs(there.want_squared - host.want_squared) <= 1e-12 * host.want_squared);
    const Judgement again = reference->judge(spec, memory.data(), exact, 0x1p-24);
    CHECK(again.error_squared == there.error_squared);
    if (is_ordinary && !exact) {
      CHECK(there.wrong == 0);
      CHECK(there.worst == 2 * kJudgedPart + 7);
      CHECK(there.utilisation > 0.5);
      CHECK(there.utilisation <= 1);
    }
  }
  CHECK(reference->is_intact());
}

}  // namespace

TEST_CASE("outputs are judged on the device as on the host", "[cuda]") {
  const auto device = open_cuda();
  if (!device) ASSAY_SKIP("no CUDA device");
  for (const bool is_ordinary : {false, true}) {
    INFO((is_ordinary ? "ordinary numbers" : "all kinds of numbers"));
    compare_judgements<float>(*device, is_ordinary);
    compare_judgements<f16>(*device, is_ordinary);
    compare_judgements<bf16>(*device, is_ordinary);
  }
}

TEST_CASE("device memory that was given back is handed out again", "[cuda]") {
  const auto device = open_cuda();
  if (!device) ASSAY_SKIP("no CUDA device");
  constexpr std::int64_t kBytes = 8 << 20;
  void* const first = device->allocate(kBytes);
  device->release(first);
  void* const less = device->allocate(kBytes / 2);  // at most twice as large
  CHECK(less == first);
  void* const second = device->allocate(kBytes);
  CHECK(second != first);
  device->release(less);
  void* const little = device->allocate(kBytes / 2 - 1);
  CHECK(little != first);
  for (void* const memory : {second, little}) device->release(memory);

  // What is kept is given up for what would not fit beside it.
  const std::int64_t all = device->info().memory_bytes;
  for (int i = 0; i < 4; ++i) device->release(device->allocate(all / 17 + i * kBytes));
  void* const most = device->allocate(all / 20 * 19);
  CHECK_THROWS_AS(device->allocate(all / 4), EnvironmentError);
  device->release(most);
}

TEST_CASE("inputs are brought to the device while the host does other work", "[cuda]") {
  const auto device = open_cuda();
  if (!device) ASSAY_SKIP("no CUDA device");
  constexpr std::int64_t kBytes = 40 << 20;
  for (int round = 0; round < 3; ++round) {  // in the same block of host memory
    const HostMemory host(kBytes - round);
    for (std::int64_t i = 0; i < kBytes - round; ++i)
      host.get()[i] = static_cast<std::byte>((i * 2654435761 + round) >> 13);
    const Fingerprint want = fingerprint(host.get(), kBytes - round);
    const DeviceMemory memory(*device, kBytes);
    std::optional<Fingerprint> print;
    {
      const auto on_its_way = device->upload_ahead({{host.get(), kBytes - round}});
      REQUIRE(on_its_way);
      device->upload_again(memory.data(), host.get(), kBytes - round, print);
    }
    CHECK((print && *print == want));
    CHECK(device->fingerprint(memory.data(), kBytes - round) == want);
    // What was asked for and not fetched leaves nothing behind.
    CHECK(device->upload_ahead({{host.get(), kBytes - round}}));
    const HostMemory back(kBytes);
    device->download(back.get() + 1, memory.data(), kBytes - round);
    CHECK(fingerprint(back.get() + 1, kBytes - round) == want);
    device->fill(memory.data(), 0, kBytes);
    device->upload(memory.data(), back.get() + 1, kBytes - round);
    CHECK(device->fingerprint(memory.data(), kBytes - round) == want);
  }
  kept_blocks().drop();
  const std::vector<std::byte> other(kBytes);  // nobody tells when it ends
  CHECK_FALSE(device->upload_ahead({{other.data(), kBytes}}));
}

TEST_CASE("matrix units multiply faster than fp32 ones", "[cuda]") {
  const auto device = open_cuda();
  if (!device) ASSAY_SKIP("no CUDA device");
  const double fma = device->measure_arithmetic(Arithmetic::fma_f32);
  CHECK(fma > 1e12);
  for (const Arithmetic matrix : {Arithmetic::matrix_bf16, Arithmetic::matrix_f16}) {
    const double rate = device->measure_arithmetic(matrix);
    CHECK(rate > 2 * fma);
    CHECK(rate < 1e17);
  }
}

TEST_CASE("the clock of the multiprocessors is read around each sample", "[cuda]") {
  const auto device = open_cuda();
  if (!device) ASSAY_SKIP("no CUDA device");
  const Launch nothing = device->nothing();
  const std::vector<TimedLaunch> launches(100, {&nothing});
  for (const Sample& sample : device->time(launches)) {
    CHECK(sample.seconds > 0);
    CHECK(sample.seconds < 1e-3);
    CHECK(sample.sm_mhz > 100);
    CHECK(sample.sm_mhz < 5000);
  }
}

TEST_CASE("a graph runs all its launches", "[cuda]") {
  const auto device = open_cuda();
  if (!device) ASSAY_SKIP("no CUDA device");
  const DeviceMemory memory(*device, 12);
  const auto copy = [&](int from, int to) -> Launch {
    return [&device, at = static_cast<char*>(memory.data()), from, to](Stream) {
      device->enqueue_copy(at + to, at + from, 4);
    };
  };
  const int before[3] = {1, 2, 3};
  device->upload(memory.data(), before, 12);
  const Launch first = copy(0, 4), second = copy(4, 8);
  const Launch graph = device->record({&first, &second});
  REQUIRE(graph);
  int after[3] = {};
  device->download(after, memory.data(), 12);
  CHECK(after[2] == 3);  // recording runs nothing
  graph(device->stream());
  device->synchronize();
  device->download(after, memory.data(), 12);
  CHECK(after[1] == 1);
  CHECK(after[2] == 1);
}

}  // namespace assay
