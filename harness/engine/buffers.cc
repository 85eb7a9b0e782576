#include "harness/engine/buffers.h"

#include "harness/core/registry.h"

namespace assay {
namespace {

constexpr std::int64_t kAlignment = 256;
constexpr std::int64_t kGuard = 256;  // bytes before and after each tensor that nobody may touch
constexpr unsigned char kGuardByte = 0xa5;

std::int64_t aligned(std::int64_t bytes) {
  return (bytes + kAlignment - 1) / kAlignment * kAlignment;
}

std::int64_t workspace_of(const Variant& variant, const Problem& problem) {
  return variant.workspace ? variant.workspace(problem).bytes : 0;
}

}  // namespace

std::int64_t BufferSet::bytes_needed(const Variant& variant, const Problem& problem) {
  std::int64_t bytes = kGuard;
  if (const std::int64_t workspace = workspace_of(variant, problem); workspace > 0)
    bytes += aligned(workspace) + kGuard;
  for (const TensorSpec& spec : tensor_specs(op_of(problem), problem))
    bytes += aligned(spec.bytes()) + kGuard;
  return bytes;
}

BufferSet::BufferSet(Device& device, const Variant& variant, const Problem& problem)
    : device_(&device),
      memory_(device, bytes_needed(variant, problem)),
      workspace_bytes_(workspace_of(variant, problem)) {
  auto* next = static_cast<unsigned char*>(memory_.data());
  device.fill(next, kGuardByte, kGuard);
  // What lies between this buffer and the next is a guard, from its last byte on.
  const auto place = [&](const std::string& name, std::int64_t bytes, bool writable) {
    unsigned char* begin = next + kGuard;
    const std::int64_t rest = aligned(bytes) - bytes + kGuard;
    device.fill(begin + bytes, kGuardByte, rest);
    guards_.push_back({name, begin, bytes, rest});
    device.name_buffer(begin, bytes, name, writable);
    names_.emplace_back(begin, bytes, name);
    next += kGuard + aligned(bytes);
    return begin;
  };
  for (TensorSpec& spec : tensor_specs(op_of(problem), problem)) {
    auto* begin = place(spec.name, spec.bytes(), spec.role != Role::in);
    buffers_.tensors.add({std::move(spec), begin});
  }
  buffers_.workspace = workspace_bytes_ > 0 ? place("workspace", workspace_bytes_, true) : nullptr;
  launch_ = variant.prepare(problem, buffers_);
}

std::string BufferSet::broken_guard() const {
  std::vector<unsigned char> bytes;
  const auto first_wrong = [&](const unsigned char* begin, std::int64_t count) -> std::int64_t {
    bytes.resize(static_cast<std::size_t>(count));
    device_->download(bytes.data(), begin, count);
    for (std::int64_t i = 0; i < count; ++i)
      if (bytes[static_cast<std::size_t>(i)] != kGuardByte) return i;
    return -1;
  };
  if (const std::int64_t i = first_wrong(static_cast<unsigned char*>(memory_.data()), kGuard);
      i >= 0)
    return std::to_string(kGuard - i) + " bytes before " + guards_.front().name +
           " were overwritten";
  for (const Guard& guard : guards_)
    if (const std::int64_t i = first_wrong(guard.begin + guard.bytes, guard.after); i >= 0)
      return "byte " + std::to_string(i) + " after the end of " + guard.name +
             (&guard == &guards_.back()
                  ? ""
                  : ", " + std::to_string(guard.after - i) + " before " + (&guard + 1)->name) +
             ", was overwritten";
  return "";
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
