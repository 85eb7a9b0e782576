#include "harness/engine/run_case.h"

#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <exception>

#include "harness/core/black_box.h"
#include "harness/core/error.h"
#include "harness/core/registry.h"
#include "harness/engine/verify.h"

namespace assay {
namespace {

double gib(std::int64_t bytes) { return static_cast<double>(bytes) / (1 << 30); }

bool lives_in_host_memory(const DeviceInfo& device) { return device.backend != Backend::cuda; }

// What further buffer sets may take while this case is timed.
std::int64_t memory_for_rotation(const Case& job, const Oracle& oracle) {
  const DeviceInfo& device = job.device->info();
  const std::int64_t first = BufferSet::bytes_needed(*job.variant, job.problem);
  if (!lives_in_host_memory(device)) return device.memory_bytes / 10 * 9;
  return std::max(first, oracle.available_bytes() -
                             std::max(oracle.held_bytes(),
                                      Oracle::bytes_needed(op_of(job.problem), job.problem)));
}

// Found before anything is generated, so that a sweep does not die of one problem that is too
// large.
void require_memory(const Case& job, const Oracle& oracle) {
  const std::int64_t host_available = oracle.available_bytes();
  const std::int64_t host = Oracle::bytes_needed(op_of(job.problem), job.problem);
  if (host > host_available)
    throw EnvironmentError(
        fmt::format("needs {} bytes ({:.1f} GiB) of host memory with reference and bound, {:.1f} "
                    "GiB are available",
                    host, gib(host), gib(host_available)));
  const DeviceInfo& device = job.device->info();
  const std::int64_t bytes = BufferSet::bytes_needed(*job.variant, job.problem);
  const bool shared = lives_in_host_memory(device);
  const std::int64_t available = shared ? host_available - host : device.memory_bytes;
  if (bytes > available)
    throw EnvironmentError(fmt::format(
        "needs {} bytes ({:.1f} GiB) of memory on {}{}, {:.1f} GiB are available", bytes,
        gib(bytes), device.name, shared ? " beside the reference" : "", gib(available)));
}

void verify_and_time(const Case& job, Oracle& oracle, const RunOptions& options, Record& record) {
  require_memory(job, oracle);
  const Op& op = op_of(job.problem);
  BufferSet set(*job.device, *job.variant, job.problem);
  Verifier verifier(job.problem, *job.variant, *job.device, oracle, options.execution,
                    options.twins);
  // The first family is the one that is timed; it comes last, so that its inputs are still in
  // place.
  for (auto family = op.families.rbegin(); family != op.families.rend(); ++family)
    verifier.verify(set, family->name, options.seed);
  verifier.judge_power();
  if (verifier.passed() && !options.verify_only && !job.device->clock().empty()) {
    const Timing timing = measure_cold(job.problem, *job.variant, *job.device, set,
                                       memory_for_rotation(job, oracle), options.sampling);
    verifier.verify_timed(*timing.last, op.families.front().name, options.seed);
    record.measurements.push_back(timing.measurement);
  }
  record.checks = std::move(verifier.checks());
  judge_checks(record);
}

std::string repro_line(const Job& job, const RunOptions& options) {
  std::string line = fmt::format("assay run '{}' --variant {} --seed {}", str(job.problem),
                                 job.variant->bare_name(), options.seed);
  if (job.device->backend == Backend::simt && !options.execution.schedule.empty())
    line += " --schedule " + options.execution.schedule;
  if (job.device->index > 0) line += fmt::format(" --device {}", job.device->index);
  return line;
}

void record_loss(const Case& job, const DeviceLost& lost, Record& record) {
  job.device->lose(lost.what());
  Check check;
  check.kind = "crash";
  check.family = black_box().family;
  check.seed = black_box().seed;
  check.status = Status::crashed;
  check.reason = lost.what();
  record.checks = {check};
  judge_checks(record);
}

}  // namespace

Record begin_record(const Job& job, const RunOptions& options) {
  const Variant& variant = *job.variant;
  Record record;
  record.environment = options.environment;
  record.op = variant.op;
  record.problem = str(job.problem);
  record.variant = variant.name;
  record.backend = name(variant.backend);
  record.device = job.device->name;
  record.repeatability = name(variant.repeatability);
  record.repro = repro_line(job, options);
  return record;
}

void add_declarations(Record& record, const Job& job) {
  record.numerics = str(job.variant->numerics(job.problem));
  if (job.variant->workspace) record.workspace_bytes = job.variant->workspace(job.problem).bytes;
}

void judge_checks(Record& record) {
  record.status = Status::passed;
  for (const Check& check : record.checks) {
    if (check.status == Status::passed || record.status == Status::failed) continue;
    record.status = check.status;
    record.reason = check.family.empty()
                        ? check.reason
                        : fmt::format("{} (family {}, seed {}, check {})", check.reason,
                                      check.family, check.seed, check.kind);
  }
}

Record run_case(const Case& job, Oracle& oracle, const RunOptions& options) {
  const auto start = std::chrono::steady_clock::now();
  const Variant& variant = *job.variant;
  const Job described = {job.problem, job.variant, &job.device->info()};
  Record record = begin_record(described, options);
  begin_stages();
  try {
    if (!job.device->lost().empty())
      throw EnvironmentError("the device was lost to an earlier case: " + job.device->lost());
    record.numerics = str(variant.numerics(job.problem));
    const int arch = job.device->info().arch;
    if (variant.arch.min > arch || (variant.arch.max > 0 && variant.arch.max < arch)) {
      record.status = Status::unsupported;
      record.reason = fmt::format(
          "needs compute capability {}{}, this device has {}", variant.arch.min / 10.0,
          variant.arch.max > 0 ? fmt::format(" to {}", variant.arch.max / 10.0) : " or later",
          arch / 10.0);
    } else if (const std::string why = variant.unsupported ? variant.unsupported(job.problem) : "";
               !why.empty()) {
      record.status = Status::unsupported;
      record.reason = why;
    } else {
      add_declarations(record, described);
      verify_and_time(job, oracle, options, record);
    }
  } catch (const DeviceLost& lost) {
    record_loss(job, lost, record);
  } catch (const EnvironmentError& error) {
    record.status = Status::error;
    record.reason = error.what();
    // It may be the echo of a fault in an earlier launch of this case: the device knows.
    try {
      if (job.device->lost().empty()) job.device->synchronize();
    } catch (const DeviceLost& lost) {
      record_loss(job, lost, record);
    } catch (const std::exception&) {
    }
  } catch (const std::exception& error) {
    record.status = Status::error;
    record.reason = error.what();
  } catch (...) {
    record.status = Status::error;
    record.reason = "threw something that is no std::exception";
  }
  record.seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
  return record;
}

}  // namespace assay
