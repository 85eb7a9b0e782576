// Storage types: rounding to them, widening, and elements by the vector, with the type known when
// compiling or not. Expectations come from their definition as numbers: sign, exponent, fraction.
#include "kernels/device/any_dtype.h"
#include "kernels/device/block.h"
#include "kernels/device/terms.h"
#include "kernels/device/vector.h"
#include "kernels/selftest/check.h"

namespace assay::ASSAY_TWIN::selftest {

namespace {

struct Format {
  int fraction, exponent;  // bits

  int bias() const { return (1 << (exponent - 1)) - 1; }
  int bits() const { return 1 + exponent + fraction; }

  double decode(Word word) const {
    const Word e = word >> fraction & ((1u << exponent) - 1);
    const Word f = word & ((1u << fraction) - 1);
    const double sign = (word >> (bits() - 1) & 1u) != 0 ? -1 : 1;
    if (e == (1u << exponent) - 1) {
      return f != 0 ? std::numeric_limits<double>::quiet_NaN()
                    : sign * std::numeric_limits<double>::infinity();
    }
    if (e == 0) return sign * std::ldexp(f, 1 - bias() - fraction);
    return sign * std::ldexp((1u << fraction) + f, static_cast<int>(e) - bias() - fraction);
  }

  // To nearest, ties to even; not for NaN.
  Word encode(double x) const {
    const Word sign = std::signbit(x) ? 1u << (bits() - 1) : 0;
    const Word infinity = ((1u << exponent) - 1) << fraction;
    if (std::isinf(x)) return sign | infinity;
    const int e = std::max(x == 0 ? 1 - bias() : std::ilogb(x), 1 - bias());
    // In units of the last place; 2^(fraction + 1) where rounding carries: the next exponent.
    const double units = std::nearbyint(std::ldexp(std::abs(x), fraction - e));
    const auto word = static_cast<std::uint64_t>(units) +
                      (static_cast<std::uint64_t>(e + bias() - 1) << fraction);
    return sign | static_cast<Word>(std::min<std::uint64_t>(word, infinity));
  }
};

constexpr Format kFormats[] = {{23, 8}, {10, 5}, {7, 8}};  // by DType: f32, f16, bf16

constexpr int kThreads = 256, kBlocks = 8;
constexpr std::size_t kSize = std::size_t{kThreads} * kBlocks;

}  // namespace

ASSAY_KERNEL(kThreads) void conversions(const Word* in, Word* out) {
  const int i = block_index() * kThreads + thread_index();
  const Word word = in[i];
  const float x = as_float(word);
  out += i * 10;
  const bf16 brain = narrow<bf16>(x);
  const f16 half = narrow<f16>(x);
  out[0] = as_bits(narrow<float>(x));
  out[1] = static_cast<Word>(brain.bits) << 16;
  out[2] = x != x && (half.bits & 0x7fffu) > 0x7c00u ? 0x7fffu : half.bits;
  out[3] = as_bits(widen(bf16{static_cast<std::uint16_t>(word)}));
  out[4] = as_bits(widen(f16{static_cast<std::uint16_t>(word)}));
  out[5] = as_bits(widen(x));
  const std::uint32_t words[] = {word, ~word};
  out[6] = pack(bf16{static_cast<std::uint16_t>(word >> 16)}, bf16{static_cast<std::uint16_t>(i)});
  out[7] = as_bits(element<float>(words, 1));
  out[8] = as_bits(element<bf16>(words, 3));
  out[9] = as_bits(element<f16>(words, 2));
}
ASSAY_CHECK(conversions){
    .name = "convert/narrow_widen",
    .covers = {"narrow", "widen", "pack", "element"},
    .kernel = conversions,
    .blocks = kBlocks,
    .threads = kThreads,
    .inputs = kSize,
    .outputs = kSize * 10,
    .prepare =
        [](Words& in) {
          // Half of them where f16 rounds, is subnormal or overflows; ties of both types.
          for (std::size_t i = 0; i < in.size(); i += 2) {
            in[i] = (in[i] & 0x807fffffu) | (100 + in[i] % 46) << 23;
            if (i % 8 == 0) in[i] = (in[i] & 0xffff0000u) | 0x8000u;
            if (i % 8 == 2) in[i] = (in[i] & 0xffffe000u) | 0x1000u;
          }
          const float special[] = {
              0.0f,        -0.0f,        65504.0f,     65519.9f,        65520.0f,
              -65520.0f,   0x1p-24f,     0x1p-25f,     0x1.000002p-25f, 0x1.8p-24f,
              0x1p-14f,    0x1.ffcp-15f, 0x1.fffp-15f, 0x1.fffffep127f, 0x1.fefffep127f,
              0x1.ffp127f, 1e-45f,       0x1p-126f,    1e-40f};
          for (std::size_t i = 0; i < std::size(special); ++i) in[i] = bits_of(special[i]);
          const Word more[] = {0x7f800000u, 0xff800000u, 0x7fc00000u, 0x7f800001u, 0xffffffffu};
          for (std::size_t i = 0; i < std::size(more); ++i) in[20 + i] = more[i];
        },
    .expect =
        [](const Words& in, Expectation& want) {
          for (std::size_t i = 0; i < in.size(); ++i) {
            const Word word = in[i];
            const double x = kFormats[0].decode(word);
            const std::size_t to = i * 10;
            want.bits(to, word);
            if (std::isnan(x)) {
              want.number(to + 1, x);
              want.bits(to + 2, 0x7fffu);
            } else {
              want.bits(to + 1, kFormats[2].encode(x) << 16);
              want.bits(to + 2, kFormats[1].encode(x));
            }
            want.number(to + 3, kFormats[2].decode(word & 0xffffu));
            want.number(to + 4, kFormats[1].decode(word & 0xffffu));
            want.bits(to + 5, word);
            want.bits(to + 6, word >> 16 | static_cast<Word>(i) << 16);
            want.bits(to + 7, ~word);
            want.bits(to + 8, ~word & 0xffff0000u);
            want.number(to + 9, kFormats[1].decode(~word & 0xffffu));
          }
        }};

// Sums of bf16 terms: three of a float, each the rest rounded; all of two f16 in a word.
ASSAY_KERNEL(kThreads) void terms(const Word* in, Word* out) {
  const int i = block_index() * kThreads + thread_index();
  bf16 of[3];
  split(as_float(in[2 * i]), of);
  std::uint32_t halves[2], one[1];
  split_word<f16>(in[2 * i + 1], halves);
  split_word<bf16>(in[2 * i + 1], one);
  out += i * 6;
  for (int term = 0; term < 3; ++term) out[term] = of[term].bits;
  for (int n = 0; n < 2; ++n) {
    out[3 + n] = as_bits(n == 0 ? element<bf16>(halves, 0) + element<bf16>(halves + 1, 0)
                                : element<bf16>(halves, 1) + element<bf16>(halves + 1, 1));
  }
  out[5] = one[0];
}
ASSAY_CHECK(terms){.name = "convert/terms",
                   .covers = {"split", "split_word"},
                   .kernel = terms,
                   .blocks = kBlocks,
                   .threads = kThreads,
                   .inputs = kSize * 2,
                   .outputs = kSize * 6,
                   .prepare =
                       [](Words& in) {
                         // Floats of magnitudes 2^-60 to 2^60; any f16 but infinities and NaN.
                         for (std::size_t i = 0; i < in.size(); i += 2) {
                           in[i] = (in[i] & 0x807fffffu) | (67 + in[i] % 120) << 23;
                           for (const int shift : {0, 16}) {
                             const Word half = in[i + 1] >> shift;
                             if ((half & 0x7c00u) == 0x7c00u) in[i + 1] ^= 0x0400u << shift;
                           }
                         }
                         in[1] = 0x83ff0001u;  // subnormal
                       },
                   .expect =
                       [](const Words& in, Expectation& want) {
                         for (std::size_t i = 0; i < kSize; ++i) {
                           double rest = kFormats[0].decode(in[2 * i]);
                           for (std::size_t term = 0; term < 3; ++term) {
                             const Word bits = kFormats[2].encode(rest);
                             want.bits(i * 6 + term, bits);
                             rest -= kFormats[2].decode(bits);
                           }
                           const Word word = in[2 * i + 1];
                           want.number(i * 6 + 3, kFormats[1].decode(word & 0xffffu));
                           want.number(i * 6 + 4, kFormats[1].decode(word >> 16));
                           want.bits(i * 6 + 5, word);
                         }
                       }};

// For each type and count a region of `in` with elements to load, of floats to store, and of `out`
// for both.
namespace {
constexpr int kLoaders = 32, kMost = 8;
constexpr int kRegion = kLoaders * kMost;
constexpr std::size_t kCases = 9, kPart = kRegion;

// Neither NaN nor beyond f16, in any of the three types: the exponent's upper two bits differ.
void tame(Words& in) {
  for (Word& w : in) {
    for (const int shift : {0, 16}) {
      w = (w & ~(0x6000u << shift)) | ((w >> shift & 0x2000u) != 0 ? 0x2000u : 0x4000u) << shift;
    }
    w &= ~(0x1c00u << 16);  // |x| < 2^-55 or in [2, 512) as a float
  }
}

// What kCount elements each of kLoaders threads are: loaded into `to`, stored at to + kRegion.
void expect_elements(const Words& in, Expectation& want, std::size_t region, int type, int count) {
  const Format& format = kFormats[type];
  const std::size_t from = 2 * region * kPart,
                    elements = static_cast<std::size_t>(count) * kLoaders;
  for (std::size_t i = 0; i < elements; ++i) {
    const float source = number(in[from + kPart + i]);
    if (type == 0) {
      want.bits(from + i, in[from + i]);
      want.bits(from + kPart + i, bits_of(source));
      continue;
    }
    const Word word = in[from + i / 2];
    want.number(from + i, format.decode(i % 2 == 0 ? word & 0xffffu : word >> 16));
    if (i % 2 == 0) {
      want.bits(from + kPart + i / 2,
                format.encode(source) | format.encode(number(in[from + kPart + i + 1])) << 16);
    }
  }
}

void expect_zeros(Expectation& want, std::size_t count) {
  for (std::size_t i = 0; i < count; ++i) want.bits(i, 0);
}
}  // namespace

template <class T, int kCount>
ASSAY_DEVICE void elements_of(const Word* in, Word* out) {
  const int t = thread_index();
  float x[kCount], y[kCount];
  load_elements(reinterpret_cast<const T*>(in) + t * kCount, x);
  for (int i = 0; i < kCount; ++i) {
    out[t * kCount + i] = as_bits(x[i]);
    y[i] = as_float(in[kRegion + t * kCount + i]);
  }
  store_elements(reinterpret_cast<T*>(out + kRegion) + t * kCount, y);
}
ASSAY_KERNEL(kLoaders) void elements(const Word* in, Word* out) {
  constexpr int kNext = 2 * kRegion;
  elements_of<float, 2>(in, out);
  elements_of<float, 4>(in + kNext, out + kNext);
  elements_of<float, 8>(in + 2 * kNext, out + 2 * kNext);
  elements_of<f16, 2>(in + 3 * kNext, out + 3 * kNext);
  elements_of<f16, 4>(in + 4 * kNext, out + 4 * kNext);
  elements_of<f16, 8>(in + 5 * kNext, out + 5 * kNext);
  elements_of<bf16, 2>(in + 6 * kNext, out + 6 * kNext);
  elements_of<bf16, 4>(in + 7 * kNext, out + 7 * kNext);
  elements_of<bf16, 8>(in + 8 * kNext, out + 8 * kNext);
}
ASSAY_CHECK(elements){.name = "convert/elements",
                      .covers = {"load_elements", "store_elements"},
                      .kernel = elements,
                      .threads = kLoaders,
                      .inputs = kCases * 2 * kPart,
                      .outputs = kCases * 2 * kPart,
                      .initial = 0,
                      .prepare = tame,
                      .expect = [](const Words& in, Expectation& want) {
                        expect_zeros(want, kCases * 2 * kPart);
                        for (std::size_t i = 0; i < kCases; ++i) {
                          expect_elements(in, want, i, static_cast<int>(i) / 3, 2 << i % 3);
                        }
                      }};

ASSAY_KERNEL(kLoaders) void any_elements(const Word* in, Word* out) {
  const int t = thread_index();
  for (int type = 0; type < 3; ++type) {
    // Four at a time, then one by one.
    for (int single = 0; single < 2; ++single) {
      const DType dtype = type == 0 ? DType::f32 : type == 1 ? DType::f16 : DType::bf16;
      const AnyInput source = {in, dtype}, floats = {in + kRegion, DType::f32};
      const AnyOutput loaded = {out, DType::f32}, stored = {out + kRegion, dtype};
      if (single == 0) {
        float x[4];
        source.load(t * 4, x);
        loaded.store(t * 4, x);
        floats.load(t * 4, x);
        stored.store(t * 4, x);
      } else {
        for (int i = t; i < kRegion / 2; i += kLoaders) {
          loaded.store(i, source.load(i));
          stored.store(i, floats.load(i));
        }
      }
      in += 2 * kRegion;
      out += 2 * kRegion;
    }
  }
  if (t == 0) {
    const AnyInput absent = {}, here = {in, DType::bf16};
    out[0] = absent.present() ? 1 : 2;
    out[1] = here.present() ? 3 : 4;
    out[2] = here.as<Word>() == in ? 5 : 6;
    out[3] = AnyOutput{out, DType::f16}.as<Word>() == out ? 7 : 8;
  }
}
ASSAY_CHECK(any_elements){.name = "convert/any_dtype",
                          .covers = {"present", "as", "load", "store"},
                          .kernel = any_elements,
                          .threads = kLoaders,
                          .inputs = std::size_t{6} * 2 * kPart,
                          .outputs = std::size_t{6} * 2 * kPart + 4,
                          .initial = 0,
                          .prepare = tame,
                          .expect = [](const Words& in, Expectation& want) {
                            expect_zeros(want, std::size_t{6} * 2 * kPart);
                            for (std::size_t i = 0; i < 6; ++i) {
                              expect_elements(in, want, i, static_cast<int>(i) / 2, 4);
                            }
                            for (std::size_t i = 0; i < 4; ++i) {
                              want.bits(std::size_t{6} * 2 * kPart + i,
                                        static_cast<Word>(1 + 2 * i + (i == 0)));
                            }
                          }};

}  // namespace assay::ASSAY_TWIN::selftest
