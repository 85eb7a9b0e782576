// A Record is all that is known about one case: what ran, how it was verified, how long it took.
// Reports, comparisons and gates are made from Records alone, at any later time. reports/jsonl.h
// reads and writes them.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "harness/core/dtype.h"

namespace assay {

inline constexpr int kSchema = 1;

enum class Status : std::uint8_t {
  passed,
  failed,
  mistrusted,
  unsupported,
  timeout,
  crashed,
  error
};
inline constexpr Status kAllStatuses[] = {Status::passed,      Status::failed,  Status::mistrusted,
                                          Status::unsupported, Status::timeout, Status::crashed,
                                          Status::error};

std::string_view name(Status status);
std::optional<Status> parse_status(std::string_view text);

// One element of one output, against the reference.
struct Element {
  std::vector<std::int64_t> index;  // coordinates, in the order of the output's dims
  double want = 0;                  // fp64 reference
  double got = 0;
  double bound = 0;  // of the error before the rounding to the output's dtype
  double utilisation =
      0;  // least t such that got lies in [round(want - t bound), round(want + t bound)]
};

// One output of one run of one input family, judged element by element.
struct Check {
  // What was checked:
  //   interval, exact    every element, against its interval or to the bit
  //   bias               errors that grow with a factor that a wrong kernel may have
  //   relation/NAME      a metamorphic relation
  //   repeat, replay     the same bits in another run, under other poison, contention; as a graph
  //   batch, isolation   a slice of the batch dim does not depend on the others; nor on their NaNs
  //   inputs, guards     inputs and what lies around the tensors are left alone
  //   fence              the same beside address space that faults
  //   stream             all work is ordered by the stream it was given
  //   after_timing       the last timed iteration
  //   pin_rate           no time is shorter than the memory's pins allow
  //   fresh              fresh contents behind the same pointers, run as when timing
  //   power              whether zeros would pass
  //   step               an output of the steps of a composite, each judged by its own op
  //   schedule           the steps of a composite, or what a peer computes in its place, are the op
  //   whole              a composite leaves what its steps leave, to the bit
  //   missing            informative: an output that a peer does not compute
  //   twin               informative: how far the cuda and simt builds of one source differ
  // or the kind of a KernelFault.
  std::string kind;
  std::string family;
  std::uint64_t seed = 0;
  std::string output;
  Status status = Status::passed;
  std::string reason;  // empty when passed
  std::int64_t elements = 0;
  std::int64_t wrong = 0;  // elements outside the interval
  double utilisation = 0;  // the largest
  double zero_accepted =
      0;  // share of the elements with a non-zero reference for which zero would have passed
  double error_rms = 0;       // of got - want
  double error_normwise = 0;  // |got - want|₂ / |want|₂
  // Elements by their distance from the rounded reference in ulps: 0, 1, 2-3, 4-7, …; the last of
  // 16 counts all beyond. Trailing zeros are left out.
  std::vector<std::int64_t> ulps;
  std::string where;  // the wrong elements lie, in words
  std::optional<Element> worst;
};

// One timed run of a case.
struct Sample {
  double seconds = 0;  // kept with 24 bits
  float sm_mhz = 0;    // clock of the multiprocessors meanwhile; 0: unknown
  bool throttled = false;
};

// Where the samples of a measurement are kept: a part of the file beside the records
// (reports/samples.h).
struct SampleBlock {
  std::string file;  // known once records were read from a file; not written into them
  std::int64_t offset = 0;
  std::int64_t count = 0;
  std::string checksum;
};

// Kernels of one name (or copies, or fills) in one run of a case, as CUPTI sees them.
struct KernelTime {
  std::string name;
  std::int64_t count = 0;  // in a run
  double seconds = 0;      // of all of them; the median over the runs
};

// What the hardware counted over one kernel of a run.
struct KernelCounters {
  std::string name;
  std::vector<std::pair<std::string, double>> values;  // by the name of the counter
};

// The time of one case in one cache state.
struct Measurement {
  // cold    every sample finds its inputs in memory alone
  // hot     every sample runs on the buffers of the one before
  // graph   cold inputs, the launches of a whole rotation as one graph: the time of one of them
  std::string cache;
  std::string clock;  // cuda_event | steady_clock
  std::int64_t samples = 0;
  double median = 0, p05 = 0, p95 = 0;                  // seconds
  double bytes_read = 0, bytes_written = 0, flops = 0;  // least possible, from the op's cost model
  double limit = 0;  // bytes/s that this device was measured to reach at this read:write mix
  // Operations/s that the device was measured to reach with operands at hand: fp32 multiply-adds,
  // and matrix products of the problem's dtype with fp32 sums. 0: not known, or no such units.
  double fma_limit = 0, matrix_limit = 0;
  std::int64_t buffer_sets = 0;  // rotated so that no sample finds its inputs in the cache
  // In the order in which they were taken: at hand while the case is new, later in a block of a
  // file.
  std::vector<Sample> taken{};
  std::optional<SampleBlock> kept{};

  // What follows is 0 or empty where it is not known: another program timed it, or an older one.
  double low = 0, high = 0;    // 95 % interval of the median
  double noise = 0;            // standard error of the median, as a share of it
  std::string stopped{};       // precise, steady, time, count: why there are no more samples
  double offset = 0;           // what the clock reads beside the kernel, contained in all times
  double floor = 0;            // least seconds in this cache state, at the limit
  double sm_mhz = 0;           // median clock of the multiprocessors
  std::int64_t throttled = 0;  // samples
  std::int64_t repeated = 0;   // throttled ones that were taken again, and are not among them
  double traced = 0;  // seconds by CUPTI, from the begin of the first kernel to the end of the last
  std::vector<KernelTime> kernels{};

  double bytes_per_second() const { return median > 0 ? (bytes_read + bytes_written) / median : 0; }
  double net() const { return median - offset; }  // of the kernel alone
  double fraction_of_limit() const {
    if (floor > 0) return median > 0 ? floor / median : 0;
    return limit > 0 ? bytes_per_second() / limit : 0;
  }
};

// What a choice of auto cost (reports/choices.h).
struct ChoiceCost {
  double share = 0;  // of the best time, by which it took longer; below 0: shorter
  std::string best;  // the variant with that time
};

struct Record {
  int schema = kSchema;
  std::string environment;  // id of an Environment
  std::string op, problem, backend, device;
  std::string variant;  // "fused", "fused[rows=3]" in a configuration that was asked for, "auto"
  std::string choice;   // of auto: the variant that it resolved to, like those
  std::optional<ChoiceCost> choice_cost;  // known beside other records; not written
  std::string contract;                   // what the op promised then: contract_id; empty: unknown
  std::string numerics;                   // as declared, in words
  std::string repeatability;              // as declared
  std::int64_t workspace_bytes = 0;
  // Of a composite: its tensors and its workspace, all that is there at once; 0: no composite.
  std::int64_t peak_bytes = 0;
  Status status = Status::error;
  std::string reason;  // why it did not pass; empty when it did
  std::vector<Check> checks;
  std::vector<Measurement> measurements;
  std::vector<KernelCounters> counters;  // of each kernel of a run; only where asked for
  std::vector<std::string> notes;        // what could not be had here, with the way to get it
  double seconds = 0;                    // wall time of the whole case
  std::vector<std::pair<std::string, double>> spent;  // seconds of it, by what they went into
  std::string repro;                                  // command that runs this case again

  std::string id() const { return op + "/" + variant + "@" + backend; }
};

// Where records were made: stored once per run and referenced by the hash of its content, since
// files get merged.
struct Environment {
  int schema = kSchema;
  std::vector<std::pair<std::string, std::string>> facts;  // in a fixed order

  std::string id() const;  // 16 hex digits
};

}  // namespace assay
