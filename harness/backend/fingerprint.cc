// The fingerprint of device memory where the device has no way of its own: by way of the host, a
// piece at a time.
#include "harness/core/fingerprint.h"

#include <algorithm>
#include <vector>

#include "harness/backend/backend.h"

namespace assay {

Fingerprint Device::fingerprint(const void* memory, std::int64_t bytes) {
  constexpr std::int64_t kPiece = 1 << 20;
  std::vector<char> piece(static_cast<std::size_t>(std::min(kPiece, bytes)));
  Fingerprint sum;
  for (std::int64_t at = 0; at < bytes; at += kPiece) {
    const std::int64_t count = std::min(kPiece, bytes - at);
    download(piece.data(), static_cast<const char*>(memory) + at, count);
    add_words(sum, piece.data(), count, at);
  }
  add_length(sum, bytes);
  return sum;
}

}  // namespace assay
