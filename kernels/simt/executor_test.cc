#include <cstring>
#include <set>

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

constexpr int kElements = kBrokenThreads * 4;
constexpr int kGuard = 256;

// in and out, each between guards, as the harness lays out tensors.
class Buffers {
 public:
  Buffers() : memory_(static_cast<char*>(std::aligned_alloc(256, kBytes))) {
    add_allocation(memory_, kBytes);
    std::memset(memory_, kGuardByte, kBytes);
    add_buffer(in(), kElements * 4, "in", false);
    add_buffer(out(), kElements * 4, "out", true);
    std::vector<float> values(kElements);
    for (int i = 0; i < kElements; ++i)
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
    std::vector<unsigned char> guard(kGuard);
    for (const std::size_t at :
         {std::size_t{0}, std::size_t{kGuard + kElements * 4}, std::size_t{kBytes - kGuard}}) {
      copy(guard.data(), memory_ + at, kGuard);
      for (const unsigned char byte : guard) {
        if (byte != kGuardByte) return false;
      }
    }
    return true;
  }

 private:
  static constexpr unsigned char kGuardByte = 0xa5;
  static constexpr std::size_t kBytes = 3 * kGuard + 2 * kElements * 4;
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
  std::set<std::string> unseen;
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

}  // namespace assay::executor
