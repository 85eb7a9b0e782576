#include "harness/core/registry.h"

#include <map>
#include <set>

#include "harness/core/error.h"
#include "harness/testing.h"

namespace assay {

TEST_CASE("what registers itself is there, sorted, and complete") {
  REQUIRE(!ops().empty());  // a linker that drops self-registering files would leave these empty
  REQUIRE(!variants().empty());
  std::map<std::string, std::set<std::string>> on_cpu;
  for (const Variant* variant : variants()) {
    INFO(variant->id());
    CHECK(find_op(variant->op) != nullptr);
    CHECK(!variant->summary.empty());
    CHECK(bool(variant->numerics));
    CHECK(bool(variant->prepare));
    if (variant->backend == Backend::cpu) on_cpu[variant->op].insert(variant->name);
  }
  CHECK(on_cpu["attnres_fwd"] ==
        std::set<std::string>{"fused", "naive", "split_kv", "tensor_core"});
  for (const Op* op : ops()) {
    INFO(op->name);
    if (op->name != "residual_add") CHECK(on_cpu[op->name].contains("fused"));  // one pass anyhow
    CHECK(on_cpu[op->name].contains("naive"));
    CHECK(!op->families.empty());
    CHECK(!op->formula.empty());
    CHECK(!op->source.empty());
  }
}

TEST_CASE("globs match any run and any character") {
  CHECK(glob_match("*", ""));
  CHECK(glob_match("fused@*", "fused@cuda"));
  CHECK(glob_match("*_fwd/?used@c*a", "attnres_fwd/fused@cuda"));
  CHECK(glob_match("a*b*c", "a-b-b-c"));
  CHECK_FALSE(glob_match("fused", "fused@cuda"));
  CHECK_FALSE(glob_match("?", ""));
  CHECK_FALSE(glob_match("a*b", "a-c"));
}

TEST_CASE("a variant is matched by id, bare name or name") {
  Variant variant;
  variant.op = "attnres_fwd";
  variant.name = "fused";
  variant.backend = Backend::cuda;
  for (const char* glob :
       {"fused", "fused@cuda", "attnres_fwd/fused@cuda", "*@cuda", "attnres*", "f?sed"}) {
    INFO(glob);
    CHECK(matches(variant, glob));
  }
  for (const char* glob : {"fuse", "fused@cpu", "cuda", "naive"}) {
    INFO(glob);
    CHECK_FALSE(matches(variant, glob));
  }
}

TEST_CASE("a wrong word is answered with the nearest right one") {
  CHECK(suggestion("fusd", {"fused", "naive"}) == ", did you mean `fused`?");
  CHECK(suggestion("FUSED", {"fused", "naive"}) == ", did you mean `fused`?");
  CHECK(suggestion("split", {"fused", "split_kv"}) == ", did you mean `split_kv`?");
  CHECK(suggestion("xyz", {"fused", "naive"}) == ", one of: fused, naive");
  CHECK(suggestion("x", {}) == ", there is none");
}

}  // namespace assay
