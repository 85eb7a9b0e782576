#include "harness/core/spending.h"

#include <thread>

#include "harness/testing.h"

namespace assay {
namespace {

void wait(int milliseconds) {
  std::this_thread::sleep_for(std::chrono::milliseconds(milliseconds));
}
double of(const Spent& spent, Expense expense) { return spent[static_cast<std::size_t>(expense)]; }

}  // namespace

TEST_CASE("time is booked on the innermost scope, and nothing is lost", "[spending]") {
  const auto start = std::chrono::steady_clock::now();
  begin_spending();
  wait(2);
  {
    const Spending outer(Expense::comparison);
    wait(4);
    {
      const Spending inner(Expense::reference);
      wait(20);
    }
    wait(4);
  }
  const Spent seconds = spent();
  const double wall =
      std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
  CHECK(of(seconds, Expense::reference) >= 0.020);
  CHECK(of(seconds, Expense::comparison) >= 0.008);
  CHECK(of(seconds, Expense::rest) >= 0.002);
  CHECK(of(seconds, Expense::timing) == 0);
  double sum = 0;
  for (const double share : seconds) sum += share;
  CHECK(sum <= wall);
  CHECK(sum >= wall - 0.005);
  begin_spending();
  CHECK(of(spent(), Expense::reference) == 0);
}

}  // namespace assay
