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

// ", did you mean `fused`?" for the name that differs in at most a third of the letters (or two);
// else ", one of: a, b, c".
std::string suggestion(std::string_view word, const std::vector<std::string>& names);

}  // namespace assay
