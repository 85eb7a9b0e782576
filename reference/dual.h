// Dual numbers: a value with its derivatives by kPartials parameters (forward differentiation). A
// scalar for Eigen, so that what is a template over its scalar can be differentiated.
#pragma once

#include <Eigen/Core>
#include <array>
#include <cmath>

namespace assay {

template <int kPartials>
struct Dual {
  double value = 0;
  std::array<double, kPartials> partials{};

  Dual() = default;
  Dual(double constant) : value(constant) {}  // NOLINT(google-explicit-constructor): a constant

  static Dual variable(double value, int parameter) {
    Dual result(value);
    result.partials[static_cast<std::size_t>(parameter)] = 1;
    return result;
  }

  // f(x), given f(x) and f'(x).
  Dual chain(double function, double derivative) const {
    Dual result(function);
    for (std::size_t i = 0; i < kPartials; ++i) result.partials[i] = derivative * partials[i];
    return result;
  }

  Dual& operator+=(const Dual& y) { return *this = *this + y; }
  Dual& operator-=(const Dual& y) { return *this = *this - y; }
  Dual& operator*=(const Dual& y) { return *this = *this * y; }
  Dual& operator/=(const Dual& y) { return *this = *this / y; }

  friend Dual operator-(const Dual& x) { return x.chain(-x.value, -1); }
  friend Dual operator+(const Dual& x, const Dual& y) {
    return combine(x, y, x.value + y.value, 1, 1);
  }
  friend Dual operator-(const Dual& x, const Dual& y) {
    return combine(x, y, x.value - y.value, 1, -1);
  }
  friend Dual operator*(const Dual& x, const Dual& y) {
    return combine(x, y, x.value * y.value, y.value, x.value);
  }
  friend Dual operator/(const Dual& x, const Dual& y) {
    return combine(x, y, x.value / y.value, 1 / y.value, -x.value / (y.value * y.value));
  }
  friend bool operator<(const Dual& x, const Dual& y) { return x.value < y.value; }
  friend bool operator>(const Dual& x, const Dual& y) { return x.value > y.value; }
  friend bool operator==(const Dual& x, const Dual& y) { return x.value == y.value; }
  friend bool operator!=(const Dual& x, const Dual& y) { return x.value != y.value; }

  friend Dual sqrt(const Dual& x) {
    const double root = std::sqrt(x.value);
    return x.chain(root, 0.5 / root);
  }
  friend Dual exp(const Dual& x) {
    const double power = std::exp(x.value);
    return x.chain(power, power);
  }
  friend Dual log(const Dual& x) { return x.chain(std::log(x.value), 1 / x.value); }

 private:
  // f(x, y), given its value and its derivatives by x and by y.
  static Dual combine(const Dual& x, const Dual& y, double function, double by_x, double by_y) {
    Dual result(function);
    for (std::size_t i = 0; i < kPartials; ++i)
      result.partials[i] = by_x * x.partials[i] + by_y * y.partials[i];
    return result;
  }
};

}  // namespace assay

template <int kPartials>
struct Eigen::NumTraits<assay::Dual<kPartials>> : Eigen::NumTraits<double> {
  using Real = assay::Dual<kPartials>;
  using NonInteger = Real;
  using Nested = Real;
  // NOLINTNEXTLINE(readability-identifier-naming): Eigen's names
  enum { RequireInitialization = 1, ReadCost = kPartials + 1, AddCost = kPartials + 1 };
};
