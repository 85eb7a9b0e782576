#include "harness/core/spending.h"

namespace assay {
namespace {

using Clock = std::chrono::steady_clock;

struct Account {
  Spent seconds = {};
  Expense current = Expense::rest;
  Clock::time_point since = Clock::now();

  void book() {
    const Clock::time_point now = Clock::now();
    seconds[static_cast<std::size_t>(current)] +=
        std::chrono::duration<double>(now - since).count();
    since = now;
  }
};

thread_local Account account;

}  // namespace

std::string_view name(Expense expense) {
  switch (expense) {
    case Expense::reference:
      return "reference";
    case Expense::inputs:
      return "inputs";
    case Expense::kernels:
      return "kernels under verification";
    case Expense::timing:
      return "timing";
    case Expense::limits:
      return "limits of the device";
    case Expense::counters:
      return "counters";
    case Expense::comparison:
      return "comparison";
    case Expense::transfers:
      return "transfers";
    case Expense::memory:
      return "memory";
    case Expense::rest:
      break;
  }
  return "rest";
}

void begin_spending() { account = {}; }

Spent spent() {
  account.book();
  return account.seconds;
}

Spending::Spending(Expense expense) : outer_(account.current) {
  account.book();
  account.current = expense;
}

Spending::~Spending() {
  account.book();
  account.current = outer_;
}

}  // namespace assay
