// Where the wall time of a sweep went, for its summary.
#pragma once

#include <string>
#include <utility>
#include <vector>

#include "harness/core/record.h"

namespace assay {

class SpentTable {
 public:
  void add(const Record& record);
  // "reference 61 %, timing 20 %, …; Assay itself 4.2 %": shares of `wall` seconds, the largest
  // first, `rest` (what no case accounts for among it) last. Assay itself is what is neither
  // kernel, reference nor inputs.
  std::string text(double wall) const;

 private:
  std::vector<std::pair<std::string, double>> seconds_;
};

}  // namespace assay
