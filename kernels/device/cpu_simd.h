// Vector vocabulary of the cpu kernels: pairs of registers loaded from and stored to any dtype.
//
// The unit is a Pair, 2W elements (W floats a register) held in two registers in the *pair order*
// of the dtype they came from. For f32 and f16 that is memory order. For bf16 it is even elements,
// then odd ones: 32-bit words shifted and masked give both with one load and two operations, half
// of what widening in memory order takes. Kernels keep fp32 scratch in the pair order of V and
// return to memory order only in store_as() and store_row().
#pragma once

#include <algorithm>
#include <cstdint>
#include <cstring>
#include <type_traits>
#include <utility>

#include "harness/core/dtype.h"
#include "harness/core/simd.h"

#if defined(__SSE2__)
#include <emmintrin.h>
#endif

namespace assay::cpu {

template <Isa isa>
using Floats = simd_vector<float, simd_width(isa)>;
template <Isa isa>
using Words = simd_vector<std::uint32_t, simd_width(isa)>;
template <Isa isa>
using Halves = simd_vector<std::uint16_t, simd_width(isa)>;

template <Isa isa>
struct Pair {
  Floats<isa> a, b;
};

template <Isa isa>
constexpr int kPair = 2 * simd_width(isa);  // elements of a Pair

// f(0), …, f(n - 1) with constants, so that arrays of vectors indexed by them become registers: a
// loop is unrolled too late for that.
template <int n, class F>
ASSAY_INLINE void unroll(const F& f) {
  [&]<int... i>(std::integer_sequence<int, i...>) ASSAY_INLINE_LAMBDA {
    (f(std::integral_constant<int, i>{}), ...);
  }(std::make_integer_sequence<int, n>{});
}

template <class To, class From>
ASSAY_INLINE To read(const From* from) {
  To to;
  __builtin_memcpy(&to, from, sizeof to);
  return to;
}

template <class Vectors>
ASSAY_INLINE void multiply_add(Vectors& sum, const Vectors& x, const Vectors& y) {
  sum.a += x.a * y.a;
  sum.b += x.b * y.b;
}
template <class Vectors>
ASSAY_INLINE void multiply_add(Vectors& sum, const Vectors& x, float y) {
  sum.a += x.a * y;
  sum.b += x.b * y;
}
template <class Vectors>
ASSAY_INLINE Vectors scale(const Vectors& x, float y) {
  return {x.a * y, x.b * y};
}

// Adds the lanes in a fixed tree of log2(W) levels.
template <Isa isa>
ASSAY_INLINE float sum(const Floats<isa>& x) {
  float lane[simd_width(isa)];
  __builtin_memcpy(lane, &x, sizeof x);
  for (int half = simd_width(isa) / 2; half > 0; half /= 2) {
    for (int i = 0; i < half; ++i) lane[i] += lane[i + half];
  }
  return lane[0];
}

// ---- f16: by instruction where the clone's target has it, else by exact integer arithmetic ----

template <Isa isa>
ASSAY_INLINE Floats<isa> widen_f16(Halves<isa> h) {
#if defined(__x86_64__) && !defined(__clang__)
  if constexpr (isa != Isa::baseline) {
    // As text: the intrinsic can't be inlined into a function that is generic in its target.
    Floats<isa> x;
    asm("vcvtph2ps %1, %0" : "=v"(x) : "v"(h));
    return x;
  }
#endif
  const Words<isa> bits = __builtin_convertvector(h, Words<isa>);
  const Words<isa> sign = (bits & 0x8000) << 16;
  const Words<isa> magnitude = (bits & 0x7fff) << 13;
  // Exponents differ by 112; the product also normalises subnormals. Inf and NaN keep theirs at
  // 255.
  const auto finite =
      reinterpret_cast<Words<isa>>(reinterpret_cast<Floats<isa>>(magnitude) * 0x1p112f);
  const auto special = reinterpret_cast<Words<isa>>(magnitude >= (0x7c00u << 13));
  return reinterpret_cast<Floats<isa>>(((magnitude | 0x7f800000) & special) | (finite & ~special) |
                                       sign);
}

template <Isa isa>
ASSAY_INLINE Halves<isa> narrow_f16(Floats<isa> x) {
#if defined(__x86_64__) && !defined(__clang__)
  if constexpr (isa != Isa::baseline) {
    Halves<isa> h;
    asm("vcvtps2ph $0, %1, %0" : "=v"(h) : "v"(x));  // $0: to nearest, ties to even
    return h;
  }
#endif
  const auto select = [](auto mask, Words<isa> yes, Words<isa> no) ASSAY_INLINE_LAMBDA {
    const auto m = reinterpret_cast<Words<isa>>(mask);
    return (yes & m) | (no & ~m);
  };
  const auto bits = reinterpret_cast<Words<isa>>(x);
  const Words<isa> sign = (bits >> 16) & 0x8000;
  const Words<isa> magnitude = bits & 0x7fffffff;
  // Below 2^-14 the unit in the last place of 0.5f + |x| is that of f16's subnormals.
  const auto tiny =
      reinterpret_cast<Words<isa>>(reinterpret_cast<Floats<isa>>(magnitude) + 0.5f) - 0x3f000000;
  const Words<isa> normal = (magnitude - 0x38000000 + 0xfff + ((magnitude >> 13) & 1)) >> 13;
  Words<isa> h = select(magnitude < 0x38800000, tiny, normal);
  h = select(magnitude >= 0x47800000, Words<isa>{} + 0x7c00, h);  // 65536 and beyond: Inf
  h = select(magnitude > 0x7f800000, Words<isa>{} + 0x7e00, h);   // NaN
  return __builtin_convertvector(h | sign, Halves<isa>);
}

// The bf16 nearest to x, ties to even, in the upper half of each word; NaN stays NaN.
template <Isa isa>
ASSAY_INLINE Words<isa> round_bf16(Floats<isa> x) {
  const auto bits = reinterpret_cast<Words<isa>>(x);
  const auto nan = reinterpret_cast<Words<isa>>(x != x);
  const Words<isa> rounded = bits + 0x7fff + ((bits >> 16) & 1);
  return ((bits | 0x400000) & nan) | (rounded & ~nan);
}

// ---- pairs ----

template <Isa isa>
ASSAY_INLINE Pair<isa> load(const float* p) {
  return {read<Floats<isa>>(p), read<Floats<isa>>(p + simd_width(isa))};
}
template <Isa isa>
ASSAY_INLINE Pair<isa> load(const f16* p) {
  return {widen_f16<isa>(read<Halves<isa>>(p)),
          widen_f16<isa>(read<Halves<isa>>(p + simd_width(isa)))};
}
template <Isa isa>
ASSAY_INLINE Pair<isa> load(const bf16* p) {
  const auto words = read<Words<isa>>(p);
  return {reinterpret_cast<Floats<isa>>(words << 16),
          reinterpret_cast<Floats<isa>>(words & 0xffff0000)};
}

// The first `count` elements, up to 2W; the others are 0.
template <Isa isa, class T>
ASSAY_INLINE Pair<isa> load_part(const T* p, std::int64_t count) {
  if (count >= kPair<isa>) return load<isa>(p);
  T whole[kPair<isa>] = {};
  std::memcpy(whole, p, static_cast<std::size_t>(count) * sizeof(T));
  return load<isa>(whole);
}

template <class T>
inline constexpr bool kEvenOdd = std::is_same_v<T, bf16>;

namespace pair_detail {

template <Isa isa, int... i>
ASSAY_INLINE Pair<isa> interleave(Pair<isa> x, std::integer_sequence<int, i...>) {
  constexpr int kWidth = simd_width(isa);
  return {__builtin_shufflevector(x.a, x.b, (i / 2 + i % 2 * kWidth)...),
          __builtin_shufflevector(x.a, x.b, (kWidth / 2 + i / 2 + i % 2 * kWidth)...)};
}
template <Isa isa, int... i>
ASSAY_INLINE Pair<isa> split(Pair<isa> x, std::integer_sequence<int, i...>) {
  return {__builtin_shufflevector(x.a, x.b, (2 * i)...),
          __builtin_shufflevector(x.a, x.b, (2 * i + 1)...)};
}

}  // namespace pair_detail

// From the pair order of one dtype to that of another.
template <Isa isa, class From, class To>
ASSAY_INLINE Pair<isa> reorder(Pair<isa> x) {
  constexpr std::make_integer_sequence<int, simd_width(isa)> kLanes;
  if constexpr (kEvenOdd<From> == kEvenOdd<To>) {
    return x;
  } else if constexpr (kEvenOdd<From>) {
    return pair_detail::interleave<isa>(x, kLanes);
  } else {
    return pair_detail::split<isa>(x, kLanes);
  }
}

template <class V>
ASSAY_INLINE void write(void* to, const V& value) {
  __builtin_memcpy(to, &value, sizeof value);
}

// The same past the cache, for whole lines that are not read again soon: an ordinary store would
// first read the line. `to` is aligned to the register. End with stream_fence().
template <class V>
ASSAY_INLINE void stream_write(void* to, const V& value) {
#if defined(__SSE2__) && !defined(__clang__)
  if constexpr (sizeof value > 16) {  // as text for the same reason as above
    asm volatile("vmovntps %1, %0" : "=m"(*static_cast<V*>(to)) : "v"(value));
  } else {
    _mm_stream_si128(static_cast<__m128i*>(to), read<__m128i>(&value));
  }
#elif defined(__clang__)
  __builtin_nontemporal_store(value, static_cast<V*>(to));
#else
  write(to, value);
#endif
}
ASSAY_INLINE void stream_fence() {
#if defined(__SSE2__)
  _mm_sfence();
#endif
}

template <class Vectors>
ASSAY_INLINE void store(float* to, const Vectors& x) {
  write(to, x.a);
  write(to + sizeof x.a / sizeof(float), x.b);
}

// x, in the pair order of Order, to `to` in memory order, rounded once to `dtype`, by put(to,
// register).
template <Isa isa, class Order, class Put>
ASSAY_INLINE void store_as(char* to, DType dtype, const Pair<isa>& x, const Put& put) {
  if (dtype == DType::bf16) {
    const Pair<isa> y = reorder<isa, Order, bf16>(x);
    put(to, (round_bf16<isa>(y.a) >> 16) | (round_bf16<isa>(y.b) & 0xffff0000));
  } else if (dtype == DType::f16) {
    const Pair<isa> y = reorder<isa, Order, f16>(x);
    const Halves<isa> half[2] = {narrow_f16<isa>(y.a), narrow_f16<isa>(y.b)};
    put(to, read<Words<isa>>(half));
  } else {
    const Pair<isa> y = reorder<isa, Order, float>(x);
    put(to, y.a);
    put(to + sizeof y.a, y.b);
  }
}

// The same for `count` elements from whole pairs in `from`. stream: `to` is aligned to 64 bytes,
// and so is the end of what lies there.
template <Isa isa, class Order>
ASSAY_INLINE void store_row(char* to, DType dtype, const float* from, std::int64_t count,
                            bool stream) {
  const auto size = static_cast<std::int64_t>(size_of(dtype));
  const auto cached = [](char* at, const auto& x) ASSAY_INLINE_LAMBDA { write(at, x); };
  const auto past = [](char* at, const auto& x) ASSAY_INLINE_LAMBDA { stream_write(at, x); };
  std::int64_t d = 0;
  for (; d + kPair<isa> <= count; d += kPair<isa>) {
    if (stream) {
      store_as<isa, Order>(to + d * size, dtype, load<isa>(from + d), past);
    } else {
      store_as<isa, Order>(to + d * size, dtype, load<isa>(from + d), cached);
    }
  }
  if (d < count) {
    char rest[kPair<isa> * sizeof(float)];
    store_as<isa, Order>(rest, dtype, load<isa>(from + d), cached);
    std::memcpy(to + d * size, rest, static_cast<std::size_t>((count - d) * size));
  }
}

}  // namespace assay::cpu
