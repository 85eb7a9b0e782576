// assay verify-file: outputs that another program computed from exported inputs, judged like those
// of our own kernels.
#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <filesystem>
#include <fstream>
#include <optional>
#include <sstream>

#include "harness/cli/commands.h"
#include "harness/core/error.h"
#include "harness/core/host.h"
#include "harness/core/numerics.h"
#include "harness/core/registry.h"
#include "harness/core/text.h"
#include "harness/engine/contract.h"
#include "harness/engine/environment.h"
#include "harness/engine/exchange.h"
#include "harness/engine/judge.h"
#include "harness/engine/run_case.h"
#include "harness/engine/whole.h"
#include "reports/jsonl.h"

namespace assay {
namespace {

struct Exported {
  std::filesystem::path folder;
  ManifestKey key;
};

Exported open_export(const std::string& folder) {
  const std::filesystem::path path = std::filesystem::path(folder) / kManifestFile;
  std::ifstream file(path);
  if (!file)
    throw UsageError(
        fmt::format("cannot read {}: `assay export 'PROBLEM' --to {}` writes it beside the inputs",
                    path.string(), folder));
  std::ostringstream text;
  text << file.rdbuf();
  try {
    return {folder, read_manifest(text.str())};
  } catch (const UsageError& error) {
    throw UsageError(fmt::format("{}: {}", path.string(), error.what()));
  }
}

// Nothing declared: fp32, and sums that run over the longest dim but the one of the batch.
Numerics undeclared(const Problem& problem) {
  std::int64_t longest = 1;
  for (const Problem::Dim& dim : problem.dims)
    if (dim.name != op_of(problem).batch_dim) longest = std::max(longest, dim.size);
  return {.summation_height = height(longest, 1)};
}

class Examination {
 public:
  Examination(const Problem& problem, const Numerics& numerics,
              const VerifyFileArguments& arguments)
      : problem_(problem),
        arguments_(arguments),
        oracle_(available_memory()),
        judge_(problem_, numerics, oracle_) {
    if (op_of(problem).is_composite) whole_.emplace(problem_);
    if (const std::int64_t needed = Oracle::bytes_needed(op_of(problem), problem);
        needed > oracle_.available_bytes())
      throw EnvironmentError(fmt::format("`{}` needs {} bytes of host memory, {} are available",
                                         str(problem), needed, oracle_.available_bytes()));
  }

  void add(const Exported& exported) {
    const auto& [folder, key] = exported;
    const Subject subject{&family_for_export(problem_, key.family), key.seed};
    const auto inputs = oracle_.inputs(problem_, key.family, key.seed);
    if (hash_of_inputs(*inputs) != key.inputs)
      throw UsageError(fmt::format(
          "{} holds inputs that this version of Assay would not make: export them again",
          folder.string()));
    const ForeignOutputs outputs = read_outputs(folder, problem_);
    if (whole_) {
      take(whole_->judge(subject, inputs->tensors, outputs.tensors));
    } else {
      take(judge_.judge_run(arguments_.check, subject, written(outputs.tensors)));
      judge_.estimate_bias(subject, written(outputs.tensors));
    }
    for (const std::string& output : outputs.missing) note_missing(output);
  }

  std::vector<Check> finish() {
    take(judge_.judge_bias());
    take(whole_ ? whole_->judge_power() : judge_.judge_power());
    return std::move(checks_);
  }

 private:
  void take(std::vector<Check> checks) {
    for (Check& check : checks) checks_.push_back(std::move(check));
  }
  void note_missing(const std::string& output) {
    for (const Check& check : checks_)
      if (check.kind == "missing" && check.output == output) return;
    Check check = make_check("missing", {nullptr, 0}, output);
    check.reason = arguments_.variant + " has no " + output;
    take({check});
  }

  const Problem& problem_;
  const VerifyFileArguments& arguments_;
  Oracle oracle_;
  Judge judge_;
  std::optional<WholeJudge> whole_;  // of a composite, instead
  std::vector<Check> checks_;
};

Record judge_exports(const std::vector<Exported>& exports, const Problem& problem,
                     const VerifyFileArguments& arguments) {
  const Numerics numerics = parse_numerics(arguments.numerics, undeclared(problem));
  Record record;
  record.op = problem.op;
  record.problem = str(problem);
  record.variant = arguments.variant;
  record.backend = name(parse_backends({arguments.backend}).front());
  record.device = !arguments.device.empty()    ? arguments.device
                  : arguments.backend == "cpu" ? cpu_name()
                                               : "unknown";
  record.contract = contract_id(op_of(problem));
  record.numerics = op_of(problem).is_composite ? "nothing" : str(numerics);
  record.repeatability = "not tested";
  record.repro = fmt::format(
      "assay export '{}' --family {} --seed {} --to DIR; assay verify-file "
      "DIR --variant {}{}",
      record.problem, exports.front().key.family, exports.front().key.seed, arguments.variant,
      arguments.numerics.empty() ? "" : " --numerics " + arguments.numerics);
  Examination examination(problem, numerics, arguments);
  for (const Exported& exported : exports) examination.add(exported);
  record.checks = examination.finish();
  judge_checks(record);
  return record;
}

// What says how elements are judged says nothing of a network.
void refuse_elementwise(const Problem& problem, const VerifyFileArguments& arguments) {
  const std::string why = problem.op + " is judged by its schedule, as a whole: ";
  if (!arguments.numerics.empty()) throw UsageError(why + "it declares no --numerics");
  if (arguments.check != VerifyFileArguments{}.check)
    throw UsageError(why + "it has no --check " + arguments.check);
}

void print(const Record& record) {
  fmt::print("{} {}@{} {}, declared: {}\n", name(record.status), record.variant, record.backend,
             record.problem, record.numerics);
  for (const Check& check : record.checks) {
    const bool passed = check.status == Status::passed;
    if (check.kind == "missing")
      fmt::print("  not judged: {}\n", check.reason);
    else if (passed && check.kind == "schedule")
      fmt::print(
          "  passed: {}, error {:.2g} of its norm, a row at {:.3f} of its limit (family {}, "
          "seed {}, check {})\n",
          check.output, check.error_normwise, check.utilisation, check.family, check.seed,
          check.kind);
    else if (passed && !check.family.empty())
      fmt::print("  passed: {}, {} elements, error/bound {:.3f} (family {}, seed {}, check {})\n",
                 check.output, check.elements, check.utilisation, check.family, check.seed,
                 check.kind);
    else if (!passed && check.family.empty())
      fmt::print("  {}: {} (check {})\n", name(check.status), check.reason, check.kind);
    else if (!passed)
      fmt::print("  {}: {} (family {}, seed {}, check {})\n", name(check.status), check.reason,
                 check.family, check.seed, check.kind);
  }
}

}  // namespace

int verify_file_command(const VerifyFileArguments& arguments) {
  const auto start = std::chrono::steady_clock::now();
  std::vector<Exported> exports;
  for (const std::string& folder : arguments.folders) exports.push_back(open_export(folder));
  const Problem problem = parse_problem(exports.front().key.problem);
  for (const Exported& other : exports)
    if (other.key.problem != exports.front().key.problem)
      throw UsageError(fmt::format(
          "{} is of `{}`, {} of `{}`: folders that are judged together hold one problem",
          exports.front().folder.string(), exports.front().key.problem, other.folder.string(),
          other.key.problem));
  if (op_of(problem).is_composite) refuse_elementwise(problem, arguments);
  // Opened first: a result that can't be kept is not worth computing.
  const std::unique_ptr<JsonlWriter> file =
      arguments.out.empty() ? nullptr : std::make_unique<JsonlWriter>(arguments.out);

  Record record = judge_exports(exports, problem, arguments);
  record.seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
  if (file) {
    const Environment environment = describe_environment(arguments.arguments, {});
    record.environment = environment.id();
    file->write(environment);
    file->write(record);
  }
  print(record);
  return record.status == Status::passed ? kExitGood : kExitBad;
}

}  // namespace assay
