// The three channels for trouble: exceptions (here), numbers (Check) and "not applicable"
// (Variant::unsupported).
#pragma once

#include <stdexcept>
#include <string>
#include <string_view>
#include <vector>

namespace assay {

// The user asked for something that can't be; the text says what would be right. Ends the program
// with exit code 2.
struct UsageError : std::runtime_error {
  using std::runtime_error::runtime_error;
};

// The machine can't do what a case needs (memory, a device error). Becomes the case's status
// `error`.
struct EnvironmentError : std::runtime_error {
  using std::runtime_error::runtime_error;
};

// What has run has ended the device's context: nothing works there any more until another process
// opens it. Becomes the case's status `crashed`.
struct DeviceLost : EnvironmentError {
  using EnvironmentError::EnvironmentError;
};

// A kernel did what no kernel may, whatever its numbers: a race, an access out of bounds, threads
// that never meet. Its kind (race, uninitialised, out_of_bounds, write_to_input, misaligned,
// divergence, undefined_behaviour, refused, hang) becomes the name of a failed check, the text its
// reason.
struct KernelFault : std::runtime_error {
  KernelFault(std::string of_kind, const std::string& text)
      : std::runtime_error(text), kind(std::move(of_kind)) {}
  std::string kind;
};

// ", did you mean `fused`?" for the name that differs in at most a third of the letters (or two);
// else ", one of: a, b, c".
std::string suggestion(std::string_view word, const std::vector<std::string>& names);

}  // namespace assay
