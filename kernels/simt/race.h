// The race checker: happens-before (race_order.h), and which bytes have been written, for the
// shared memory of each block and for the outputs and workspaces in global memory. It sees every
// access of a kernel that was compiled with -fsanitize=thread, through callbacks of our own
// (race_callbacks.cc); the runtime of that sanitizer takes no part, since it takes correct kernels
// for wrong.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "kernels/simt/race_order.h"

namespace assay::executor::race {

// Of a block's shared memory, with what lies between its variables.
inline constexpr std::size_t kSharedBytes = 512 << 10;

// The history of an aligned word, half or byte.
struct alignas(64) Cell {
  Access write, read;
  std::uint32_t readers = 0;  // into a table: further reads that no write has followed; 0: none
  std::uint8_t width = 0;     // in a word's first cell: bytes that each of its cells stands for
  bool in_flight = false;     // the target of an asynchronous copy; `write` is that copy
};

// Cells of `bytes` bytes. Those of words, of second halves and of odd bytes are apart, so that what
// is accessed by words stays dense.
class Cells {
 public:
  Cells() = default;
  explicit Cells(std::size_t bytes);
  ~Cells();
  Cells(const Cells&) = delete;
  Cells& operator=(const Cells&) = delete;

  Cell& operator[](std::size_t byte) {
    const std::size_t word = byte / 4;
    return byte % 2 == 1 ? cells_[2 * words_ + byte / 2] : cells_[byte % 4 / 2 * words_ + word];
  }

 private:
  std::size_t words_ = 0;
  Cell* cells_ = nullptr;
};

// Lists of the reads of one cell that no write has followed.
struct Readers {
  std::vector<std::vector<Access>> lists{1};  // lists[0] is never used
  std::uint32_t used = 1;

  std::uint32_t add();
  void clear() { used = 1; }
};

// Of the shared memory of a block.
struct BlockShadow {
  std::uint32_t phase = 0;  // grows for as long as the Block lives
  std::uint32_t first_phase = 0;
  std::uint32_t agent = 0;
#if ASSAY_SIMT_RACE
  Cells cells{kSharedBytes};
#endif
  Readers readers;
  Knowledge elsewhere;  // what all threads know of other blocks
};

struct Region;  // of global memory that is checked

#if ASSAY_SIMT_RACE

void begin(Block& block);
void access(Thread& thread, const void* address, int bytes, Access::Kind kind, const void* place);
// An asynchronous copy into shared memory begins (checked as a write) and ends (by the agent, or by
// the thread).
void copy_begins(Thread& thread, void* to, int bytes, const void* place);
void copy_ends(Block& block, Thread* thread, void* to, int bytes);

// Outputs and workspaces, which the host registers, fills and writes.
Region* watch(void* begin, std::int64_t bytes);
void forget(Region* region);
void host_wrote(void* begin, std::int64_t bytes, bool defined);

#else

inline void begin(Block&) {}
inline void access(Thread&, const void*, int, Access::Kind, const void*) {}
inline void copy_begins(Thread&, void*, int, const void*) {}
inline void copy_ends(Block&, Thread*, void*, int) {}
inline Region* watch(void*, std::int64_t) { return nullptr; }
inline void forget(Region*) {}
inline void host_wrote(void*, std::int64_t, bool) {}

#endif

}  // namespace assay::executor::race
