#include "harness/core/judgement.h"

#include <cmath>

namespace assay {

double Judgement::error_rms() const {
  return elements > 0 ? std::sqrt(error_squared / static_cast<double>(elements)) : 0;
}

double Judgement::error_normwise() const {
  return want_squared > 0 ? std::sqrt(error_squared / want_squared) : 0;
}

Judgement join(std::span<const Judgement> parts) {
  Judgement whole;
  for (const Judgement& part : parts) {
    whole.elements += part.elements;
    whole.wrong += part.wrong;
    whole.nonzero += part.nonzero;
    whole.zero_accepted += part.zero_accepted;
    whole.unsound += part.unsound;
    whole.error_squared += part.error_squared;
    whole.want_squared += part.want_squared;
    for (std::size_t b = 0; b < whole.ulps.size(); ++b) whole.ulps[b] += part.ulps[b];
    if (part.utilisation > whole.utilisation) {
      whole.utilisation = part.utilisation;
      whole.worst = part.worst;
    }
  }
  return whole;
}

}  // namespace assay
