// What judging one output found.
#pragma once

#include <array>
#include <cstdint>
#include <span>

namespace assay {

// Distances from the rounded reference in units in the last place: bucket 0 counts exact elements,
// bucket b those at 2^(b-1) to 2^b - 1, the last one all beyond, NaN and Inf too.
using UlpHistogram = std::array<std::int64_t, 16>;

struct Judgement {
  std::int64_t elements = 0;
  std::int64_t wrong = 0;
  std::int64_t nonzero = 0;        // elements whose reference is not exactly zero …
  std::int64_t zero_accepted = 0;  // … and those of them for which zero would have passed
  std::int64_t unsound = 0;        // bounds that are negative, NaN or smaller than they can be
  double utilisation = 0;          // the largest
  double error_squared = 0;        // Σ (got - want)² and Σ want² over the finite elements
  double want_squared = 0;
  std::int64_t worst = -1;  // flat index: the first with the largest utilisation, a wrong one if
                            // there is any; -1: all exact

  UlpHistogram ulps{};

  double error_rms() const;
  double error_normwise() const;
};

// An output is judged in parts of so many elements, whoever judges it, on any number of threads.
inline constexpr std::int64_t kJudgedPart = 1 << 16;

// Of the whole, from its parts in order.
Judgement join(std::span<const Judgement> parts);

}  // namespace assay
