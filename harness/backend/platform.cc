// The platforms compiled in. They register themselves before main, in any order.
#include <algorithm>

#include "harness/backend/backend.h"

namespace assay {
namespace {

struct Registered {
  std::vector<std::unique_ptr<Platform>> owned;
  std::vector<Platform*> sorted;
};

Registered& registered() {
  static Registered
      instance;  // made on first use, which may be in another file's static constructor
  return instance;
}

}  // namespace

RegisterPlatform::RegisterPlatform(std::unique_ptr<Platform> platform) {
  Registered& all = registered();
  all.sorted.push_back(platform.get());
  all.owned.push_back(std::move(platform));
  std::sort(all.sorted.begin(), all.sorted.end(),
            [](Platform* a, Platform* b) { return a->backend() < b->backend(); });
}

const std::vector<Platform*>& platforms() { return registered().sorted; }

Platform* find_platform(Backend backend) {
  for (Platform* platform : platforms()) {
    if (platform->backend() == backend) return platform;
  }
  return nullptr;
}

}  // namespace assay
