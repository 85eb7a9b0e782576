// Element conversion and memory access, one element or 16 bytes at a time. Storage types are those
// of harness/core/dtype.h; arithmetic happens in float.
#pragma once

#include <cstdint>

#include "harness/core/dtype.h"
#include "kernels/device/math.h"

#if !ASSAY_SIMT
#include <cuda_bf16.h>
#include <cuda_fp16.h>
#endif

namespace assay::ASSAY_TWIN {

struct alignas(16) Vector {  // 16 bytes of any storage type, as a place in memory
  std::uint32_t words[4];
};

// Elements of T in a Vector: 8 of a 16-bit type, 4 floats.
template <class T>
inline constexpr int kVectorSize = 16 / sizeof(T);

// Exact.
ASSAY_DEVICE float widen(float x) { return x; }
ASSAY_DEVICE float widen(bf16 x) { return as_float(static_cast<std::uint32_t>(x.bits) << 16); }
ASSAY_DEVICE float widen(f16 x) {
#if ASSAY_SIMT
  return to_float(x);
#else
  return __half2float(__ushort_as_half(x.bits));
#endif
}

// Rounds once, to nearest with ties to even.
template <class T>
ASSAY_DEVICE T narrow(float x);
template <>
ASSAY_DEVICE float narrow<float>(float x) {
  return x;
}
template <>
ASSAY_DEVICE bf16 narrow<bf16>(float x) {
#if ASSAY_SIMT
  return round_to<bf16>(x);
#else
  return {__bfloat16_as_ushort(__float2bfloat16_rn(x))};
#endif
}
template <>
ASSAY_DEVICE f16 narrow<f16>(float x) {
#if ASSAY_SIMT
  return round_to<f16>(x);
#else
  return {__half_as_ushort(__float2half_rn(x))};
#endif
}

// Two 16-bit elements in a word: the first one in the low half.
template <class T>
ASSAY_DEVICE std::uint32_t pack(T low, T high) {
  return low.bits | static_cast<std::uint32_t>(high.bits) << 16;
}

// Element i of those in `words`; i must be known when compiling.
template <class T>
ASSAY_DEVICE float element(const std::uint32_t* words, int i) {
  if constexpr (sizeof(T) == 4) {
    return as_float(words[i]);
  } else if constexpr (std::is_same_v<T, bf16>) {
    return as_float(i % 2 ? words[i / 2] & 0xffff0000u : words[i / 2] << 16);
  } else {
    return widen(T{static_cast<std::uint16_t>(i % 2 ? words[i / 2] >> 16 : words[i / 2])});
  }
}

// kCount words (1, 2 or 4) in one access; the address must be aligned to their size.
template <int kCount>
ASSAY_DEVICE void load_words(const void* address, std::uint32_t (&words)[kCount]) {
  static_assert(kCount == 1 || kCount == 2 || kCount == 4);
#if ASSAY_SIMT
  struct alignas(4 * kCount) Access {
    std::uint32_t words[kCount];
  };
  executor::require_aligned(address, sizeof(Access));
  const Access access = *static_cast<const Access*>(address);
  for (int i = 0; i < kCount; ++i) words[i] = access.words[i];
#else
  if constexpr (kCount == 4) {
    const uint4 bits = *static_cast<const uint4*>(address);
    words[0] = bits.x, words[1] = bits.y, words[2] = bits.z, words[3] = bits.w;
  } else if constexpr (kCount == 2) {
    const uint2 bits = *static_cast<const uint2*>(address);
    words[0] = bits.x, words[1] = bits.y;
  } else {
    words[0] = *static_cast<const std::uint32_t*>(address);
  }
#endif
}
template <int kCount>
ASSAY_DEVICE void store_words(void* address, const std::uint32_t (&words)[kCount]) {
  static_assert(kCount == 1 || kCount == 2 || kCount == 4);
#if ASSAY_SIMT
  struct alignas(4 * kCount) Access {
    std::uint32_t words[kCount];
  };
  executor::require_aligned(address, sizeof(Access));
  Access access;
  for (int i = 0; i < kCount; ++i) access.words[i] = words[i];
  *static_cast<Access*>(address) = access;
#else
  if constexpr (kCount == 4) {
    *static_cast<uint4*>(address) = make_uint4(words[0], words[1], words[2], words[3]);
  } else if constexpr (kCount == 2) {
    *static_cast<uint2*>(address) = make_uint2(words[0], words[1]);
  } else {
    *static_cast<std::uint32_t*>(address) = words[0];
  }
#endif
}

// kCount contiguous elements (2, 4 or 8) between memory and floats, in as few accesses as their
// size allows. The address must be aligned to the smaller of 16 and kCount * sizeof(T) bytes.
template <class T, int kCount>
ASSAY_DEVICE void load_elements(const T* from, float (&x)[kCount]) {
  constexpr int kPart = kCount < kVectorSize<T> ? kCount : kVectorSize<T>;
  ASSAY_UNROLL
  for (int part = 0; part < kCount; part += kPart) {
    std::uint32_t words[kPart * sizeof(T) / 4];
    load_words(from + part, words);
    ASSAY_UNROLL
    for (int i = 0; i < kPart; ++i) x[part + i] = element<T>(words, i);
  }
}

template <class T, int kCount>
ASSAY_DEVICE void store_elements(T* to, const float (&x)[kCount]) {
  constexpr int kPart = kCount < kVectorSize<T> ? kCount : kVectorSize<T>;
  ASSAY_UNROLL
  for (int part = 0; part < kCount; part += kPart) {
    std::uint32_t words[kPart * sizeof(T) / 4];
    ASSAY_UNROLL
    for (int i = 0; i < kPart; i += 4 / sizeof(T)) {
      if constexpr (sizeof(T) == 4) {
        words[i] = as_bits(x[part + i]);
      } else {
        words[i / 2] = pack(narrow<T>(x[part + i]), narrow<T>(x[part + i + 1]));
      }
    }
    store_words(to + part, words);
  }
}

}  // namespace assay::ASSAY_TWIN
