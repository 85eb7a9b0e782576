// Whatever a device's way is, its fingerprints are those of the host.
#include "harness/core/fingerprint.h"

#include <vector>

#include "harness/backend/backend.h"
#include "harness/testing.h"
#include "harness/testing_device.h"

namespace assay {
namespace {

void compare(Device& device) {
  std::vector<unsigned char> sent((std::size_t{2} << 20) + 100);
  for (std::size_t i = 0; i < sent.size(); ++i)
    sent[i] = static_cast<unsigned char>((i * 2654435761U) >> 13);
  const DeviceMemory memory(device, static_cast<std::int64_t>(sent.size()));
  device.upload(memory.data(), sent.data(), memory.bytes());
  for (const std::int64_t bytes : {0, 1, 8, 4099, 1 << 20, (1 << 20) + 1, (2 << 20) + 10}) {
    for (const std::int64_t offset : {0, 2, 4, 13}) {
      CHECK(device.fingerprint(static_cast<char*>(memory.data()) + offset, bytes) ==
            fingerprint(sent.data() + offset, bytes));
    }
  }
}

}  // namespace

TEST_CASE("fingerprints of device memory are those of the host, on backends without a GPU") {
  for (const Backend backend : {Backend::cpu, Backend::simt})
    compare(*find_platform(backend)->open(0));
  ForwardingDevice by_way_of_the_host;
  compare(by_way_of_the_host);
}

}  // namespace assay
