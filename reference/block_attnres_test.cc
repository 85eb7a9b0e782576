#include "reference/block_attnres.h"

#include <cmath>
#include <cstdlib>
#include <fstream>
#include <map>
#include <sstream>
#include <string>
#include <vector>

#include "harness/engine/suite.h"
#include "harness/testing.h"
#include "reference/op_data.h"

namespace assay {
namespace {

using contract_testing::OpData;

// A case of the fixture: inputs and results by name.
struct Case {
  std::string problem;  // without its op
  std::map<std::string, std::vector<double>> tensors;
};

std::vector<Case> fixture() {
  std::ifstream file(ASSAY_SOURCE_DIR "/reference/fixtures/block_attnres.txt");
  std::vector<Case> cases;
  std::string line;
  while (std::getline(file, line)) {
    std::istringstream words(line);
    std::string name, word;
    words >> name;
    if (name == "#" || name.empty()) continue;
    if (name == "case") {
      std::getline(words, word);
      cases.push_back({word, {}});
      continue;
    }
    std::vector<double>& values = cases.back().tensors[name];
    while (words >> word) values.push_back(std::strtod(word.c_str(), nullptr));
  }
  return cases;
}

// Compares every output of the op with the case; returns how many there were.
int compare(const std::string& op, const Case& of) {
  OpData data(parse_problem(op + of.problem));
  for (const TensorView& input : data.inputs) {
    const std::vector<double>& values = of.tensors.at(input.spec.name);
    store_floats(input, {values.begin(), values.end()});
    const std::vector<float> stored = load_floats(input);
    for (std::size_t i = 0; i < values.size(); ++i)  // as stored: nothing was rounded
      REQUIRE(static_cast<double>(stored[i]) == values[i]);
  }
  int compared = 0;
  for (const Expected& got : data.reference()) {
    const std::vector<double>& want = of.tensors.at(got.output);
    REQUIRE(got.size == static_cast<std::int64_t>(want.size()));
    // All gradients of weights come from the same numbers: their scale is that of the largest.
    double largest = 1e-3;
    for (const double value : want) largest = std::max(largest, std::abs(value));
    for (std::size_t i = 0; i < want.size(); ++i) {
      INFO(str(data.problem) << " " << got.output << "[" << i << "]");
      REQUIRE(std::abs(got.value[i] - want[i]) <= 1e-12 * largest);
      REQUIRE(got.bound[i] == 0);
    }
    ++compared;
  }
  return compared;
}

}  // namespace

TEST_CASE("block_attnres agrees with PyTorch in fp64, forward and backward") {
  const std::vector<Case> cases = fixture();
  REQUIRE(cases.size() == 6);
  int forward = 0, backward = 0;
  for (const Case& of : cases) {
    forward += compare("block_attnres_fwd", of);
    backward += compare("block_attnres_bwd", of);
  }
  CHECK(forward == 6);
  CHECK(backward == 3 * 3 + 3 * 5);
}

TEST_CASE("block_attnres: with identity layers every block is a multiple of X") {
  // Why the schedule is checked with layers that add something.
  OpData data(parse_problem("block_attnres_fwd L=5 S=2 T=3 D=8 eps=0"));
  data.fill("gaussian");
  const auto expected = data.reference();
  const std::vector<float> x = load_floats(data.inputs["X"]);
  for (std::size_t i = 0; i < x.size(); ++i) {
    const double ratio = expected[0].value[i] / static_cast<double>(x[i]);
    CHECK(ratio == Approx(expected[0].value[0] / static_cast<double>(x[0])).epsilon(1e-9));
  }
}

TEST_CASE("block_attnres: the least traffic is that of the parts") {
  // Two blocks of two layers, in units of a (T, D) of bf16: phase 1 of one source and two queries
  // 3; a merge of P and O 3; the sum of the block 3; then the same with two sources, 10; the
  // output 4.
  const Op& op = *find_op("block_attnres_fwd");
  const Problem problem = parse_problem("block_attnres_fwd dtype=bf16 L=4 S=2 T=4096 D=1024");
  const Cost cost = op.cost(problem);
  const double unit = 2.0 * 4096 * 1024;
  const double units = (cost.bytes_read + cost.bytes_written) / unit;
  CHECK(units > 23);
  CHECK(units < 23.05);  // weights and LSE
  // With what layers add, each sum once more.
  const Cost adds =
      op.cost(parse_problem("block_attnres_fwd dtype=bf16 y=1 L=4 S=2 T=4096 D=1024"));
  CHECK((adds.bytes_read + adds.bytes_written) / unit == Approx(units + 12).epsilon(1e-6));
}

TEST_CASE("block_attnres: the least traffic of the gradients is that of the parts") {
  // Beside the forward pass (above) without its output, 19: phase 1 of the first block once more 3;
  // a merge's P, O1, dH, dP and dO1 5, of each block; phase 1 of one source and two queries, added
  // to dV 5, of two 8; the output 7.
  const Problem problem = parse_problem("block_attnres_bwd dtype=bf16 L=4 S=2 T=4096 D=1024");
  const Cost cost = find_op("block_attnres_bwd")->cost(problem);
  const double units = (cost.bytes_read + cost.bytes_written) / (2.0 * 4096 * 1024);
  CHECK(units > 52);
  CHECK(units < 52.1);
}

}  // namespace assay
