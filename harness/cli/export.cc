// assay export: the inputs of a problem as files, for programs outside of Assay.
#include <fmt/format.h>

#include <fstream>

#include "harness/backend/backend.h"
#include "harness/cli/commands.h"
#include "harness/core/error.h"
#include "harness/core/host.h"
#include "harness/core/registry.h"
#include "harness/engine/exchange.h"
#include "harness/engine/limits.h"
#include "harness/engine/sweep.h"
#include "reports/jsonl.h"

namespace assay {
namespace {

ManifestDevice measure_device(Backend backend, int index, const Cost& cost) {
  const DeviceInfo info = choose_device(backend, index);
  const std::unique_ptr<Device> device = find_platform(backend)->open(info.index);
  if (device->clock().empty())
    throw UsageError(fmt::format("backend {} is never timed: it has no limit", name(backend)));
  Limits limits(*device, cache_folder());
  return {.backend = std::string(name(backend)),
          .name = info.name,
          .clock = device->clock(),
          .index = info.index,
          .memory_bytes = info.memory_bytes,
          .cache_bytes = info.cache_bytes,
          .limit = limits.bandwidth(cost.bytes_read, cost.bytes_written),
          .floor = floor_seconds(cost, true, info.cache_bytes, limits)};
}

}  // namespace

int export_command(const ExportArguments& arguments) {
  const Problem problem = parse_problem(arguments.problem);
  const Family& family = family_for_export(problem, arguments.family);
  Oracle oracle(available_memory());
  if (const std::int64_t needed = Oracle::bytes_needed(op_of(problem), problem);
      needed > oracle.available_bytes())
    throw EnvironmentError(fmt::format("`{}` needs {} bytes of host memory, {} are available",
                                       str(problem), needed, oracle.available_bytes()));
  const std::filesystem::path folder = arguments.folder;
  Manifest manifest = export_inputs(folder, problem, family, arguments.seed, oracle);
  if (!arguments.limit.empty())
    manifest.device =
        measure_device(parse_backends({arguments.limit}).front(), arguments.device, manifest.cost);
  std::ofstream file(folder / kManifestFile);
  file << to_json(manifest) << '\n';
  if (!file.flush()) throw EnvironmentError("cannot write " + (folder / kManifestFile).string());
  fmt::print("{} (family {}, seed {}) in {}\n", str(problem), family.name, arguments.seed,
             folder.string());
  return kExitGood;
}

}  // namespace assay
