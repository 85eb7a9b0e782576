#include "harness/engine/run_case.h"

#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <exception>
#include <optional>

#include "harness/core/black_box.h"
#include "harness/core/error.h"
#include "harness/core/host_memory.h"
#include "harness/core/registry.h"
#include "harness/core/spending.h"
#include "harness/core/text.h"
#include "harness/engine/contract.h"
#include "harness/engine/verify.h"

namespace assay {
namespace {

double gib(std::int64_t bytes) { return static_cast<double>(bytes) / (1 << 30); }

bool lives_in_host_memory(const DeviceInfo& device) { return device.backend != Backend::cuda; }

// Found before anything is generated, so that a sweep does not die of one problem that is too
// large.
void require_memory(const Case& job, const Oracle& oracle) {
  const std::int64_t host_available = oracle.available_bytes();
  std::int64_t host = Oracle::bytes_needed(op_of(job.problem), job.problem);
  if (job.variant->steps) {  // each is judged by itself, beside the outputs of the whole
    std::int64_t most = 0, most_inputs = 0;  // the next one's are there already
    for (const Step& step : job.variant->steps(job.problem).steps) {
      const Op& op = op_of(step.problem);
      std::int64_t inputs = 0;
      for (const TensorSpec& spec : tensor_specs(op, step.problem))
        if (spec.role != Role::out) inputs += spec.bytes();
      most = std::max(most, Oracle::bytes_needed(op, step.problem));
      most_inputs = std::max(most_inputs, inputs);
    }
    host += most + most_inputs;
  }
  if (host > host_available)
    throw EnvironmentError(
        fmt::format("needs {} bytes ({:.1f} GiB) of host memory with reference and bound, {:.1f} "
                    "GiB are available",
                    host, gib(host), gib(host_available)));
  const DeviceInfo& device = job.device->info();
  const std::int64_t bytes = BufferSet::bytes_needed(*job.variant, job.problem);
  const bool shared = lives_in_host_memory(device);
  // What earlier cases left is no reason to die of this one.
  KeptBlocks& kept = kept_blocks();
  if (host + (shared ? bytes : 0) + kept.held() > host_available) kept.drop();
  const std::int64_t available = shared ? host_available - host : device.memory_bytes;
  if (bytes > available)
    throw EnvironmentError(fmt::format(
        "needs {} bytes ({:.1f} GiB) of memory on {}{}, {:.1f} GiB are available", bytes,
        gib(bytes), device.name, shared ? " beside the reference" : "", gib(available)));
}

// Elements of all tensors up to which a problem is small. The simt backend takes a microsecond for
// what the others do in a nanosecond.
std::int64_t small(Backend backend) { return backend == Backend::simt ? 1 << 12 : 1 << 20; }

bool is_small(const Case& job, const RunOptions& options) {
  std::int64_t elements = 0;
  for (const TensorSpec& spec : tensor_specs(op_of(job.problem), job.problem))
    elements += spec.elements();
  return elements <= (options.small > 0 ? options.small : small(job.device->info().backend));
}

// The families to verify, the one that is timed first.
std::vector<const Family*> families_of(const Case& job, const RunOptions& options) {
  const Op& op = op_of(job.problem);
  if (!job.problem.family.empty()) {
    const Family* named = op.find_family(job.problem.family);
    if (const std::string why = named->inapplicable ? named->inapplicable(job.problem) : "";
        !why.empty())
      throw UsageError(fmt::format("family {}: {}", named->name, why));
    return {named};  // see why_unsupported
  }
  std::vector<const Family*> all;
  for (const Family& family : op.families)
    if ((!family.inapplicable || family.inapplicable(job.problem).empty()) &&
        (family.layout != Layout::padded || job.variant->strided))
      all.push_back(&family);
  if (is_small(job, options)) return all;
  std::vector<const Family*> further;  // without those that need buffers of their own
  for (std::size_t i = 1; i < all.size(); ++i)
    if (all[i]->layout == Layout::packed) further.push_back(all[i]);
  const std::uint64_t turn = hash_of(str(job.problem)) + options.seed;
  if (further.empty()) return {all.front()};
  return {all.front(), further[turn % further.size()]};
}

// Why a time that was measured can't be true, or an empty text.
std::string wrong_time(const Case& job, const Record& record) {
  const Cost cost = op_of(job.problem).cost(job.problem);
  for (const Measurement& measurement : record.measurements)
    if (measurement.cache == "cold")
      return faster_than_pins(cost, measurement.net(), job.device->info());
  return "";
}

void verify_and_time(const Case& job, Oracle& oracle, const RunOptions& options, Record& record) {
  oracle.turn_to(job.problem);
  require_memory(job, oracle);
  Verifier verifier(job.problem, *job.variant, *job.device, oracle, options.verify);
  const auto families = families_of(job, options);
  const Family& timed = *families.front();
  const Family& other = *families.back();
  // Every schedule at least once.
  const std::size_t schedules = job.device->schedules().size();
  const std::size_t runs =
      std::max<std::size_t>(2, (schedules + families.size() - 1) / families.size());
  // The family that is timed comes last, so that its inputs are still in place; further seeds
  // before the first.
  for (int i = options.seeds - 1; i >= 0; --i) {
    const std::uint64_t seed = options.seed + static_cast<std::uint64_t>(i);
    for (std::size_t f = families.size(); f-- > 0;) verifier.verify(*families[f], seed, runs);
    if (is_small(job, options)) {
      verifier.verify_relations(timed, seed);
      verifier.verify_batch(timed, seed);
    }
  }
  verifier.verify_state(timed, options.seed);
  verifier.judge_bias();
  verifier.judge_power();
  if (verifier.passed() && !options.verify_only && !job.device->clock().empty()) {
    std::optional<Limits> own;
    if (!job.limits) own.emplace(*job.device);
    Rotation rotation(job.problem, *job.variant, *job.device, verifier.set(),
                      memory_for_rotation(job, oracle));
    measure(job.problem, rotation, *job.device, job.limits ? *job.limits : *own, options.measure,
            record);
    verifier.verify_timed(*rotation.last(), timed, options.seed);
    observe(rotation, *job.device, options.measure, record);
    verifier.verify_fresh(*rotation.last(), other, options.seed);
    if (const std::string why = wrong_time(job, record); !why.empty())
      verifier.checks().push_back({.kind = "pin_rate", .status = Status::error, .reason = why});
  }
  verifier.judge_references();
  // What is already known to be wrong need not end the process.
  if (options.fences && is_small(job, options) && verifier.passed())
    verifier.verify_fences(timed, options.seed);
  record.checks = std::move(verifier.checks());
  judge_checks(record);
}

// As a word of a shell's line.
std::string quoted(const std::string& name) {
  return name.find('[') == std::string::npos ? name : "'" + name + "'";
}

std::string repro_line(const Job& job, const RunOptions& options) {
  std::string line = fmt::format("assay run '{}' --variant {} --seed {}", str(job.problem),
                                 quoted(shown_name(job)), options.seed);
  if (job.device->backend == Backend::simt && !options.verify.execution.schedule.empty())
    line += " --schedule " + options.verify.execution.schedule;
  if (options.seeds > 1) line += fmt::format(" --seeds {}", options.seeds);
  if (job.device->index > 0) line += fmt::format(" --device {}", job.device->index);
  return line;
}

std::string unknown_configuration(const Job& job) {
  const Configuration& asked = job.problem.configuration;
  if (asked.empty()) return "";
  std::vector<std::string> known;
  if (job.variant->configurations) {
    for (const Configuration& configuration : job.variant->configurations(job.problem)) {
      if (configuration == asked) return "";
      known.push_back("`" + str(configuration) + "`");
    }
  }
  return fmt::format("no configuration `{}`: for this problem it has {}", str(asked),
                     known.empty() ? "none" : join(known));
}

std::string declared_numerics(const Job& job) {
  return job.variant->steps ? "that of its steps" : str(job.variant->numerics(job.problem));
}

void record_loss(const Case& job, const DeviceLost& lost, Oracle& oracle, Record& record) {
  job.device->lose(lost.what());
  oracle.forget(*job.device);
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

std::int64_t memory_for_rotation(const Case& job, const Oracle& oracle) {
  const DeviceInfo& device = job.device->info();
  const std::int64_t first = BufferSet::bytes_needed(*job.variant, job.problem);
  if (!lives_in_host_memory(device)) return device.memory_bytes / 10 * 9;
  return std::max(first, oracle.available_bytes() -
                             std::max(oracle.held_bytes(),
                                      Oracle::bytes_needed(op_of(job.problem), job.problem)));
}

std::string why_unsupported(const Job& job) {
  const Variant& variant = *job.variant;
  const int arch = job.device->arch;
  const bool has_arch = job.device->backend != Backend::cpu;
  if (has_arch && (variant.arch.min > arch || (variant.arch.max > 0 && variant.arch.max < arch)))
    return fmt::format(
        "needs compute capability {}{}, this device has {}", variant.arch.min / 10.0,
        variant.arch.max > 0 ? fmt::format(" to {}", variant.arch.max / 10.0) : " or later",
        arch / 10.0);
  if (!job.problem.family.empty() && !variant.strided &&
      op_of(job.problem).find_family(job.problem.family)->layout == Layout::padded)
    return "rows must be contiguous: it knows no strides";
  if (const std::string why = unknown_configuration(job); !why.empty()) return why;
  return variant.unsupported ? variant.unsupported(job.problem) : "";
}

std::string shown_name(const Job& job) {
  const std::string own = configured_name(*job.variant, job.problem);
  return (job.alias.empty() ? own : job.alias) + "@" + std::string(name(job.variant->backend));
}

Record begin_record(const Job& job, const RunOptions& options) {
  const Variant& variant = *job.variant;
  Record record;
  record.environment = options.environment;
  record.op = variant.op;
  record.problem = str(job.problem);
  record.variant = job.alias.empty() ? configured_name(variant, job.problem) : job.alias;
  if (!job.alias.empty()) record.choice = configured_name(variant, job.problem);
  if (!job.note.empty()) record.notes.push_back(job.note);
  record.backend = name(job.device->backend);
  record.device = job.device->name;
  record.contract = contract_id(op_of(job.problem));
  record.repeatability = name(variant.repeatability);
  record.repro = repro_line(job, options);
  return record;
}

void add_declarations(Record& record, const Job& job) {
  record.numerics = declared_numerics(job);
  if (job.variant->workspace) record.workspace_bytes = job.variant->workspace(job.problem).bytes;
  if (job.variant->steps) {
    record.peak_bytes = record.workspace_bytes;
    for (const TensorSpec& spec : tensor_specs(op_of(job.problem), job.problem))
      record.peak_bytes += spec.bytes();
  }
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
  const Job described = {job.problem, job.variant, &job.device->info(), false, job.alias, job.note};
  Record record = begin_record(described, options);
  begin_stages();
  begin_spending();
  try {
    if (!job.device->lost().empty())
      throw EnvironmentError("the device was lost to an earlier case: " + job.device->lost());
    if (const std::string why = why_unsupported(described); !why.empty()) {
      record.status = Status::unsupported;
      record.reason = why;
    } else {
      add_declarations(record, described);
      verify_and_time(job, oracle, options, record);
    }
  } catch (const DeviceLost& lost) {
    record_loss(job, lost, oracle, record);
  } catch (const EnvironmentError& error) {
    record.status = Status::error;
    record.reason = error.what();
    // It may be the echo of a fault in an earlier launch of this case: the device knows.
    try {
      if (job.device->lost().empty()) job.device->synchronize();
    } catch (const DeviceLost& lost) {
      record_loss(job, lost, oracle, record);
    } catch (const std::exception& after) {
      record.reason += std::string("; then ") + after.what();
    }
  } catch (const std::exception& error) {
    record.status = Status::error;
    record.reason = error.what();
  } catch (...) {
    record.status = Status::error;
    record.reason = "threw something that is no std::exception";
  }
  const Spent seconds = spent();
  for (std::size_t i = 0; i < seconds.size(); ++i)
    if (seconds[i] > 0) record.spent.emplace_back(name(static_cast<Expense>(i)), seconds[i]);
  record.seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
  return record;
}

}  // namespace assay
