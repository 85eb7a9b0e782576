// Reports of the address and undefined-behaviour sanitizers from kernels, as findings. Elsewhere
// they end the program, as usual.
#include "kernels/simt/flavour.h"

#if ASSAY_SIMT_ADDRESS

#include <sanitizer/asan_interface.h>
#include <sanitizer/common_interface_defs.h>

#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <string>

#include "kernels/simt/block.h"
#include "kernels/simt/finding.h"
#include "kernels/simt/launch.h"
#include "kernels/simt/memory.h"

extern "C" {

// Kernels are compiled to go on after a report; this makes the sanitizer do so, and look at every
// report. What a finding leaves behind on the fibers that never run again is no leak worth a word.
const char* __asan_default_options() {
  return "halt_on_error=0:suppress_equal_pcs=0:detect_stack_use_after_return=0:print_legend=0:"
         "detect_leaks=0";
}

void __ubsan_get_current_report_data(const char** kind, const char** message, const char** file,
                                     unsigned* line, unsigned* column, char** address);

void __asan_on_error() {
  using namespace assay::executor;
  const void* address = __asan_get_report_address();
  const void* pc = static_cast<const char*>(__asan_get_report_pc()) + 1;
  if (current == nullptr) {
    const std::string text = std::string("assay: ") + __asan_get_report_description() +
                             " in the harness itself, at " + place(pc) + "\n";
    fputs(text.c_str(), stderr);
    std::abort();
  }
  Block& block = *current->block;
  const std::string access = std::string(__asan_get_report_access_type() ? "written" : "read") +
                             " (" + std::to_string(__asan_get_report_access_size()) +
                             " bytes) by thread " + std::to_string(current->index()) +
                             " of block " + std::to_string(block.index()) + " at " + place(pc);
  std::string what;
  bool in_flight = false;
  if (block.arena().holds(address)) {
    const std::uint32_t offset = block.arena().offset(address);
    what = block.arena().describe(offset);
    in_flight = block.arena().slot_at(offset) != nullptr;
  } else {
    what = describe_global(address);
  }
  if (what.empty())
    what = std::string("memory of the host (") + __asan_get_report_description() + ")";
  // The thread is stopped at its next call of the executor: here the sanitizer holds a lock.
  if (in_flight) {
    block.launch().report("race", what + ": " + access + " while an asynchronous copy writes it");
  } else {
    block.launch().report("out_of_bounds", what + ": " + access);
  }
}

void __ubsan_on_report() {
  using namespace assay::executor;
  const char *kind = "", *message = "", *file = "";
  unsigned line = 0, column = 0;
  char* address = nullptr;
  __ubsan_get_current_report_data(&kind, &message, &file, &line, &column, &address);
  std::string where = file;
  if (const std::size_t at = where.rfind("/kernels/"); at != std::string::npos)
    where = where.substr(at + 1);
  where += ":" + std::to_string(line);
  if (current == nullptr) {
    const std::string text =
        std::string("assay: ") + message + " in the harness itself, at " + where + "\n";
    fputs(text.c_str(), stderr);
    std::abort();
  }
  Block& block = *current->block;
  const bool is_alignment = std::string(kind).find("align") != std::string::npos;
  std::string what = address == nullptr ? ""
                     : block.arena().holds(address)
                         ? " (" + block.arena().describe(block.arena().offset(address)) + ")"
                         : "";
  const bool is_index = std::string(kind).find("bounds") != std::string::npos;
  block.launch().report(is_alignment ? "misaligned"
                        : is_index   ? "out_of_bounds"
                                     : "undefined_behaviour",
                        message + what + ": thread " + std::to_string(current->index()) +
                            " of block " + std::to_string(block.index()) + " at " + where);
}

}  // extern "C"

#endif  // ASSAY_SIMT_ADDRESS
