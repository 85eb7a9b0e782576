// Judge decides on outputs, whoever computed them: each element against the oracle's interval under
// a declared arithmetic and, over all that was judged, whether zeros would have passed and whether
// errors grow with a factor. Each question becomes a Check.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <tuple>
#include <vector>

#include "harness/core/fingerprint.h"
#include "harness/core/op.h"
#include "harness/core/record.h"
#include "harness/engine/bias.h"
#include "harness/engine/interval.h"
#include "harness/engine/oracle.h"
#include "harness/engine/output.h"

namespace assay {

// Which inputs a run is on; what checks name. Without a family: about all of them together.
struct Subject {
  const Family* family;
  std::uint64_t seed;
};

// What outputs hold before a run: NaN in every float format, and a large finite value in every one
// (1.3e36, f16: 6.1e4).
inline constexpr unsigned char kPoisons[] = {0xff, 0x7b};

// " (not written)" where an element still holds one of them.
const char* if_unwritten(const TensorSpec& spec, const void* data, std::int64_t index);

// The names of an output's dims in lower case.
std::vector<std::string> axes(const Op& op, const TensorSpec& spec);
int batch_axis(const Op& op, const TensorSpec& spec);  // -1: has none
// "O[q=0, t=5, d=17]"
std::string place(const Op& op, const TensorSpec& spec, std::int64_t index);

Check make_check(const std::string& kind, Subject subject, const std::string& output);

class Judge {
 public:
  using Expectation = std::function<std::shared_ptr<const std::vector<Expected>>(Subject)>;

  // What outputs should be is asked of the oracle, unless of somebody else. Outputs that are kept
  // on a device are judged there; that is `device`.
  Judge(const Problem& problem, const Numerics& numerics, Oracle& oracle, Device* device = nullptr,
        Expectation expectation = {});

  std::shared_ptr<const std::vector<Expected>> expected(Subject subject) const;
  // Computes now what judge_run() will ask for.
  void prepare(Subject subject) const;

  // The outputs of one run: a check for each, named `kind` (where the family demands bits, `exact`
  // instead of `interval`). Where the fingerprint is known, what has passed before on the same
  // inputs is not looked at again: the same bits give the same check.
  std::vector<Check> judge_run(const std::string& kind, Subject subject,
                               const std::vector<Written>& outputs);
  // What outputs are judged against: on the host, or where they are kept.
  struct Wanted {
    const std::vector<Expected>* expected = nullptr;
    DeviceReference* there = nullptr;
  };
  // The same for a run on other inputs than the family's, whose outputs should be `wanted`. The
  // check's reasons begin with `label`; it has no say in judge_power.
  std::vector<Check> judge_derived(const std::string& kind, const std::string& label,
                                   Subject subject, const std::vector<Written>& outputs,
                                   const Wanted& wanted);

  // Gives a run a say in judge_bias, where the problem is small enough.
  void estimate_bias(Subject subject, const std::vector<Written>& outputs);

  // Over all that was judged: a check `power` with status mistrusted for each output that zeros
  // would have passed for (zeros_would_pass; with 16-bit roundings declared, without the families
  // in which that is most so, up to three in four), and a check `bias` for each output.
  std::vector<Check> judge_power() const;
  std::vector<Check> judge_bias() const;

 private:
  struct Power {  // elements whose reference is not 0, and those of them for which 0 would pass
    std::int64_t nonzero = 0, zero_accepted = 0;

    double share() const {
      return nonzero > 0 ? static_cast<double>(zero_accepted) / static_cast<double>(nonzero) : 0;
    }
    bool zeros_pass() const { return zeros_would_pass(zero_accepted, nonzero); }
    void operator+=(const Power& other) {
      nonzero += other.nonzero;
      zero_accepted += other.zero_accepted;
    }
    void operator-=(const Power& other) {
      nonzero -= other.nonzero;
      zero_accepted -= other.zero_accepted;
    }
  };
  struct Tally {
    std::map<std::string, Power> power;  // by family
    std::int64_t elements = 0;           // that had a say in the bias test
  };

  // What became of an output that passed.
  struct Passed {
    Fingerprint print;
    Check check;
    Power power;
  };

  bool is_exact(const std::string& label, Subject subject, const std::string& output) const;
  std::shared_ptr<DeviceReference> expected_there(Subject subject) const;
  Check judge_output(const std::string& kind, const std::string& label, Subject subject,
                     const Written& output, const Wanted& wanted, Power& power);

  const Op& op_;
  const Problem& problem_;
  const Numerics numerics_;
  Oracle& oracle_;
  Device* device_;
  Expectation expectation_;
  std::map<std::string, Tally> tallies_;  // by output
  std::map<std::tuple<std::string, std::uint64_t, std::string>, Passed>
      passed_;  // by family, seed and output
  BiasTest bias_;
};

}  // namespace assay
