#include "harness/engine/buffers.h"

#include "harness/core/registry.h"

namespace assay {
namespace {

constexpr std::int64_t kAlignment = 256;

std::int64_t aligned(std::int64_t bytes) {
  return (bytes + kAlignment - 1) / kAlignment * kAlignment;
}

std::int64_t workspace_of(const Variant& variant, const Problem& problem) {
  return variant.workspace ? variant.workspace(problem).bytes : 0;
}

}  // namespace

std::int64_t BufferSet::bytes_needed(const Variant& variant, const Problem& problem) {
  std::int64_t bytes = aligned(workspace_of(variant, problem));
  for (const TensorSpec& spec : tensor_specs(op_of(problem), problem))
    bytes += aligned(spec.bytes());
  return bytes;
}

BufferSet::BufferSet(Device& device, const Variant& variant, const Problem& problem)
    : device_(&device),
      memory_(device, bytes_needed(variant, problem)),
      workspace_bytes_(workspace_of(variant, problem)) {
  auto* next = static_cast<unsigned char*>(memory_.data());
  for (TensorSpec& spec : tensor_specs(op_of(problem), problem)) {
    const std::int64_t bytes = spec.bytes();
    buffers_.tensors.add({std::move(spec), next});
    next += aligned(bytes);
  }
  buffers_.workspace = workspace_bytes_ > 0 ? next : nullptr;
  launch_ = variant.prepare(problem, buffers_);
}

void BufferSet::upload(const Tensors& inputs) {
  for (const TensorView& input : inputs)
    device_->upload(buffers_[input.spec.name].data, input.data, input.spec.bytes());
}

void BufferSet::copy_inputs_from(const BufferSet& other) {
  for (const TensorView& tensor : buffers_.tensors)
    if (tensor.spec.role != Role::out)
      device_->copy(tensor.data, other.buffers_[tensor.spec.name].data, tensor.spec.bytes());
}

void BufferSet::poison(unsigned char byte) {
  for (const TensorView& tensor : buffers_.tensors)
    if (tensor.spec.role == Role::out) device_->fill(tensor.data, byte, tensor.spec.bytes());
  if (workspace_bytes_ > 0) device_->fill(buffers_.workspace, byte, workspace_bytes_);
}

void BufferSet::download(const TensorView& host) const {
  device_->download(host.data, buffers_[host.spec.name].data, host.spec.bytes());
}

}  // namespace assay
