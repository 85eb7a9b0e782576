// The list of kernels that are wrong on purpose, for the test that looks for their mistakes.
#pragma once

#include <string>
#include <utility>
#include <vector>

namespace assay::executor {

struct Broken {
  std::string name;
  // The kind of the finding in each flavour; empty: that flavour cannot see it; guard: bytes
  // between buffers changed.
  std::string plain, race, address;
  void (*run)(const float* in, float* out);
};

std::vector<Broken>& broken_kernels();

struct RegisterBroken {
  explicit RegisterBroken(Broken broken) { broken_kernels().push_back(std::move(broken)); }
};

inline constexpr int kBrokenThreads = 128;

}  // namespace assay::executor
