#include "harness/core/composite.h"

#include <functional>
#include <stdexcept>
#include <string>
#include <vector>

#include "harness/core/registry.h"
#include "harness/engine/suite.h"
#include "harness/testing.h"

namespace assay {
namespace {

// R = P + U in two steps, copies of both to an intermediate and their sum, changed by `change`.
Variant two_steps(const std::function<void(StepList&)>& change = [](StepList&) {}) {
  Variant variant;
  variant.op = "residual_add";
  variant.name = "two_steps";
  variant.backend = Backend::cpu;
  variant.steps = [change](const Problem& problem) {
    const Op& op = *find_op("residual_add");
    Problem copy = problem;
    set_tensor(op, copy, "U", false);
    StepList list;
    list.intermediates = {{"First", DType::f32, 3},
                          {"Copy", DType::f32, problem.dim("T") * problem.dim("D")}};
    list.steps = {{copy, "naive", {{"P", "P"}, {"R", "Copy"}}},
                  {problem, "naive", {{"P", "Copy"}, {"U", "U"}, {"R", "R"}}}};
    change(list);
    return list;
  };
  complete_composite(variant);
  return variant;
}

struct Memory {
  explicit Memory(const Variant& variant, const Problem& problem)
      : workspace(static_cast<std::size_t>(variant.workspace(problem).bytes)) {
    for (const TensorSpec& spec : tensor_specs(op_of(problem), problem)) {
      storage.emplace_back(static_cast<std::size_t>(spec.elements()), 1.0f);
      buffers.tensors.add({spec, storage.back().data()});
    }
    buffers.workspace = workspace.data();
  }
  std::vector<std::vector<float>> storage;
  std::vector<char> workspace;
  Buffers buffers;
};

std::string complaint(const std::function<void(StepList&)>& change) {
  const Problem problem = parse_problem("residual_add p=1 u=1 T=4 D=2");
  Memory memory(two_steps(), problem);
  try {
    place(two_steps(change), problem, memory.buffers);
  } catch (const std::logic_error& error) {
    return error.what();
  }
  return "";
}

}  // namespace

TEST_CASE("a composite runs its steps in order, with memory for what is between them") {
  const Variant variant = two_steps();
  const Problem problem = parse_problem("residual_add p=1 u=1 T=4 D=2");
  CHECK(variant.unsupported(problem).empty());
  const std::int64_t own =
      find_variant("residual_add", "naive", Backend::cpu)->workspace(problem).bytes;
  CHECK(variant.workspace(problem).bytes == 512 + own);
  Memory memory(variant, problem);
  const Launch launch = variant.prepare(problem, memory.buffers);
  memory.storage[0].assign(8, 2.0f);
  memory.storage[1].assign(8, 0.5f);
  launch({});
  CHECK(memory.storage[2] == std::vector<float>(8, 2.5f));
}

TEST_CASE("steps that name what is not there are refused, saying which and what") {
  CHECK(complaint([](StepList&) {}).empty());
  CHECK(complaint([](StepList& list) {
          list.steps[0].variant = "nave";
        }).find("and there is no such variant") != std::string::npos);
  CHECK(complaint([](StepList& list) {
          list.steps[0].tensors[1].buffer = "Cpy";
        }).find("R in Cpy, which is not there") != std::string::npos);
  CHECK(complaint([](StepList& list) {
          list.steps[0].tensors[1].first = 1;
        }).find("R in Copy is beyond its end") != std::string::npos);
  CHECK(complaint([](StepList& list) {
          list.steps[0].tensors[1].first = -1;
        }).find("beyond its end") != std::string::npos);
  CHECK(complaint([](StepList& list) {
          list.steps[0].tensors[1].buffer = "First";
        }).find("beyond its end") != std::string::npos);
  CHECK(complaint([](StepList& list) {
          list.intermediates[1].dtype = DType::bf16;
        }).find("of another dtype") != std::string::npos);
  CHECK(complaint([](StepList& list) {
          list.steps[1].tensors.pop_back();
        }).find("nothing is bound to R") != std::string::npos);
}

TEST_CASE("what a step does not support, the composite does not") {
  // Liars aside, the variants of block_attnres support what their steps do.
  const Variant* const variant = find_variant("block_attnres_fwd", "fused", Backend::simt);
  REQUIRE(variant);
  const std::string why =
      variant->unsupported(parse_problem("block_attnres_fwd L=2 S=1 T=1 D=2147483649"));
  CHECK(why.find("attnres_fwd") != std::string::npos);
  CHECK(why.find("D above 2^") != std::string::npos);
}

}  // namespace assay
