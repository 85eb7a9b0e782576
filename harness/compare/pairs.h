// Which record of one file is compared with which of another: the same case on the same machine,
// under the same contract, with the same seeds. What differs in these is refused unless it is asked
// for, since such numbers look comparable and are not.
#pragma once

#include <string>
#include <vector>

#include "reports/results.h"

namespace assay {

struct Across {
  bool devices = false;
  bool contracts = false;
  bool seeds = false;
};

struct Pair {
  const Record* base;
  const Record* next;
};

struct Pairs {
  std::vector<Pair> pairs;  // in the order of `next`
  std::vector<const Record*> only_in_base, only_in_next;
  std::vector<std::string> notes;
};

// Throws UsageError that says what differs and how to compare nevertheless; also where no case is
// in both.
Pairs pair_up(const Results& base, const Results& next, const Across& across);

// "commit: 1b37621c412a, now 757d520d1e5f": facts that differ between the environments of the
// records in the pairs, but for when and by which command they were made.
std::vector<std::string> environment_differences(const Results& base, const Results& next,
                                                 const std::vector<Pair>& pairs);

}  // namespace assay
