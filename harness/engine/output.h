// Output is one output of the runs of a case, as the host knows it: the contents that the last run
// left and those of the run before. Contents are known by their fingerprints, and what is in host
// memory already is not fetched again: of runs that agree one download remains.
#pragma once

#include <cstddef>
#include <vector>

#include "harness/backend/backend.h"
#include "harness/core/fingerprint.h"
#include "harness/core/host_memory.h"
#include "harness/engine/buffers.h"

namespace assay {

class Output {
 public:
  // Takes no memory before contents are fetched; then as many bytes as the output has, at most
  // twice.
  explicit Output(TensorSpec spec) : spec_(std::move(spec)) {}

  // What device memory holds now becomes `now`; what was now, `before`. By the fingerprint that the
  // device computes: where one of the two host copies has it, that copy is `now` already.
  void take(const BufferSet& set);
  void take(Device& device, const void* packed);

  const TensorSpec& spec() const { return spec_; }
  // Host copies, laid out row by row; null before there is one.
  TensorView now() const { return {spec_, copies_[now_].storage.get()}; }
  TensorView before() const { return {spec_, copies_[before_].storage.get()}; }
  // Of the bytes of now(): the device's, if it was the same before and after they were fetched.
  const Fingerprint& print() const { return copies_[now_].print; }
  // The device had the same bits the last two times.
  bool is_unchanged() const { return now_ == before_ && seen_ == seen_before_; }

 private:
  struct Copy {
    HostMemory storage;
    Fingerprint print;
  };
  template <class Look, class Fetch>
  void take_by(const Look& look, const Fetch& fetch);

  TensorSpec spec_;
  Copy copies_[2];
  std::size_t now_ = 0, before_ = 0;
  // What the device said. Not that of the copy, where the memory changed before it was fetched.
  Fingerprint seen_, seen_before_;
};

using Outputs = std::vector<Output>;

Outputs make_outputs(const Op& op, const Problem& problem);
// What the last runs left.
std::vector<TensorView> written(const Outputs& outputs);
std::vector<Fingerprint> prints(const Outputs& outputs);

}  // namespace assay
