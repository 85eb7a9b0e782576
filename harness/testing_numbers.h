// Numbers for tests of whoever judges them.
#pragma once

#include <cmath>
#include <cstdint>
#include <iterator>
#include <limits>

namespace assay {

// Numbers of all kinds, most of them near each other.
struct Mixed {
  static constexpr double kNaN = std::numeric_limits<double>::quiet_NaN();
  static constexpr double kInf = std::numeric_limits<double>::infinity();

  std::uint64_t state = 1;

  std::uint64_t draw() {
    state = state * 6364136223846793005 + 1442695040888963407;
    return state >> 33;
  }
  double uniform() { return static_cast<double>(draw()) / 0x1p31; }
  double want() {
    constexpr double kSpecial[] = {
        0,       -0.0,    kNaN,    kInf,    -kInf,  0x1p-126, 0x1p-133, 0x1p-134, 0x1p-149, 0x1p-25,
        0x1p-14, 65504.0, 65519.9, 65520.0, 3.3e38, 3.4e38,   1e100,    1e-300,   1.5,      -2.0};
    if (draw() % 8 == 0) return kSpecial[draw() % std::size(kSpecial)];
    const double scale = std::ldexp(1.0, static_cast<int>(draw() % 60) - 40);
    return (uniform() - 0.5) * (draw() % 4 == 0 ? scale : 4);
  }
  double bound(double want) {
    constexpr double kSpecial[] = {0, kNaN, kInf, 1e-300, 1, -1};
    if (draw() % 16 == 0) return kSpecial[draw() % std::size(kSpecial)];
    return std::abs(want) * std::ldexp(uniform(), -static_cast<int>(draw() % 24));
  }
  double got(double want, double bound) {
    switch (draw() % 8) {
      case 0:
        return this->want();
      case 1:
        return -want;
      case 2:
        return want * (1 + 0x1p-7);
      case 3:
        return want * (1 - 0x1p-22);
      case 4:
        return want + 3 * (uniform() - 0.5) * bound;
      default:
        return want;
    }
  }
};

}  // namespace assay
