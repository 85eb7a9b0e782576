// Run-time choice of the instruction set for host code, without separate files or flags for each.
//
// A kernel is a type with a `template <Isa> static ASSAY_INLINE void run(args...)` written for any
// machine (loops that the compiler vectorises, or GCC vector types). run_simd<Kernel>(args...)
// holds one clone per instruction set, each inlining `run` and compiled for its target, and calls
// the best that this machine has. Since the target is an attribute of the clone alone, no inline
// function of a library is ever compiled for a newer machine and then shared by the linker.
//
// Two rules for what `run` calls. A function (or lambda) that takes or returns vector types must be
// ASSAY_INLINE: left out of line, as at -O0, it would be compiled for the baseline, which passes
// wide vectors in memory where the clone passes them in registers. And no OpenMP inside: call
// run_simd from the body of parallel_for.
#pragma once

#include <cstdint>
#include <optional>
#include <string_view>

namespace assay {

enum class Isa : std::uint8_t { baseline, avx2, avx512 };

inline constexpr Isa kAllIsas[] = {Isa::baseline, Isa::avx2, Isa::avx512};

std::string_view name(Isa isa);
std::optional<Isa> parse_isa(std::string_view text);

// Whether this machine and its operating system have all that the clone for `isa` is compiled for.
bool available(Isa isa);

// The best that this machine has; the environment variable ASSAY_ISA=baseline|avx2|avx512 lowers
// it. Read once. Throws UsageError where ASSAY_ISA names none of the three.
Isa best_isa();

// Floats in one register of `isa`.
constexpr int simd_width(Isa isa) { return isa == Isa::avx512 ? 16 : isa == Isa::avx2 ? 8 : 4; }

// A GCC vector of kLanes elements: + - * / and comparisons work lane by lane. (The attribute with a
// dependent size is honoured in a member typedef of a template, and silently ignored elsewhere.)
template <class T, int kLanes>
struct SimdVector {
  typedef T type __attribute__((vector_size(sizeof(T) * kLanes)));
};
template <class T, int kLanes>
using simd_vector = typename SimdVector<T, kLanes>::type;

}  // namespace assay

#define ASSAY_INLINE inline __attribute__((always_inline))
#define ASSAY_INLINE_LAMBDA __attribute__((always_inline))  // between a lambda's ) and its {

#if defined(__x86_64__)
#if defined(__clang__)  // which does not know prefer-vector-width and would ignore all of the rest
#define ASSAY_WIDE_VECTORS
#else
#define ASSAY_WIDE_VECTORS ",prefer-vector-width=512"
#endif
#define ASSAY_TARGET_AVX2 __attribute__((target("avx2,fma,f16c,bmi,bmi2"), flatten, noinline))
#define ASSAY_TARGET_AVX512                                                                   \
  __attribute__((                                                                             \
      target("avx512f,avx512bw,avx512dq,avx512vl,avx2,fma,f16c,bmi,bmi2" ASSAY_WIDE_VECTORS), \
      flatten, noinline))
#else
#define ASSAY_TARGET_AVX2
#define ASSAY_TARGET_AVX512
#endif

namespace assay {
namespace simd_detail {

template <class Kernel, class... Args>
__attribute__((noinline)) void run_baseline(Args... args) {
  Kernel::template run<Isa::baseline>(args...);
}
#if defined(__x86_64__)
template <class Kernel, class... Args>
ASSAY_TARGET_AVX2 void run_avx2(Args... args) {
  Kernel::template run<Isa::avx2>(args...);
}
template <class Kernel, class... Args>
ASSAY_TARGET_AVX512 void run_avx512(Args... args) {
  Kernel::template run<Isa::avx512>(args...);
}
#endif

}  // namespace simd_detail

// Kernel::run<isa>(args...) in its clone for `isa`, which must be available. Arguments are passed
// by value. From within another kernel's clone it is an ordinary call: a hot loop then has the
// registers to itself, instead of sharing them with all that surrounds it.
template <class Kernel, Isa isa, class... Args>
ASSAY_INLINE void call_simd(Args... args) {
#if defined(__x86_64__)
  if constexpr (isa == Isa::avx512) {
    simd_detail::run_avx512<Kernel, Args...>(args...);
  } else if constexpr (isa == Isa::avx2) {
    simd_detail::run_avx2<Kernel, Args...>(args...);
  } else {
    simd_detail::run_baseline<Kernel, Args...>(args...);
  }
#else
  simd_detail::run_baseline<Kernel, Args...>(args...);
#endif
}

// The same with `isa` known at run time.
template <class Kernel, class... Args>
void run_simd_on(Isa isa, Args... args) {
  if (isa == Isa::avx512) {
    call_simd<Kernel, Isa::avx512>(args...);
  } else if (isa == Isa::avx2) {
    call_simd<Kernel, Isa::avx2>(args...);
  } else {
    call_simd<Kernel, Isa::baseline>(args...);
  }
}

// Kernel::run<Isa>(args...), compiled for the best instruction set of this machine.
template <class Kernel, class... Args>
void run_simd(Args... args) {
  run_simd_on<Kernel, Args...>(best_isa(), args...);
}

}  // namespace assay
