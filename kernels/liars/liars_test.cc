// The corpus of liars itself; `assay selftest liars` runs it.
#include <set>
#include <string>
#include <vector>

#include "harness/core/liar.h"
#include "harness/core/registry.h"
#include "harness/testing.h"

namespace assay {
namespace {

std::vector<const Liar*> simt_liars() {
  std::vector<const Liar*> found;
  for (const Liar* liar : liars())
    if (liar->variant.backend == Backend::simt) found.push_back(liar);
  return found;
}

}  // namespace

TEST_CASE("the corpus has at least 60 different bugs and none among the variants") {
  const std::vector<const Liar*> all = simt_liars();
  std::set<std::string> names, bugs;
  for (const Liar* liar : all) {
    INFO(liar->variant.name);
    CHECK(names.insert(liar->variant.name).second);
    CHECK_FALSE(liar->problem.empty());
    if (liar->bug.empty()) {
      CHECK(liar->caught_by.empty());
    } else {
      CHECK(bugs.insert(liar->variant.op + ": " + liar->bug).second);
    }
  }
  CHECK(bugs.size() >= 60);
  for (const Variant* variant : variants())
    for (const Liar* liar : liars()) CHECK(variant->id() != liar->variant.id());
}

}  // namespace assay
