// The cuda backend where there is a device.
#include <vector>

#include "harness/backend/backend.h"
#include "harness/testing.h"

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
