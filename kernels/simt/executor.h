// What the host twin of the device vocabulary is made of: the calls behind the wrappers of
// kernels/device. Kernels never use these names. Every call that suspends takes its call site from
// its return address, so the wrappers are inlined.
//
// A thread of a launch is a fiber (fiber.h); the threads of a block take turns on one OS thread
// (block.h), and blocks spread over OS threads (launch.cc). What a kernel does wrong becomes a
// KernelFault, thrown by launch().
#pragma once

#include <cstddef>
#include <cstdint>

namespace assay::executor {

class Block;
struct Thread;

// The device thread that runs now on this OS thread; null outside of kernels.
extern constinit thread_local Thread* current;

struct Position {  // of a thread in its launch; the first member of Thread, so that wrappers can
                   // read it quickly
  int thread = 0, block = 0, threads = 0, blocks = 0, cluster = 1;
};
inline const Position& position() { return *reinterpret_cast<const Position*>(current); }

// --- shared memory

struct SharedVariable {  // one ASSAY_SHARED declaration; its address identifies it
  const char* name;
  std::size_t bytes, alignment;
};
void* shared_variable(const SharedVariable& variable);
void* dynamic_shared(std::size_t offset);

// --- barriers and collectives; `operation` is a name for messages and must be a literal

void sync_block();
// bar.sync and bar.arrive: `threads` in all, a multiple of 32, take part in each round of barrier
// `id` (1 to 15).
void sync_named(int id, int threads);
void arrive_named(int id, int threads);

// Waits until all lanes of `mask` have called with the same operation, at the same place. The last
// one calls compute(slots, mask) with the slot that each lane has passed (null for those outside
// the mask).
using Compute = void (*)(void* const* slots, unsigned mask);
void converge(unsigned mask, const char* operation, void* slot, Compute compute);
// The same without a computation; orders memory among the lanes.
void sync_warp(unsigned mask);

template <class Slot, class F>
[[gnu::always_inline]] inline void converge(unsigned mask, const char* operation, Slot& slot, F) {
  converge(mask, operation, static_cast<void*>(&slot), [](void* const* slots, unsigned lanes) {
    F{}(reinterpret_cast<Slot* const*>(slots), lanes);
  });
}

// --- asynchronous copies

void copy_async(void* shared, const void* global, int bytes, bool valid);
void commit_async();
void wait_async(int pending);

void mbarrier_init(std::uint64_t* barrier, int arrivals);
void mbarrier_arrive(std::uint64_t* barrier, int expected_bytes, bool expects);
void mbarrier_expect(std::uint64_t* barrier, int bytes);
bool mbarrier_test(std::uint64_t* barrier, int parity);
void mbarrier_wait(std::uint64_t* barrier, int parity);
void copy_bulk(void* shared, const void* global, int bytes, std::uint64_t* barrier);

// --- clusters

void cluster_arrive();
void cluster_wait();
void cluster_store(float* shared, int rank, float value, std::uint64_t* barrier);

// --- memory

// Every vector access of a wrapper says so first: a finding if the address is not a multiple of
// `bytes`.
inline void require_aligned(const void* address, int bytes);
[[noreturn]] void misaligned(const void* address, int bytes);

// A read by a wrapper on behalf of the current thread, for the checkers (plain: nothing).
void check_read(const void* address, int bytes);

enum class Order : std::uint8_t { relaxed, acquire, release, acquire_release };
// Around an atomic access to `bytes` bytes: before() may let other threads run; after() says
// whether the value changed.
void atomic_before(const void* address, int bytes, Order order);
void atomic_after(const void* address, int bytes, Order order, bool changed);
void fence();
int atomic_add(int* address, int value);
unsigned atomic_add(unsigned* address, unsigned value);
float atomic_add(float* address, float value);
unsigned atomic_load(const unsigned* address);
void atomic_store(unsigned* address, unsigned value);

// Lets other threads run; what a thread that polls calls between two looks.
void pause();

// --- arithmetic that is only approximate on the device

// A fixed function of (seed of the run, operation, bits), in [-1, 1]: the share of the error
// allowed that this result has.
double error_share(std::uint32_t operation, std::uint32_t bits);

// c += A B of mma.m16n8k16, lanes' fragments as in kernels/device/mma.h.
struct Mma {
  float c[4];
  std::uint32_t a[4], b[2];
};
void mma_m16n8k16(Mma* const* lanes);

// -----------------------------------------------------------------------------------------------

inline void require_aligned(const void* address, int bytes) {
  if (reinterpret_cast<std::uintptr_t>(address) % static_cast<std::uintptr_t>(bytes) != 0) {
    misaligned(address, bytes);
  }
}

}  // namespace assay::executor
