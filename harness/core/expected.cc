#include "harness/core/expected.h"

#include <stdexcept>
#include <utility>

namespace assay {

Expected::Expected(std::string name, std::int64_t count)
    : output(std::move(name)), size(count), value(count), bound(count) {}

void HostExpected::begin(std::vector<SlicedOutput> outputs, std::int64_t slices) {
  if (outputs.size() > kMostSliced) throw std::logic_error("more sliced outputs than there may be");
  sliced_ = std::move(outputs);
  slices_ = slices;
  for (const SlicedOutput& output : sliced_)
    expected_.emplace_back(output.output, output.outer * slices * output.inner);
}

ExpectedWriter::Window HostExpected::open(std::int64_t begin, std::int64_t end) noexcept {
  Window window;
  window.begin = begin;
  window.end = end;
  window.outputs = sliced_.size();
  for (std::size_t i = 0; i < sliced_.size(); ++i) {
    const std::int64_t inner = sliced_[i].inner, at = begin * inner;
    window.first[i] = {expected_[i].value.get() + at, expected_[i].bound.get() + at,
                       slices_ * inner};
    window.inner[i] = inner;
  }
  return window;
}

}  // namespace assay
