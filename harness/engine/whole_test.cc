// Programs for a whole network, right and wrong ones, against the limits of WholeJudge.
#include "harness/engine/whole.h"

#include <cstring>
#include <functional>
#include <limits>
#include <map>
#include <string>
#include <vector>

#include "harness/core/composite.h"
#include "harness/core/error.h"
#include "harness/core/host.h"
#include "harness/core/registry.h"
#include "harness/engine/replay.h"
#include "harness/engine/suite.h"
#include "harness/testing.h"

namespace assay {
namespace {

const char* const kForward = "block_attnres_fwd g=1 y=1 L=5 S=3 T=4 D=64 dtype=";
const char* const kBackward = "block_attnres_bwd g=1 y=1 L=5 S=3 T=4 D=64 dtype=";

// Tensors in host memory, by name.
class Memory {
 public:
  void* add(const TensorSpec& spec, const void* from = nullptr) {
    std::vector<std::byte>& own = storage_[spec.name];
    own.resize(static_cast<std::size_t>(spec.bytes()));
    if (from) std::memcpy(own.data(), from, own.size());
    tensors.add({spec, own.data()});
    return own.data();
  }
  Tensors tensors;

 private:
  std::map<std::string, std::vector<std::byte>> storage_;
};

// What another program makes of the inputs: it reads `from`, which `change` may have changed, and
// follows the schedule of `steps` for `problem`.
struct Program {
  std::function<void(const Problem&, const Tensors& from)> change = [](auto&, auto&) {};
  std::function<void(Problem&)> problem = [](auto&) {};
  std::function<void(StepList&)> steps = [](auto&) {};
  std::function<void(const Problem&, const Tensors& outputs)> after = [](auto&, auto&) {};
};

// The worst status of its outputs on the family, and how far the worst of them is in its limit.
struct Verdict {
  Status status = Status::passed;
  double utilisation = 0;
  std::string reasons;
};

Verdict judge(const std::string& text, const std::string& family, const Program& program) {
  const Problem problem = parse_problem(text);
  Oracle oracle(available_memory());
  const auto inputs = oracle.inputs(problem, family, 1);
  Memory from, left;
  for (const TensorView& input : inputs->tensors) from.add(input.spec, input.data);
  program.change(problem, from.tensors);
  Problem its = problem;
  program.problem(its);
  Variant schedule = *find_variant(problem.op, "fused", Backend::cpu);
  schedule.steps = [steps = schedule.steps, &program](const Problem& p) {
    StepList list = steps(p);
    program.steps(list);
    return list;
  };
  schedule.prepare = nullptr;
  complete_composite(schedule);
  const Replay replay(schedule, its, from.tensors, Inside::exact);
  std::vector<TensorView> outputs;
  for (const TensorSpec& spec : tensor_specs(op_of(problem), problem))
    if (spec.role == Role::out) outputs.push_back({spec, left.add(spec, replay[spec.name].data)});
  program.after(problem, left.tensors);
  WholeJudge judging(problem);
  Verdict verdict;
  const Subject subject{op_of(problem).find_family(family), 1};
  for (const Check& check : judging.judge(subject, inputs->tensors, outputs)) {
    CHECK(check.kind == "schedule");
    verdict.utilisation = std::max(verdict.utilisation, check.utilisation);
    if (check.status != Status::passed) verdict.status = check.status;
    verdict.reasons += check.reason;
  }
  CHECK(judging.judge_power().empty());
  return verdict;
}

void swap_rows(const Tensors& tensors, const char* name, std::int64_t row) {
  const TensorView* const tensor = tensors.find(name);
  if (!tensor) return;
  const std::int64_t bytes = tensor->spec.bytes() / tensor->spec.shape[0];
  char* const first = tensor->as<char>() + row * bytes;
  std::swap_ranges(first, first + bytes, first + bytes);
}

void clear_row(const Tensors& tensors, const char* name, std::int64_t row) {
  const TensorView& tensor = tensors[name];
  const std::int64_t bytes = tensor.spec.bytes() / tensor.spec.shape[0];
  std::memset(tensor.as<char>() + row * bytes, 0, static_cast<std::size_t>(bytes));
}

Program without_addition_of(std::int64_t layer) {
  return {.change = [=](const Problem&, const Tensors& from) { clear_row(from, "Y", layer); }};
}

// Of a layer and the next; gradients are those of the layers that had them.
Program with_weights_swapped(std::int64_t layer) {
  const auto swap = [=](const Problem&, const Tensors& tensors) {
    for (const char* name : {"w", "g", "dw", "dg"}) swap_rows(tensors, name, layer);
  };
  return {.change = swap, .after = swap};
}

Program with_block_size(std::int64_t layers) {
  return {.problem = [=](Problem& problem) { set_dim(problem, "S", layers); }};
}

Program without_eps() {
  return {.problem = [](Problem& p) { set_option(op_of(p), p, "eps", 0.0); }};
}

Program without_last_block() {
  return {.steps = [](StepList& list) {
    for (Step& step : list.steps)
      for (const Binding& binding : step.tensors)
        if (binding.tensor == "w" && binding.buffer == "w_out")
          set_dim(step.problem, "N", step.problem.dim("N") - 1);
  }};
}

// The dtype of a problem whose checks need no more than the forward pass.
std::string dtype() { return GENERATE(as<std::string>(), "f32", "bf16", "f16"); }

}  // namespace

TEST_CASE("a network is judged on few tokens and short rows, with all that is optional") {
  const auto text = [](const char* problem) { return str(judged_as(parse_problem(problem))); };
  CHECK(text("block_attnres_fwd dtype=bf16 L=32 S=8 T=65536 D=2048") ==
        "block_attnres_fwd dtype=bf16 g=1 y=1 L=32 S=8 T=4 D=64");
  CHECK(text("block_attnres_bwd dtype=bf16 w=f32 g=f32 L=5 S=2 T=3 D=48 eps=0.5 family=sharp") ==
        "block_attnres_bwd dtype=bf16 w=f32 g=f32 y=1 L=5 S=2 T=3 D=48 eps=0.5 family=sharp");
  // Deep ones on shorter rows, which the definition of the gradients needs.
  CHECK(text("block_attnres_bwd L=500 S=8 T=9 D=4096") ==
        "block_attnres_bwd dtype=f32 g=1 y=1 L=500 S=8 T=4 D=16");
  for (const char* problem :
       {"block_attnres_fwd L=32 S=8 T=9 D=4096", "block_attnres_bwd dtype=f16 L=9999 S=8 T=1 D=3"})
    CHECK(text(text(problem).c_str()) == text(problem));
}

TEST_CASE("another network than a short one is refused, naming that") {
  const auto complaint = [](const char* text) -> std::string {
    const Problem problem = parse_problem(text);
    try {
      const WholeJudge judge(problem);
    } catch (const UsageError& error) {
      return error.what();
    }
    return "";
  };
  CHECK(complaint("block_attnres_fwd g=1 y=1 L=5 S=3 T=4 D=64").empty());
  for (const char* text :
       {"block_attnres_fwd L=5 S=3 T=4 D=64", "block_attnres_fwd y=1 L=5 S=3 T=4 D=64",
        "block_attnres_fwd g=1 y=1 L=5 S=3 T=5 D=64", "block_attnres_fwd g=1 y=1 L=5 S=3 T=4 D=65"})
    CHECK(complaint(text).find("Export `block_attnres_fwd dtype=f32 g=1 y=1 L=5 S=3 T=4 D=64`") !=
          std::string::npos);
}

TEST_CASE("outputs of kernels that are right pass, in every dtype") {
  const std::string type = dtype();
  for (const char* const op : {kForward, kBackward}) {
    const Problem problem = parse_problem(op + type);
    const Variant& variant = *find_variant(problem.op, "naive", Backend::cpu);
    for (const char* family : {"gaussian", "grown", "sharp", "nan", "misaligned"}) {
      CAPTURE(str(problem), family);
      Oracle oracle(available_memory());
      const auto inputs = oracle.inputs(problem, family, 3);
      Memory memory;
      std::vector<TensorView> outputs;
      for (const TensorSpec& spec : tensor_specs(op_of(problem), problem)) {
        const TensorView* const input = inputs->tensors.find(spec.name);
        void* const data = memory.add(spec, input ? input->data : nullptr);
        if (!input) outputs.push_back({spec, data});
      }
      std::vector<std::byte> workspace(static_cast<std::size_t>(variant.workspace(problem).bytes));
      variant.prepare(problem, {memory.tensors, workspace.data()})({});
      WholeJudge judging(problem);
      const Subject subject{op_of(problem).find_family(family), 3};
      for (const Check& check : judging.judge(subject, inputs->tensors, outputs)) {
        CAPTURE(check.output, check.reason);
        CHECK(check.status == Status::passed);
        CHECK(check.utilisation < 0.6);
        CHECK(check.elements > 0);
      }
      CHECK(judging.judge_power().empty());
    }
  }
}

TEST_CASE("programs with a mistake in their schedule fail, in every dtype") {
  const std::string type = dtype();
  for (const char* const op : {kForward, kBackward}) {
    const auto is_rejected = [&](const Program& program) {
      const Verdict verdict = judge(op + type, "grown", program);
      INFO(op << type << ": " << verdict.utilisation << " of the limit");
      CHECK(verdict.status == Status::failed);
      CHECK(verdict.utilisation > 1.5);
    };
    const Verdict right = judge(op + type, "grown", {});
    INFO(op << type << " " << right.reasons);
    CHECK(right.status == Status::passed);
    CHECK(right.utilisation < 0.3);
    for (std::int64_t layer = 0; layer < 5; ++layer) {
      CAPTURE(layer);
      is_rejected(without_addition_of(layer));
      if (layer < 4) is_rejected(with_weights_swapped(layer));
    }
    is_rejected(with_block_size(2));
    is_rejected(with_block_size(4));
    is_rejected(without_eps());
    is_rejected(without_last_block());
    if (op == kForward) continue;
    for (const char* gradient : {"dw", "dg"})
      for (std::int64_t layer = 1; layer < 5; ++layer)
        is_rejected({.after = [=](const Problem&, const Tensors& outputs) {
          clear_row(outputs, gradient, layer);
        }});
    is_rejected({.after = [](const Problem&, const Tensors& outputs) {
      clear_row(outputs, "dX", 1);  // the token that is thousands of times smaller than the others
    }});
  }
}

TEST_CASE("mistakes in a deep network in 16 bits are seen, where all layers count alike") {
  const std::string text = "block_attnres_bwd dtype=bf16 g=1 y=1 L=32 S=8 T=4 D=64";
  CHECK(judge(text, "grown", {}).status == Status::passed);
  for (const std::int64_t layer : {0, 8, 17, 30}) {
    CAPTURE(layer);
    CHECK(judge(text, "grown", without_addition_of(layer)).status == Status::failed);
    CHECK(judge(text, "grown",
                {.after =
                     [=](const Problem&, const Tensors& outputs) {
                       clear_row(outputs, "dw", std::max<std::int64_t>(layer, 1));
                     }})
              .status == Status::failed);
    CHECK(judge(text, "grown", with_weights_swapped(layer)).status == Status::failed);
  }
  CHECK(judge(text, "grown", without_eps()).status == Status::failed);
  // Why that family is there: what the last layers add to sums that have grown is rounded away.
  CHECK(judge(text, "gaussian", without_addition_of(30)).status == Status::passed);
}

TEST_CASE("gradients of a layer's weights may suffer from sums that are taken apart again") {
  // By 40 %, as the first sums of eight layers may in bf16; of three layers hardly anything.
  const Program worse = {.after = [](const Problem&, const Tensors& outputs) {
    const TensorView& dw = outputs["dw"];
    for (std::int64_t i = 64; i < 128; ++i) dw.as<float>()[i] *= 1.4f;
  }};
  const std::string op = "block_attnres_bwd dtype=bf16 g=1 y=1 T=4 D=64 L=16 ";
  CHECK(judge(op + "S=8", "grown", worse).status == Status::passed);
  CHECK(judge(op + "S=3", "grown", worse).status == Status::failed);
}

TEST_CASE("a number that is none fails, with its place") {
  const float bad =
      GENERATE(std::numeric_limits<float>::quiet_NaN(), std::numeric_limits<float>::infinity());
  const Verdict verdict = judge(std::string(kForward) + "bf16", "gaussian",
                                {.after = [=](const Problem&, const Tensors& outputs) {
                                  outputs["O"].as<bf16>()[2 * 64 + 17] =
                                      round_to<bf16>(static_cast<double>(bad));
                                }});
  CHECK(verdict.status == Status::failed);
  CHECK(verdict.reasons.find("O[t=2, d=17] = ") == 0);
  CHECK(verdict.reasons.find("1 of 4 rows wrong") != std::string::npos);
  // Where a NaN is due, a number fails.
  CHECK(judge(std::string(kForward) + "bf16", "nan", {}).status == Status::passed);
  CHECK(judge(std::string(kForward) + "bf16", "nan",
              {.after =
                   [](const Problem&, const Tensors& outputs) {
                     std::memset(outputs["O"].data, 0, static_cast<std::size_t>(4 * 64 * 2));
                   }})
            .reasons.find("want nan") != std::string::npos);
}

TEST_CASE("outputs that zeros would pass for are mistrusted") {
  // Sums of rows millions of times as long as what the layers add: gradients of weights cancel.
  const Problem problem = parse_problem("block_attnres_bwd dtype=bf16 g=1 y=1 L=5 S=3 T=4 D=64");
  Oracle oracle(available_memory());
  WholeJudge judging(problem);
  const auto judge_zeros = [&](const char* family) {
    const auto inputs = oracle.inputs(problem, family, 1);
    const TensorSpec spec{"dw", Role::out, DType::f32, {5, 64}, {64, 1}};
    std::vector<float> zeros(std::size_t{5} * 64);
    return judging.judge({op_of(problem).find_family(family), 1}, inputs->tensors,
                         {{spec, zeros.data()}});
  };
  CHECK(judge_zeros("spread").front().status == Status::passed);
  REQUIRE(judging.judge_power().size() == 1);
  CHECK(judging.judge_power().front().status == Status::mistrusted);
  CHECK(judging.judge_power().front().output == "dw");
  // One family that rejects them is enough.
  CHECK(judge_zeros("grown").front().status == Status::failed);
  CHECK(judging.judge_power().empty());
}

}  // namespace assay
