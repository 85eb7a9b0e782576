// How findings speak of places in the source.
#pragma once

#include <string>

namespace assay::executor {

// "kernels/attnres_fwd/rows.h:23 (in kernels/attnres_fwd/naive.cu:28)": the source lines of an
// address in this program, the innermost inlined function first, wrappers of the vocabulary left
// out. Takes a tenth of a second for an address that has not been asked for before.
std::string place(const void* address);
// Whether this OS thread is in place(): it must not be interrupted there, and takes its time.
bool is_naming_place();

// Whether both may be the same place in the source: compilers copy code, and a program without
// debug information cannot tell, so that it accuses no kernel of two places.
bool may_be_same_lines(const void* a, const void* b);
inline bool may_be_same_place(const void* a, const void* b) {
  return a == b || may_be_same_lines(a, b);
}

}  // namespace assay::executor
