// assay selftest: whether Assay itself can be trusted on this machine, in parts. liars:
// verification against kernels that are wrong on purpose.
#include "harness/engine/selftest.h"

#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <memory>
#include <string>
#include <thread>

#include "harness/backend/backend.h"
#include "harness/cli/commands.h"
#include "harness/cli/progress.h"
#include "harness/cli/selftest_report.h"
#include "harness/core/error.h"
#include "harness/core/liar.h"
#include "harness/core/registry.h"
#include "harness/engine/environment.h"

namespace assay {
namespace {

// The first device of each backend that was named, or of all that have one.
std::vector<std::unique_ptr<Device>> open_devices(const std::vector<std::string>& names) {
  const std::vector<Backend> named = parse_backends(names);
  std::vector<std::unique_ptr<Device>> devices;
  for (const Backend backend : {Backend::cpu, Backend::simt, Backend::cuda}) {
    if (!named.empty() && std::find(named.begin(), named.end(), backend) == named.end()) continue;
    Platform* platform = find_platform(backend);
    if (platform && !platform->devices().empty()) {
      devices.push_back(platform->open(0));
    } else if (!named.empty()) {
      throw UsageError(fmt::format("backend {}: {}", name(backend),
                                   platform ? platform->why_none() : "not built into this binary"));
    }
  }
  return devices;
}

std::string title_of(const Device& device, std::uint64_t first_seed, int seeds,
                     const Environment& environment) {
  std::string title = fmt::format("Self-test on {}, {}, seeds {} to {}",
                                  name(device.info().backend), device.info().name, first_seed,
                                  first_seed + static_cast<std::uint64_t>(seeds) - 1);
  std::string facts;
  for (const auto& [key, value] : environment.facts)
    facts += fmt::format("{}{}: {}", facts.empty() ? "" : "; ", key, value);
  return title + "\n\n" + facts;
}

}  // namespace

int selftest_liars(const SelftestArguments& arguments) {
  if (arguments.in_process && arguments.jobs > 1)
    throw UsageError("--jobs needs worker processes; leave out one of --jobs and --in-process");
  std::ofstream file;
  if (!arguments.report.empty()) {
    file.open(arguments.report);
    if (!file) throw UsageError("cannot write " + arguments.report);
  }
  if (arguments.jobs > 1) {  // what each worker reads when it starts; an own choice stays
    const unsigned cores = std::max(1U, std::thread::hardware_concurrency());
    const unsigned share = std::max(1U, cores / static_cast<unsigned>(arguments.jobs));
    setenv("OMP_NUM_THREADS", std::to_string(share).c_str(), 0);
  }
  const SuitePath path = default_suite_path();
  const std::vector<Problem> problems = load_suite(path.find(arguments.suite), path);
  bool good = true;
  for (const auto& device : open_devices(arguments.backends)) {
    const auto start = std::chrono::steady_clock::now();
    SelftestOptions options;
    options.make_runner = [&] { return make_runner(arguments.in_process); };
    options.jobs = arguments.jobs;
    options.dtypes_in_turn = arguments.dtypes_in_turn;
    options.limit = arguments.limit;
    options.seeds = arguments.seeds;
    options.run.seed = arguments.seed;
    options.run.small = std::int64_t{1} << 20;  // every check, on every backend
    options.run.verify.judged_by_host = 0;
    options.run.fences = !arguments.in_process;
    options.run.verify.execution.timeout = arguments.timeout;
    const bool live = isatty(STDERR_FILENO) == 1;
    options.progress = [&](const std::string& what, std::size_t begun, std::size_t all) {
      if (live) fmt::print(stderr, "\r\033[K[{}/{}] {:.70}", begun, all, what);
    };
    const SelftestResult result = run_selftest(*device, problems, options);
    if (live) fmt::print(stderr, "\r\033[K");
    const Environment environment = describe_environment(arguments.arguments, {device->info()});
    const std::string report =
        selftest_report(result, title_of(*device, arguments.seed, result.seeds, environment));
    fmt::print(
        "{}\n{}, {}\n\n", report, result.good() ? "good" : "NOT GOOD",
        format_duration(
            std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count()));
    std::fflush(stdout);
    if (file.is_open()) file << report << '\n';
    good = good && result.good();
  }
  if (file.is_open() && !file.flush()) throw EnvironmentError("cannot write " + arguments.report);
  return good ? kExitGood : kExitBad;
}

int selftest_command(const SelftestArguments& arguments) {
  if (arguments.part == "liars") return selftest_liars(arguments);
  if (arguments.part == "twins") return selftest_twins(arguments);
  if (arguments.part == "comparison") return selftest_comparison(arguments);
  if (!arguments.part.empty())
    throw UsageError(fmt::format("no part of the self-test is named `{}`{}", arguments.part,
                                 suggestion(arguments.part, {"liars", "twins", "comparison"})));
  const int liars = selftest_liars(arguments);
  SelftestArguments rest = arguments;  // the cpu backend runs no CUDA sources
  std::erase(rest.backends, "cpu");
  if (!arguments.backends.empty() && rest.backends.empty()) return liars;
  return std::max(liars, selftest_twins(rest));
}

}  // namespace assay
