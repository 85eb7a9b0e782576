#include "harness/engine/exchange.h"

#include <fmt/format.h>

#include <string_view>

#include "harness/core/error.h"
#include "harness/core/registry.h"
#include "harness/core/text.h"
#include "harness/engine/npy.h"
#include "harness/engine/whole.h"

namespace assay {

const Family& family_for_export(const Problem& problem, const std::string& name) {
  const Op& op = op_of(problem);
  if (!name.empty() && !problem.family.empty() && name != problem.family)
    throw UsageError(fmt::format("--family {} contradicts `{}`", name, str(problem)));
  const std::string wanted = name.empty() ? problem.family : name;
  const Family* family = wanted.empty() ? &op.families.front() : op.find_family(wanted);
  if (!family) {
    std::vector<std::string> names;
    for (const Family& candidate : op.families) names.push_back(candidate.name);
    throw UsageError(
        fmt::format("{} has no family `{}`{}", op.name, wanted, suggestion(wanted, names)));
  }
  const std::string why = family->inapplicable ? family->inapplicable(problem) : "";
  if (!why.empty()) throw UsageError(fmt::format("family {}: {}", family->name, why));
  return *family;
}

std::string hash_of_inputs(const Inputs& inputs) {
  std::uint64_t hash = hash_of("");
  for (const TensorView& tensor : inputs.tensors)
    hash = hash_of({tensor.as<const char>(), static_cast<std::size_t>(tensor.spec.bytes())},
                   hash_of(tensor.spec.name, hash));
  return fmt::format("{:016x}", hash);
}

Manifest export_inputs(const std::filesystem::path& folder, const Problem& problem,
                       const Family& family, std::uint64_t seed, Oracle& oracle) {
  std::error_code failure;
  std::filesystem::create_directories(folder, failure);
  const auto inputs = oracle.inputs(problem, family.name, seed);
  const std::vector<TensorSpec> specs = tensor_specs(op_of(problem), problem);
  for (const TensorSpec& spec : specs)
    if (const std::string file = output_file(spec); !file.empty())
      std::filesystem::remove(folder / file, failure);
  for (const TensorView& tensor : inputs->tensors)
    write_npy(folder / input_file(tensor.spec), tensor.spec, tensor.data);
  return {.key = {str(problem), family.name, seed, hash_of_inputs(*inputs)},
          .problem = problem,
          .tensors = specs,
          .cost = op_of(problem).cost(problem),
          .judged_as = op_of(problem).is_composite ? str(judged_as(problem)) : "",
          .device = std::nullopt};
}

ForeignOutputs read_outputs(const std::filesystem::path& folder, const Problem& problem) {
  ForeignOutputs outputs;
  std::vector<std::string> files;
  for (const TensorSpec& spec : tensor_specs(op_of(problem), problem)) {
    const std::string file = output_file(spec);
    if (file.empty()) continue;
    files.push_back(file);
    if (!std::filesystem::exists(folder / file)) {
      outputs.missing.push_back(spec.name);
      continue;
    }
    outputs.storage.push_back(
        std::make_unique_for_overwrite<std::byte[]>(static_cast<std::size_t>(spec.bytes())));
    read_npy(folder / file, spec, outputs.storage.back().get());
    outputs.tensors.push_back({spec, outputs.storage.back().get()});
  }
  if (outputs.tensors.empty())
    throw UsageError(fmt::format("{} holds no output of `{}`: write at least one of {} there",
                                 folder.string(), str(problem), join(files)));
  return outputs;
}

}  // namespace assay
