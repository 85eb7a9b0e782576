// What an output should be, and where a reference writes it: most outputs are made slice by slice
// of the batch dim (tokens), by all threads, and whoever receives them says where in memory each
// slice goes.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "harness/core/host_memory.h"

namespace assay {

// One output in exact arithmetic (fp64) with the a-priori bound of each element's error, before the
// rounding to the output's dtype. Row-major like the output.
struct Expected {
  std::string output;
  std::int64_t size = 0;
  HostArray<double> value;
  HostArray<double> bound;

  Expected(std::string name, std::int64_t count);  // uninitialised: 16 bytes an element
};

// An output of shape (outer, slices, inner).
struct SlicedOutput {
  std::string output;
  std::int64_t outer = 1, inner = 1;
};

// Where the values and bounds of one slice of an output go: its row o (of `inner` elements) lies
// o · stride further.
struct ExpectedSlice {
  double* value = nullptr;
  double* bound = nullptr;
  std::int64_t stride = 0;
};

class ExpectedWriter {
 public:
  static constexpr std::size_t kMostSliced = 4;  // outputs

  virtual ~ExpectedWriter() = default;
  ExpectedWriter() = default;
  ExpectedWriter(const ExpectedWriter&) = delete;
  ExpectedWriter& operator=(const ExpectedWriter&) = delete;

  // The outputs that are made slice by slice, in the contract's order; before anything else, once.
  virtual void begin(std::vector<SlicedOutput> outputs, std::int64_t slices) = 0;

  // Memory for the slices [begin, end) of all these outputs. A slice follows the one before it
  // after `inner` elements.
  struct Window {
    std::int64_t begin = 0, end = 0;
    ExpectedSlice first[kMostSliced];
    std::int64_t inner[kMostSliced] = {};
    std::size_t outputs = 0;
    std::size_t place = 0;  // the writer's own
  };
  // For the first of the slices [begin, end), as many as the writer likes but one at least. close()
  // says that they are written. From any thread, which holds one window at a time.
  virtual Window open(std::int64_t begin, std::int64_t end) noexcept = 0;
  virtual void close(const Window& window) noexcept = 0;

  // An output that is made as a whole; after all slices, in the contract's order.
  virtual void add(Expected whole) = 0;
};

// Calls body(slice, where) for the slices [begin, end) in order, with an ExpectedSlice of each
// sliced output. It must not throw.
template <class Body>
void write_slices(ExpectedWriter& writer, std::int64_t begin, std::int64_t end, const Body& body) {
  while (begin < end) {
    ExpectedWriter::Window window = writer.open(begin, end);
    for (; begin < window.end; ++begin) {
      body(begin, static_cast<const ExpectedSlice*>(window.first));
      for (std::size_t i = 0; i < window.outputs; ++i) {
        window.first[i].value += window.inner[i];
        window.first[i].bound += window.inner[i];
      }
    }
    writer.close(window);
  }
}

// All of it in host memory.
class HostExpected final : public ExpectedWriter {
 public:
  void begin(std::vector<SlicedOutput> outputs, std::int64_t slices) override;
  Window open(std::int64_t begin, std::int64_t end) noexcept override;
  void close(const Window&) noexcept override {}
  void add(Expected whole) override { expected_.push_back(std::move(whole)); }

  std::vector<Expected> take() { return std::move(expected_); }

 private:
  std::vector<SlicedOutput> sliced_;
  std::int64_t slices_ = 0;
  std::vector<Expected> expected_;
};

}  // namespace assay
