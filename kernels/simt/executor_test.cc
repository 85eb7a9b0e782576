#include "kernels/simt/executor.h"

#include <algorithm>
#include <bit>
#include <cstring>
#include <string>
#include <vector>

#include "harness/core/error.h"
#include "harness/testing.h"
#include "kernels/simt/broken/corpus.h"
#include "kernels/simt/flavour.h"
#include "kernels/simt/launch.h"
#include "kernels/simt/memory.h"

namespace assay::executor {

std::vector<Broken>& broken_kernels() {
  static std::vector<Broken> list;
  return list;
}

namespace {

constexpr std::int64_t kElements = std::int64_t{kBrokenThreads} * 4;
constexpr std::int64_t kGuard = 256;

// in and out, each between guards, as the harness lays out tensors.
class Buffers {
 public:
  Buffers() : memory_(static_cast<char*>(std::aligned_alloc(256, kBytes))) {
    add_allocation(memory_, kBytes);
    std::memset(memory_, kGuardByte, kBytes);
    add_buffer(in(), kElements * 4, "in", false);
    add_buffer(out(), kElements * 4, "out", true);
    std::vector<float> values(kElements);
    for (std::int64_t i = 0; i < kElements; ++i)
      values[static_cast<std::size_t>(i)] = static_cast<float>(i + 1);
    copy(in(), values.data(), kElements * 4);
    fill(out(), 0xff, kElements * 4);
  }
  ~Buffers() {
    remove_allocation(memory_);
    std::free(memory_);
  }
  float* in() { return reinterpret_cast<float*>(memory_ + kGuard); }
  float* out() { return reinterpret_cast<float*>(memory_ + 2 * kGuard + kElements * 4); }
  bool guards_hold() {
    std::vector<unsigned char> guard(std::size_t{kGuard});
    for (const std::int64_t at : {std::int64_t{0}, kGuard + kElements * 4, kBytes - kGuard}) {
      copy(guard.data(), memory_ + at, kGuard);
      for (const unsigned char byte : guard) {
        if (byte != kGuardByte) return false;
      }
    }
    return true;
  }

 private:
  static constexpr unsigned char kGuardByte = 0xa5;
  static constexpr std::int64_t kBytes = 3 * kGuard + 2 * kElements * 4;
  char* memory_;
};

struct Found {
  std::string kind, text;
};

// What a run finds, under each schedule in turn, as the harness runs a case.
Found find(const Broken& broken) {
  for (const Schedule schedule : kSchedules) {
    settings().schedule = schedule;
    Buffers buffers;
    try {
      broken.run(buffers.in(), buffers.out());
    } catch (const KernelFault& fault) {
      return {fault.kind, fault.what()};
    }
    if (!buffers.guards_hold()) return {"guard", ""};
  }
  return {};
}

}  // namespace

TEST_CASE("every broken kernel is found by the flavours that can see its mistake") {
  settings() = {};
  settings().timeout = 0.3;
  REQUIRE(broken_kernels().size() >= 45);
  for (const Broken& broken : broken_kernels()) {
    const std::string want = kRace ? broken.race : kAddress ? broken.address : broken.plain;
    const Found found = find(broken);
    INFO(broken.name << ": " << found.text);
    CHECK((want.empty() || found.kind == want));
    CHECK((!kRace || !broken.race.empty()));
    // Places are named by file and line.
    const bool elsewhere = found.text.find("builds say where") != std::string::npos;
    if (!found.text.empty() && !elsewhere && found.kind != "refused")
      CHECK(found.text.find(".cu:") != std::string::npos);
  }
  settings() = {};
}

TEST_CASE("what a device would refuse is refused with its reason") {
  settings() = {};
  const int function = 0;
  CHECK(refusal(&function, {1, 1024, 48 << 10}) == nullptr);
  CHECK(std::string(refusal(&function, {1, 1025, 0})) == "invalid argument");
  CHECK(std::string(refusal(&function, {1, 0, 0})) == "invalid argument");
  CHECK(std::string(refusal(&function, {0, 32, 0})) == "invalid argument");
  CHECK(std::string(refusal(&function, {1, 32, (48 << 10) + 1})) == "invalid argument");
  CHECK(allow_shared(&function, 227 << 10) == nullptr);
  CHECK(refusal(&function, {1, 32, 227 << 10}) == nullptr);
  CHECK(std::string(allow_shared(&function, (227 << 10) + 1)) == "invalid argument");
  CHECK(most_shared(&function) == 227 << 10);
  CHECK(allow_shared(&function, 4096) == nullptr);  // less, even than without it
  CHECK(std::string(refusal(&function, {1, 32, 8192})) == "invalid argument");
  settings().device = device_model(80);
  CHECK(std::string(allow_shared(&function, 164 << 10)) == "invalid argument");
  settings() = {};
  // 228 KB a multiprocessor, 4 of them; a block takes 1 KB beside its own.
  CHECK(resident_blocks(1024, 0) == 8);
  CHECK(resident_blocks(128, 100 << 10) == 8);
  CHECK(resident_blocks(32, 0) == 128);
}

TEST_CASE(
    "the error of approximate instructions is a fixed function of seed and operand, up to its "
    "bound") {
  settings() = {};
  double most = 0, least = 1;
  for (std::uint32_t bits = 0; bits < 10000; ++bits) {
    const double share = error_share(0, bits);
    CHECK(share == error_share(0, bits));
    most = std::max(most, share);
    least = std::min(least, share);
  }
  CHECK(most <= 1);
  CHECK(most > 0.99);
  CHECK(least >= -1);
  CHECK(least < -0.99);
  const double one = error_share(0, 17);
  settings().seed = 2;
  CHECK(error_share(0, 17) != one);
  settings() = {};
}

TEST_CASE("mma multiplies and adds as the fragments say") {
  // A(i, k) = i + 16 k, B(k, j) = k + 2 j, exact in bf16 and fp32; lanes' fragments as in
  // kernels/device/mma.h.
  const auto a = [](int i, int k) { return static_cast<float>(i + 16 * k % 128); };
  const auto b = [](int k, int j) { return static_cast<float>(k + 2 * j); };
  const auto bf16_pair = [](float low, float high) {
    const auto upper = [](float x) { return std::bit_cast<std::uint32_t>(x) >> 16; };
    return upper(low) | upper(high) << 16;
  };
  Mma lanes[32];
  Mma* pointers[32];
  for (int lane = 0; lane < 32; ++lane) {
    const int g = lane / 4, t = lane % 4;
    pointers[lane] = &lanes[lane];
    lanes[lane] = {
        {1, 2, 3, 4},
        {bf16_pair(a(g, 2 * t), a(g, 2 * t + 1)), bf16_pair(a(g + 8, 2 * t), a(g + 8, 2 * t + 1)),
         bf16_pair(a(g, 2 * t + 8), a(g, 2 * t + 9)),
         bf16_pair(a(g + 8, 2 * t + 8), a(g + 8, 2 * t + 9))},
        {bf16_pair(b(2 * t, g), b(2 * t + 1, g)), bf16_pair(b(2 * t + 8, g), b(2 * t + 9, g))}};
  }
  mma_m16n8k16(pointers);
  for (int lane = 0; lane < 32; ++lane) {
    for (int c = 0; c < 4; ++c) {
      const int i = lane / 4 + c / 2 * 8, j = lane % 4 * 2 + c % 2;
      float sum = static_cast<float>(c + 1);
      for (int k = 0; k < 16; ++k) sum += a(i, k) * b(k, j);
      CHECK(lanes[lane].c[c] == sum);
    }
  }
}

}  // namespace assay::executor
