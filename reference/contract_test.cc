// What every op's contract must keep, whatever it computes: families that fill, bounds that can be
// right, relations that hold for the reference itself.
#include "harness/engine/contract.h"

#include <algorithm>
#include <cmath>
#include <map>

#include "harness/core/registry.h"
#include "harness/core/text.h"
#include "harness/engine/interval.h"
#include "harness/engine/suite.h"
#include "harness/testing.h"
#include "harness/testing_judging_device.h"

namespace assay {
namespace {

// Inputs in host memory, every byte of them `before` until they are filled.
struct Inputs {
  Inputs(const Op& op, const Problem& problem, unsigned char before = 0xff) {
    for (const TensorSpec& spec : tensor_specs(op, problem)) {
      if (spec.role == Role::out) continue;
      storage.emplace_back(static_cast<std::size_t>(spec.bytes()), before);
      tensors.add({spec, storage.back().data()});
    }
  }
  Inputs(const Inputs&) = delete;
  Inputs& operator=(const Inputs&) = delete;

  std::vector<std::vector<unsigned char>> storage;
  Tensors tensors;
};

const Numerics kNumerics[] = {
    {.summation_height = 16},
    {.summation_height = 1024, .rescales = 5},
    {.summation_height = 16, .probabilities = DType::bf16},
    {.summation_height = 16, .probabilities = DType::f16, .weights = DType::bf16},
    {.summation_height = 64, .weights = DType::f16, .partials = DType::bf16}};

// Problems of an op whose dims take their sizes from rows of a table of N (or L), Q (or S), T and
// D; those of the last row also with all that is optional.
std::vector<Problem> problems(const Op& op) {
  const std::vector<std::vector<int>> sizes = {
      {1, 1, 1, 1}, {3, 2, 5, 8}, {2, 1, 37, 33}, {17, 3, 4, 70}};
  std::vector<Problem> result;
  for (const auto& row : sizes) {
    for (const char* dtype : {"f32", "f16", "bf16"}) {
      std::string text = op.name + " dtype=" + dtype;
      for (const DimSpec& dim : op.dims)
        text +=
            " " + dim.name + "=" + std::to_string(row.at(std::string("NQTDLS").find(dim.name) % 4));
      result.push_back(parse_problem(text));
      if (&row != &sizes.back()) continue;
      for (const TensorDeclaration& tensor : op.tensors)
        if (tensor.optional) text += " " + lower(tensor.name) + "=1";
      for (const OptionSpec& option : op.options)
        if (std::holds_alternative<bool>(option.default_value)) text += " " + option.name + "=1";
      result.push_back(parse_problem(text));
    }
  }
  return result;
}

// As the harness hands it to a reference.
Problem made_by(Problem problem, const Family& family) {
  problem.family = family.name;
  return problem;
}

bool applies(const Family& family, const Problem& problem) {
  return !family.inapplicable || family.inapplicable(problem).empty();
}

template <class F>
void for_each_case(const F& f) {
  for (const Op* op : ops())
    for (const Problem& problem : problems(*op))
      for (const Family& family : op->families)
        if (applies(family, problem)) {
          INFO(str(problem) << " family=" << family.name);
          f(*op, problem, family);
        }
}

TensorSpec spec_of(const Op& op, const Problem& problem, const std::string& output) {
  for (const TensorSpec& spec : tensor_specs(op, problem))
    if (spec.name == output) return spec;
  throw std::out_of_range(output);
}

}  // namespace

TEST_CASE("families write every element, the same for the same seed") {
  for_each_case([](const Op& op, const Problem& problem, const Family& family) {
    Inputs one(op, problem, 0xff), other(op, problem, 0x7b), next(op, problem);
    if (one.storage.empty()) return;  // all that it would read is absent
    family.fill(problem, 5, one.tensors);
    family.fill(problem, 5, other.tensors);
    family.fill(problem, 6, next.tensors);
    CHECK(one.storage == other.storage);  // whatever was there before
    CHECK(one.storage != next.storage);
  });
}

TEST_CASE("families make the same bits on every machine") {
  // Of all families of an op that apply, by FNV-1a.
  std::map<std::string, std::uint64_t> hashes;
  for_each_case([&](const Op& op, const Problem& problem, const Family& family) {
    std::uint64_t& hash = hashes.try_emplace(op.name, 0xcbf29ce484222325).first->second;
    Inputs inputs(op, problem);
    family.fill(problem, 7, inputs.tensors);
    for (const auto& bytes : inputs.storage)
      for (const unsigned char byte : bytes) hash = (hash ^ byte) * 0x100000001b3;
  });
  const std::map<std::string, std::uint64_t> golden = {
      {"attnres_bwd", 0x9b9cbf613dfe4df9u},       {"attnres_fwd", 0x1db814b03273c4c2u},
      {"attnres_merge_bwd", 0x46c9312d9260275du}, {"attnres_merge_fwd", 0xd844aa361542dc60u},
      {"block_attnres_bwd", 0x7b23d8f179a782bdu}, {"block_attnres_fwd", 0xcedb8b87722b1fe7u},
      {"residual_add", 0xd30bad2898db69deu},
  };
  for (const auto& [name, hash] : hashes) {
    CAPTURE(name, hash);
    CHECK(golden.at(name) == hash);
  }
}

TEST_CASE("families that isolate differ from their base in one slice of the batch dim") {
  for_each_case([](const Op& op, const Problem& problem, const Family& family) {
    if (family.isolates.empty()) return;
    const Family* base = op.find_family(family.isolates);
    REQUIRE(base);
    Inputs one(op, problem), other(op, problem);
    family.fill(problem, 3, one.tensors);
    base->fill(problem, 3, other.tensors);
    std::int64_t different = 0;
    for (std::size_t i = 0; i < one.storage.size(); ++i)
      for (std::size_t j = 0; j < one.storage[i].size(); ++j)
        different += one.storage[i][j] != other.storage[i][j];
    CHECK(different > 0);
    CHECK(different <= 4);
  });
}

TEST_CASE("no bound of any op is smaller than a rounding") {
  for_each_case([](const Op& op, const Problem& problem, const Family& family) {
    if (op.is_composite) return;  // has no bounds
    Inputs inputs(op, problem);
    family.fill(problem, 1, inputs.tensors);
    for (const Numerics& numerics : kNumerics) {
      for (const Expected& expected :
           op.reference(made_by(problem, family), inputs.tensors, numerics)) {
        const TensorSpec spec = spec_of(op, problem, expected.output);
        CHECK(contract_error(expected, numerics, op.is_exact(expected.output), &spec) == "");
      }
    }
  });
}

TEST_CASE("a reference is the same wherever it is written") {
  for_each_case([](const Op& op, const Problem& problem, const Family& family) {
    Inputs inputs(op, problem);
    family.fill(problem, 1, inputs.tensors);
    const auto whole = op.reference(made_by(problem, family), inputs.tensors, {});
    WindowedReference windows;
    op.write_reference(made_by(problem, family), inputs.tensors, {}, windows);
    const auto collected = windows.fetch();
    REQUIRE(collected.size() == whole.size());
    for (std::size_t i = 0; i < whole.size(); ++i) {
      CHECK(collected[i].output == whole[i].output);
      REQUIRE(collected[i].size == whole[i].size);
      const auto same = [&](const HostArray<double>& a, const HostArray<double>& b) {
        return fingerprint(a.get(), 8 * whole[i].size) == fingerprint(b.get(), 8 * whole[i].size);
      };
      CHECK(same(collected[i].value, whole[i].value));
      CHECK(same(collected[i].bound, whole[i].bound));
    }
  });
}

TEST_CASE("a contract that breaks its word is found") {
  Op op = *find_op("attnres_fwd");
  const Problem problem = problems(op)[3];
  Inputs inputs(op, problem);
  op.families.front().fill(problem, 1, inputs.tensors);
  const Op whole = op;
  const auto error_of = [&](double bound) {
    op.write_reference = [&whole, bound](const Problem& p, const Tensors& t, const Numerics& n,
                                         ExpectedWriter& writer) {
      auto expected = whole.reference(p, t, n);
      expected[0].bound[41] = bound;
      for (Expected& output : expected) writer.add(std::move(output));
    };
    const auto expected = op.reference(problem, inputs.tensors, {});
    const TensorSpec spec = spec_of(op, problem, expected[0].output);
    CHECK(contract_error(expected[1], {}, false) == "");
    return contract_error(expected[0], {}, false, &spec) + " / " +
           contract_error(expected[0], {}, false);
  };
  CHECK(error_of(std::nan("")).starts_with("O[1, 0, 1]: the bound nan"));
  CHECK(error_of(std::nan("")).find("/ O[41]:") != std::string::npos);
  CHECK(error_of(-1).find("is negative") != std::string::npos);
  CHECK(error_of(0).find("smaller than one rounding") != std::string::npos);
  CHECK(error_of(1) == " / ");
  auto expected = whole.reference(problem, inputs.tensors, {});
  CHECK(contract_error(expected[0], {}, true).find("declared exact") != std::string::npos);
  std::fill_n(expected[0].bound.get(), expected[0].size, 0.0);
  CHECK(contract_error(expected[0], {}, true) == "");
}

TEST_CASE("relations hold for the references themselves") {
  for_each_case([](const Op& op, const Problem& problem, const Family& family) {
    Inputs inputs(op, problem);
    family.fill(problem, 1, inputs.tensors);
    const Numerics numerics{.summation_height = 16, .rescales = 2};
    for (const Relation& relation : op.relations) {
      INFO(relation.name);
      const auto& named = relation.families;
      if (!named.empty() && std::find(named.begin(), named.end(), family.name) == named.end())
        continue;
      if (relation.applies && !relation.applies(problem)) continue;
      const Problem derived = relation.problem ? relation.problem(problem) : problem;
      CHECK(parse_problem(str(derived)) == derived);
      Inputs changed(op, derived);
      relation.inputs(problem, inputs.tensors, changed.tensors);
      auto want = op.reference(made_by(problem, family), inputs.tensors, numerics);
      if (relation.expected) relation.expected(problem, want);
      const auto got = op.reference(made_by(derived, family), changed.tensors,
                                    {.summation_height = 16, .rescales = 5});
      for (std::size_t output = 0; output < want.size(); ++output) {
        REQUIRE(got[output].size == want[output].size);
        double worst = 0;
        bool covered = true;
        for (std::size_t i = 0; i < static_cast<std::size_t>(want[output].size); ++i) {
          const double a = got[output].value[i], b = want[output].value[i];
          if (std::isnan(a) && std::isnan(b)) continue;
          if (a == b) continue;  // what is exact has bounds of 0
          // fp64 errs by 2^-29 of what fp32 may.
          const double error = std::abs(a - b) / want[output].bound[i];
          worst = error <= worst ? worst : std::isnan(error) ? INFINITY : error;
          // With more rescales and sources, where the relation has more: its bound must do.
          if (relation.problem)
            covered = covered && got[output].bound[i] <= want[output].bound[i] * 1.001;
        }
        CHECK(worst < 1e-6);
        if (relation.name.starts_with("duplicate_")) CHECK(covered);
      }
    }
  });
}

TEST_CASE("over all families together zeros pass for hardly any output") {
  for (const Op* op : ops()) {
    if (op->is_composite) continue;
    std::string text = op->name + " dtype=bf16";
    for (const DimSpec& dim : op->dims)
      if (!dim.default_size)
        text += " " + dim.name + (dim.name == "T" ? "=37" : dim.name == "D" ? "=520" : "=9");
    if (op->name == "residual_add") text += " p=1 u=1";  // else it is zero
    const Problem problem = parse_problem(text);
    std::vector<std::int64_t> accepted, nonzero;
    std::vector<bool> is_sum;  // over the batch dim
    for (const Family& family : op->families) {
      if (!applies(family, problem)) continue;
      Inputs inputs(*op, problem);
      family.fill(problem, 1, inputs.tensors);
      const auto expected = op->reference(made_by(problem, family), inputs.tensors,
                                          {.summation_height = 64, .batch_height = 64});
      accepted.resize(expected.size());
      nonzero.resize(expected.size());
      is_sum.resize(expected.size());
      for (std::size_t i = 0; i < expected.size(); ++i) {
        const TensorSpec spec = spec_of(*op, problem, expected[i].output);
        const std::vector<unsigned char> zeros(static_cast<std::size_t>(spec.bytes()));
        const Judgement judgement = judge(spec, zeros.data(), expected[i]);
        is_sum[i] = std::find(spec.shape.begin(), spec.shape.end(), problem.dim(op->batch_dim)) ==
                    spec.shape.end();
        accepted[i] += judgement.zero_accepted;
        nonzero[i] += judgement.nonzero;
      }
    }
    for (std::size_t i = 0; i < accepted.size(); ++i) {
      CAPTURE(op->name, i, accepted[i], nonzero[i]);
      // Sums over tokens are near 0 more often, for their bounds.
      const double most = is_sum[i] ? 0.01 : 0.002;
      CHECK(static_cast<double>(accepted[i]) < most * static_cast<double>(nonzero[i]));
    }
  }
}

}  // namespace assay
