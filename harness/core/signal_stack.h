// Stacks for signal handlers: one to a thread, so that an overflow of its own can be handled, too.
#pragma once

#include <atomic>

namespace assay {

inline std::atomic<bool> signal_stacks_wanted{false};

void use_signal_stack();  // gives this thread one, unless it has one

}  // namespace assay
