// Spending says where the wall time of a case goes. Scopes nest: time is booked on the innermost,
// so that the shares add up. Of the thread that runs the case alone.
#pragma once

#include <array>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <string_view>

namespace assay {

enum class Expense : std::uint8_t {
  reference,   // and its bounds
  inputs,      // generating them
  kernels,     // launches that are verified, and waiting for them
  timing,      // samples, warm-up included
  limits,      // measuring what the device can do
  counters,    // CUPTI's passes
  comparison,  // outputs against intervals and other runs
  transfers,   // of tensors between host and device
  memory,      // allocating, filling and freeing memory
  rest         // the harness itself
};
inline constexpr std::size_t kExpenses = 10;

std::string_view name(Expense expense);

using Spent = std::array<double, kExpenses>;  // seconds by Expense

// Seconds since begin_spending(); what no scope was open for is `rest`.
void begin_spending();
Spent spent();

class Spending {
 public:
  explicit Spending(Expense expense);
  ~Spending();
  Spending(const Spending&) = delete;
  Spending& operator=(const Spending&) = delete;

 private:
  Expense outer_;
};

}  // namespace assay
