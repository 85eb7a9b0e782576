#include "harness/core/simd.h"

#include <algorithm>
#include <cstdlib>
#include <string>

#include "harness/core/error.h"

namespace assay {
namespace {

Isa best_available() {
  Isa best = Isa::baseline;
  for (Isa isa : kAllIsas) {
    if (available(isa)) best = isa;
  }
  return best;
}

Isa choose() {
  const char* asked = std::getenv("ASSAY_ISA");
  if (!asked || !*asked) return best_available();
  const std::optional<Isa> isa = parse_isa(asked);
  if (!isa) {
    throw UsageError("ASSAY_ISA=" + std::string(asked) + ": expected baseline, avx2 or avx512");
  }
  return std::min(*isa, best_available());
}

}  // namespace

std::string_view name(Isa isa) {
  switch (isa) {
    case Isa::avx512:
      return "avx512";
    case Isa::avx2:
      return "avx2";
    case Isa::baseline:
      break;
  }
  return "baseline";
}

std::optional<Isa> parse_isa(std::string_view text) {
  for (Isa isa : kAllIsas) {
    if (text == name(isa)) return isa;
  }
  return std::nullopt;
}

bool available(Isa isa) {
  if (isa == Isa::baseline) return true;
#if defined(__x86_64__)
  // Exactly what ASSAY_TARGET_AVX2 and ASSAY_TARGET_AVX512 ask the compiler for.
  __builtin_cpu_init();
  const bool avx2 = __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") &&
                    __builtin_cpu_supports("f16c") && __builtin_cpu_supports("bmi") &&
                    __builtin_cpu_supports("bmi2");
  if (isa == Isa::avx2) return avx2;
  return avx2 && __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
         __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl");
#else
  return false;
#endif
}

Isa best_isa() {
  static const Isa isa = choose();
  return isa;
}

}  // namespace assay
