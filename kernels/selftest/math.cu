// Scalar functions: the approximate ones against their bounds, the others exactly.
#include "kernels/device/block.h"
#include "kernels/device/math.h"
#include "kernels/selftest/check.h"

namespace assay::ASSAY_TWIN::selftest {

namespace {

constexpr int kThreads = 256, kBlocks = 16;
constexpr std::size_t kSize = std::size_t{kThreads} * kBlocks;

constexpr float kInfinity = std::numeric_limits<float>::infinity();
constexpr float kNan = std::numeric_limits<float>::quiet_NaN();

ASSAY_DEVICE int index() { return block_index() * num_threads() + thread_index(); }

// The first inputs are these.
template <std::size_t kCount>
void begin_with(Words& in, const float (&values)[kCount]) {
  for (std::size_t i = 0; i < kCount; ++i) in[i] = bits_of(values[i]);
}

}  // namespace

// PTX ISA, ex2.approx.ftz.f32.
ASSAY_KERNEL(kThreads) void powers(const Word* in, Word* out) {
  out[index()] = as_bits(exp2_approx(as_float(in[index()])));
}
ASSAY_CHECK(powers){
    .name = "math/exp2_approx",
    .covers = {"exp2_approx", "as_bits", "as_float"},
    .kernel = powers,
    .blocks = kBlocks,
    .threads = kThreads,
    .inputs = kSize,
    .outputs = kSize,
    .bound = 0x1p-22,
    .unit = "relative",
    .prepare =
        [](Words& in) {  // uniform in [-125.9, 127.9), a quarter of them in (-1, 1)
          for (Word& w : in) {
            const double x = (w >> 2) * 0x1p-30;
            w = bits_of(static_cast<float>(w % 4 == 0 ? 2 * x - 1 : x * 253.8 - 125.9));
          }
          begin_with(in, {0.0f, -0.0f, kInfinity, -kInfinity, kNan, -kNan, 128.5f, 1e30f, -127.5f,
                          -149.0f, -1e30f, 1e-40f, -1e-40f, 1.0f, -1.0f, 127.0f, -125.0f});
        },
    .expect =
        [](const Words& in, Expectation& want) {
          for (std::size_t i = 0; i < in.size(); ++i) {
            const double exact = std::exp2(static_cast<double>(number(in[i])));
            if (exact < 0x1p-126) {
              want.bits(i, 0);
            } else if (exact >= 0x1p128) {
              want.number(i, kInfinity);
            } else {
              want.number(i, exact, exact);
            }
          }
        }};

// CUDA C++ Programming Guide, logf.
ASSAY_KERNEL(kThreads) void logarithms(const Word* in, Word* out) {
  out[index()] = as_bits(log_accurate(as_float(in[index()])));
}
ASSAY_CHECK(logarithms){
    .name = "math/log_accurate",
    .covers = {"log_accurate"},
    .kernel = logarithms,
    .blocks = kBlocks,
    .threads = kThreads,
    .inputs = kSize,
    .outputs = kSize,
    .bound = 1,
    .unit = "ulp",
    .prepare =
        [](Words& in) {  // any positive float; a quarter of them near 1, where the result is small
          for (Word& w : in) {
            w = w % 4 == 0 ? 0x3f800000u + (w >> 2) % 0x400000u - 0x200000u : w % 0x7f7fffffu + 1;
          }
          begin_with(in, {0.0f, -0.0f, -1.0f, kInfinity, -kInfinity, kNan, 1.0f, 1e-45f, 1e-40f,
                          2.718281828f, 0x1.fffffep127f, 0x1p-126f, 0x1.fffffep-1f, 0x1.000002p0f});
        },
    .expect =
        [](const Words& in, Expectation& want) {
          for (std::size_t i = 0; i < in.size(); ++i) {
            const double exact = std::log(static_cast<double>(number(in[i])));
            want.number(i, exact, std::isfinite(exact) && exact != 0 ? ulp(exact) : 0);
          }
        }};

// Root and quotient are each rounded to nearest, so the bits are known. In double both are so exact
// that rounding them to float is rounding once.
ASSAY_KERNEL(kThreads) void roots(const Word* in, Word* out) {
  out[index()] = as_bits(reciprocal_sqrt(as_float(in[index()])));
}
ASSAY_CHECK(roots){.name = "math/reciprocal_sqrt",
                   .covers = {"reciprocal_sqrt"},
                   .kernel = roots,
                   .blocks = kBlocks,
                   .threads = kThreads,
                   .inputs = kSize,
                   .outputs = kSize,
                   .prepare =
                       [](Words& in) {
                         for (Word& w : in) w = w % 0x7f7fffffu + 1;
                         begin_with(in, {0.0f, -0.0f, -1.0f, kInfinity, -kInfinity, kNan, 1.0f,
                                         4.0f, 1e-45f, 1e-40f, 0x1.fffffep127f, 0x1p-126f});
                       },
                   .expect =
                       [](const Words& in, Expectation& want) {
                         for (std::size_t i = 0; i < in.size(); ++i) {
                           const auto root =
                               static_cast<float>(std::sqrt(static_cast<double>(number(in[i]))));
                           const auto exact = static_cast<float>(1.0 / static_cast<double>(root));
                           if (std::isnan(exact)) {
                             want.number(i, exact);
                           } else {
                             want.bits(i, bits_of(exact));
                           }
                         }
                       }};

// PTX ISA, rsqrt.approx.f32, and a step of Newton's.
ASSAY_KERNEL(kThreads) void positive_roots(const Word* in, Word* out) {
  out[index()] = as_bits(reciprocal_sqrt_positive(as_float(in[index()])));
}
ASSAY_CHECK(positive_roots){.name = "math/reciprocal_sqrt_positive",
                            .covers = {"reciprocal_sqrt_positive"},
                            .kernel = positive_roots,
                            .blocks = kBlocks,
                            .threads = kThreads,
                            .inputs = kSize,
                            .outputs = kSize,
                            .bound = 1.5 * 0x1p-24,
                            .unit = "relative",
                            .prepare =
                                [](Words& in) {
                                  for (Word& w : in) w = w % 0x7f7fffffu + 1;
                                  begin_with(in, {0.0f, -1.0f, kInfinity, kNan, 1.0f, 4.0f, 1e-45f,
                                                  1e-40f, 0x1.fffffep127f, 0x1p-126f});
                                },
                            .expect =
                                [](const Words& in, Expectation& want) {
                                  for (std::size_t i = 0; i < in.size(); ++i) {
                                    const double x = static_cast<double>(number(in[i]));
                                    if (x > 0 && std::isfinite(x)) {
                                      want.number(i, 1 / std::sqrt(x), 1 / std::sqrt(x));
                                    } else {
                                      want.number(i, kNan);
                                    }
                                  }
                                }};

// IEEE 754-2008 maxNum; of two zeros either will do.
ASSAY_KERNEL(kThreads) void maxima(const Word* in, Word* out) {
  const int i = index() * 2;
  out[i] = as_bits(maximum(as_float(in[i]), as_float(in[i + 1])));
  out[i + 1] = as_bits(minus_infinity());
}
ASSAY_CHECK(maxima){
    .name = "math/maximum",
    .covers = {"maximum", "minus_infinity"},
    .kernel = maxima,
    .blocks = kBlocks,
    .threads = kThreads,
    .inputs = kSize * 2,
    .outputs = kSize * 2,
    .prepare =
        [](Words& in) {
          begin_with(in,
                     {kNan, 1.0f,  -2.0f, kNan, kNan, -kNan, kInfinity,  kNan,   -kInfinity, kNan,
                      0.0f, -0.0f, -0.0f, 0.0f, 3.0f, 3.0f,  -kInfinity, -1e30f, 1e-40f,     0.0f});
        },
    .expect =
        [](const Words& in, Expectation& want) {
          for (std::size_t i = 0; i < in.size(); i += 2) {
            const double a = number(in[i]), b = number(in[i + 1]);
            want.number(i, std::isnan(a) ? b : std::isnan(b) ? a : a > b ? a : b);
            want.bits(i + 1, 0xff800000u);
          }
        }};

}  // namespace assay::ASSAY_TWIN::selftest
