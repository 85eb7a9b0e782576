#include "harness/core/host_memory.h"

#include <optional>
#include <utility>
#include <vector>

#include "harness/core/host_blocks.h"
#include "harness/testing.h"

namespace assay {
namespace {

constexpr std::int64_t kMiB = 1 << 20;

TEST_CASE("a block of host memory that was given back is handed out again") {
  KeptBlocks kept(200 * kMiB);
  auto block = kept.take(20 * kMiB);
  const std::byte* const where = block.storage.get();
  kept.give(std::move(block));
  CHECK(kept.held() == 20 * kMiB);

  SECTION("for as many bytes, and once") {
    auto first = kept.take(20 * kMiB), second = kept.take(20 * kMiB);
    CHECK(first.storage.get() == where);
    CHECK(second.storage.get() != where);
    CHECK(kept.held() == 0);
  }
  SECTION("for fewer, if it is at most twice as large") {
    CHECK(kept.take(10 * kMiB - 1).storage.get() != where);
    CHECK(kept.take(10 * kMiB).storage.get() == where);
  }
  SECTION("unless it was dropped") {
    kept.drop();
    CHECK(kept.held() == 0);
  }
  SECTION("for no more") { CHECK(kept.take(20 * kMiB + 1).storage.get() != where); }
  SECTION("the smallest that fits") {
    kept.give(KeptBlocks::fresh(24 * kMiB));
    CHECK(kept.take(19 * kMiB + kMiB / 2).storage.get() == where);
  }
}

TEST_CASE("kept blocks of host memory stay within their limit") {
  KeptBlocks kept(160 * kMiB);
  const auto give = [&](std::int64_t bytes) { kept.give(KeptBlocks::fresh(bytes)); };
  for (int i = 0; i < 8; ++i) give(18 * kMiB);
  give(1 * kMiB);  // too small to be worth it
  CHECK(kept.held() == 144 * kMiB);
  give(20 * kMiB);  // the oldest goes
  CHECK(kept.held() == 146 * kMiB);
  give(22 * kMiB);  // too large
  CHECK(kept.held() == 146 * kMiB);
}

TEST_CASE("no more than so many blocks of host memory are kept") {
  constexpr auto kMost = static_cast<std::int64_t>(KeptBlocks::kMostBlocks);
  KeptBlocks kept(1024 * kMiB);
  for (std::int64_t i = 0; i <= kMost; ++i) kept.give(KeptBlocks::fresh(4 * kMiB));
  CHECK(kept.held() == kMost * 4 * kMiB);
}

TEST_CASE("large blocks of host memory have pages of their own") {
  constexpr std::int64_t kPage = 4096;
  for (const std::int64_t bytes : {4 * kMiB, 4 * kMiB + 1, 37 * kMiB + 123}) {
    const auto block = KeptBlocks::fresh(bytes);
    CHECK(block.bytes >= bytes);
    CHECK(block.bytes <= bytes / 8 * 9);
    CHECK(block.bytes % kPage == 0);
    CHECK(reinterpret_cast<std::uintptr_t>(block.storage.get()) % kPage == 0);
  }
}

std::vector<const std::byte*> ended;  // what the watcher was told

HostBlockWatcher others = nullptr;  // who is told as well

struct Watching {
  Watching() {
    ended.clear();
    others = watch_host_blocks([](const std::byte* begin) noexcept {
      ended.push_back(begin);
      if (others) others(begin);
    });
  }
  ~Watching() { watch_host_blocks(others); }
};

TEST_CASE("large blocks of host memory are known until they are freed") {
  const Watching watching;
  std::optional<HostMemory> memory(8 * kMiB);
  const std::byte* const begin = memory->get();
  const auto is_known = [&](std::int64_t offset, std::int64_t bytes) {
    const auto found = host_block_of(begin + offset, bytes);
    return found && found->begin == begin && found->bytes == 8 * kMiB;
  };
  CHECK(is_known(0, 8 * kMiB));
  CHECK(is_known(3 * kMiB, 5 * kMiB));
  CHECK_FALSE(is_known(3 * kMiB, 5 * kMiB + 1));
  CHECK_FALSE(is_known(-1, 1));
  CHECK_FALSE(is_known(8 * kMiB, 1));
  CHECK(ended.empty());

  memory.reset();
  CHECK(ended.empty() == (kept_blocks().held() > 0));  // some builds keep nothing
  CHECK(is_known(0, 1) == ended.empty());
  kept_blocks().drop();
  CHECK(ended == std::vector{begin});
  CHECK_FALSE(is_known(0, 1));
}

TEST_CASE("small blocks of host memory, and those of others, are not known") {
  const Watching watching;
  const HostMemory small(1 * kMiB);
  CHECK_FALSE(host_block_of(small.get(), 1));
  KeptBlocks kept(160 * kMiB);
  auto block = kept.take(8 * kMiB);
  CHECK_FALSE(host_block_of(block.storage.get(), 1));
  kept.give(std::move(block));
  kept.drop();
  CHECK(ended.empty());
}

TEST_CASE("host memory moves") {
  HostMemory memory(8 * kMiB), other;
  std::byte* const where = memory.get();
  CHECK(!other);
  other = std::move(memory);
  CHECK(other.get() == where);
  const HostMemory third(std::move(other));
  CHECK(third.get() == where);
}

}  // namespace
}  // namespace assay
