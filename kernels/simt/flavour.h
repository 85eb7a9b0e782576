// The executor and the kernels are built in three flavours, one to a program: plain; address, with
// the address and undefined-behaviour sanitizers; race, where every access of a kernel is checked
// by race.h.
#pragma once

#if !defined(ASSAY_SIMT_RACE)
#define ASSAY_SIMT_RACE 0
#endif
#if !defined(ASSAY_SIMT_ADDRESS)
#define ASSAY_SIMT_ADDRESS 0
#endif
#if ASSAY_SIMT_RACE && ASSAY_SIMT_ADDRESS
#error "a program has one flavour of the simt executor"
#endif

namespace assay::executor {

inline constexpr bool kRace = ASSAY_SIMT_RACE != 0;
inline constexpr bool kAddress = ASSAY_SIMT_ADDRESS != 0;

}  // namespace assay::executor
