#include "harness/engine/buffers.h"

#include <algorithm>
#include <atomic>
#include <cstring>

#include "harness/core/parallel.h"
#include "harness/core/registry.h"
#include "harness/core/spending.h"

namespace assay {
namespace {

constexpr std::int64_t kAlignment = 256;
// Before and after each tensor: a row of 2048 16-bit elements, more than any tile of a row. What
// strays farther than that meets the next tensor, or a fence.
constexpr std::int64_t kGuard = 4096;

std::int64_t aligned(std::int64_t bytes) {
  return (bytes + kAlignment - 1) / kAlignment * kAlignment;
}

std::int64_t workspace_of(const Variant& variant, const Problem& problem) {
  return variant.workspace ? variant.workspace(problem).bytes : 0;
}

bool same(const unsigned char* a, const unsigned char* b, std::int64_t bytes) {
  std::atomic<bool> differ = false;
  parallel_for(bytes, 1 << 16, [&](std::int64_t begin, std::int64_t end) {
    if (std::memcmp(a + begin, b + begin, static_cast<std::size_t>(end - begin)) != 0)
      differ = true;
  });
  return !differ;
}

bool readable(const TensorSpec& spec) { return spec.role != Role::out; }

}  // namespace

std::int64_t BufferSet::bytes_needed(const Variant& variant, const Problem& problem) {
  std::int64_t bytes = kGuard;
  if (const std::int64_t workspace = workspace_of(variant, problem); workspace > 0)
    bytes += aligned(workspace) + kGuard;
  for (const TensorSpec& spec : tensor_specs(op_of(problem), problem))
    bytes += aligned(spec.bytes()) * (spec.role == Role::inout ? 2 : 1) + kGuard;
  return bytes;
}

std::int64_t BufferSet::bytes_allocated(const Variant& variant, const Problem& problem,
                                        Layout layout) {
  std::int64_t bytes = bytes_needed(variant, problem) + 16 * kAlignment;  // misaligned
  for (const TensorSpec& spec : tensor_specs(op_of(problem), problem, layout))
    bytes += spec.span_bytes() - spec.bytes();
  return aligned(bytes);
}

BufferSet::BufferSet(Device& device, const Variant& variant, const Problem& problem,
                     Placement placement)
    : device_(&device), workspace_bytes_(workspace_of(variant, problem)) {
  const Spending spending(Expense::memory);
  unsigned char* next = nullptr;  // the end of the tensor before, or the begin of all
  std::string previous;
  if (placement.fence == Fence::none) {
    void* memory = placement.within;
    if (!memory) {
      const std::int64_t bytes = bytes_allocated(variant, problem, placement.layout);
      memory_.push_back(std::make_unique<DeviceMemory>(device, bytes));
      memory = memory_.back()->data();
      device.fill(memory, kFilling, bytes);
    }
    next = static_cast<unsigned char*>(memory);
  }
  const auto place = [&](const std::string& name, std::int64_t bytes, std::int64_t offset,
                         bool writable) {
    unsigned char* begin = nullptr;
    if (placement.fence != Fence::none) {
      memory_.push_back(std::make_unique<DeviceMemory>(device, bytes, placement.fence));
      begin = static_cast<unsigned char*>(memory_.back()->data());
      device.fill(begin, kFilling, bytes);
    } else {
      const auto at = reinterpret_cast<std::uintptr_t>(next);
      const auto unit = static_cast<std::uintptr_t>(kAlignment);
      begin = next + ((at + unit - 1) / unit * unit - at) + kGuard + offset;
      guards_.push_back({previous, name, next, begin - next});
    }
    device.name_buffer(begin, bytes, name, writable);
    names_.emplace_back(begin, bytes, name);
    next = begin + bytes;
    previous = name;
    return begin;
  };
  for (TensorSpec& spec : tensor_specs(op_of(problem), problem, placement.layout)) {
    const std::int64_t offset =
        placement.layout == Layout::misaligned ? static_cast<std::int64_t>(size_of(spec.dtype)) : 0;
    auto* begin = place(spec.name, spec.span_bytes(), offset, spec.role != Role::in);
    if (!spec.is_packed()) spread_.push_back({{spec, begin}, {}});
    if (spec.role == Role::inout) {
      memory_.push_back(std::make_unique<DeviceMemory>(device, spec.span_bytes()));
      updated_.push_back({spec.name, begin, memory_.back()->data(), spec.span_bytes()});
    }
    buffers_.tensors.add({std::move(spec), begin});
  }
  // Its begin is aligned, whatever its size: before a fence that leaves up to 255 bytes.
  const std::int64_t workspace =
      placement.fence == Fence::after ? aligned(workspace_bytes_) : workspace_bytes_;
  buffers_.workspace = workspace > 0 ? place("workspace", workspace, 0, true) : nullptr;
  if (placement.fence == Fence::none) guards_.push_back({previous, "", next, kGuard});
  guard_byte_ = kFilling;
  restore_ = [&device, updated = updated_](Stream) {
    for (const Updated& tensor : updated)
      device.enqueue_copy(tensor.data, tensor.original, tensor.bytes);
  };
  launch_ = variant.prepare(problem, buffers_);
}

// What was written between the rows of a tensor; empty: nothing.
std::string BufferSet::broken_gap(const TensorView& tensor) const {
  const TensorSpec& spec = tensor.spec;
  const auto size = static_cast<std::int64_t>(size_of(spec.dtype));
  std::vector<unsigned char> image(static_cast<std::size_t>(spec.span_bytes()));
  device_->download(image.data(), tensor.data, spec.span_bytes());
  const std::int64_t rows = spec.elements() / spec.row_elements();
  for (std::int64_t row = 0; row + 1 < rows; ++row) {
    const std::int64_t end = (spec.row_offset(row) + spec.row_elements()) * size;
    for (std::int64_t at = end; at < spec.row_offset(row + 1) * size; ++at) {
      if (image[static_cast<std::size_t>(at)] != guard_byte_)
        return "byte " + std::to_string(at - end) + " after row " + std::to_string(row) + " of " +
               spec.name + ", between two rows, was overwritten";
    }
  }
  return "";
}

std::string BufferSet::broken_guard() const {
  const Spending spending(Expense::comparison);
  for (const Spread& spread : spread_)
    if (const std::string broken = broken_gap(spread.tensor); !broken.empty()) return broken;
  std::vector<unsigned char> bytes;
  for (const Guard& guard : guards_) {
    bytes.resize(static_cast<std::size_t>(guard.bytes));
    device_->download(bytes.data(), guard.begin, guard.bytes);
    const auto wrong = std::find_if(bytes.begin(), bytes.end(),
                                    [this](unsigned char byte) { return byte != guard_byte_; });
    if (wrong == bytes.end()) continue;
    const std::int64_t at = wrong - bytes.begin();
    std::string text;
    if (!guard.after.empty())
      text = "byte " + std::to_string(at) + " after the end of " + guard.after;
    if (!guard.before.empty())
      text += (text.empty() ? "byte " : ", ") + std::to_string(guard.bytes - at) + " before " +
              guard.before;
    return text + ", was overwritten";
  }
  return "";
}

void BufferSet::upload(const Inputs& inputs) {
  const Spending spending(Expense::memory);
  std::size_t number = 0;
  for (const TensorView& input : inputs.tensors) {
    const TensorView& to = buffers_[input.spec.name];
    std::optional<Fingerprint>* const print = inputs.print(number++);
    if (to.spec.is_packed()) {
      // Looked at only where it may well be in place.
      const auto last = uploaded_.find(input.spec.name);
      if (print && last != uploaded_.end() && last->second == *print &&
          fingerprint(to.spec) == *print)
        continue;
      const Spending sending(Expense::transfers);
      if (print) {
        device_->upload_again(to.data, input.data, input.spec.bytes(), *print);
        uploaded_[input.spec.name] = **print;
      } else {
        device_->upload(to.data, input.data, input.spec.bytes());
        uploaded_.erase(input.spec.name);
      }
      continue;
    }
    const auto spread = std::find_if(spread_.begin(), spread_.end(), [&](const Spread& s) {
      return s.tensor.spec.name == input.spec.name;
    });
    const auto* begin = static_cast<const std::byte*>(input.data);
    spread->rows.assign(begin, begin + input.spec.bytes());
    lay_out(*spread);
  }
  for (const Updated& tensor : updated_) device_->copy(tensor.original, tensor.data, tensor.bytes);
}

std::shared_ptr<void> BufferSet::upload_ahead(const Inputs& inputs) {
  const Spending spending(Expense::transfers);
  std::vector<Device::HostRange> ranges;
  std::size_t number = 0;
  for (const TensorView& input : inputs.tensors) {
    const std::optional<Fingerprint>* const print = inputs.print(number++);
    if (print && !*print && buffers_[input.spec.name].spec.is_packed())
      ranges.push_back({input.data, input.spec.bytes()});
  }
  return ranges.empty() ? nullptr : device_->upload_ahead(ranges);
}

// Rows, with poison between them; poison alone where nothing was uploaded.
void BufferSet::lay_out(const Spread& spread) {
  const TensorSpec& spec = spread.tensor.spec;
  const auto size = static_cast<std::int64_t>(size_of(spec.dtype));
  const std::int64_t row_bytes = spec.row_elements() * size;
  std::vector<std::byte> image(static_cast<std::size_t>(spec.span_bytes()),
                               static_cast<std::byte>(guard_byte_));
  for (std::int64_t at = 0; at < static_cast<std::int64_t>(spread.rows.size()); at += row_bytes)
    std::memcpy(image.data() + spec.row_offset(at / row_bytes) * size, spread.rows.data() + at,
                static_cast<std::size_t>(row_bytes));
  device_->upload(spread.tensor.data, image.data(), spec.span_bytes());
}

std::string BufferSet::changed_input(const Inputs& inputs) const {
  const Spending spending(Expense::comparison);
  constexpr std::int64_t kChunk = 64 << 20;
  std::vector<unsigned char> bytes;
  std::size_t number = 0;
  for (const TensorView& input : inputs.tensors) {
    const std::optional<Fingerprint>* const print = inputs.print(number++);
    if (input.spec.role != Role::in) continue;
    if (print && fingerprint(input.spec) == *print) continue;
    const TensorView& tensor = buffers_[input.spec.name];
    const auto* want = static_cast<const unsigned char*>(input.data);
    // A tensor whose rows lie apart is small, and comes whole.
    const std::int64_t chunk = tensor.spec.is_packed() ? kChunk : input.spec.bytes();
    for (std::int64_t at = 0; at < input.spec.bytes(); at += chunk) {
      const std::int64_t count = std::min(chunk, input.spec.bytes() - at);
      bytes.resize(static_cast<std::size_t>(count));
      if (tensor.spec.is_packed())
        device_->download(bytes.data(), static_cast<const unsigned char*>(tensor.data) + at, count);
      else
        download({input.spec, bytes.data()});
      if (same(bytes.data(), want + at, count)) continue;
      const auto differ = std::mismatch(bytes.begin(), bytes.end(), want + at);
      const std::int64_t byte = at + (differ.first - bytes.begin());
      return "input " + input.spec.name + " was changed, from element " +
             std::to_string(byte / static_cast<std::int64_t>(size_of(input.spec.dtype))) + " on";
    }
  }
  return "";
}

void BufferSet::copy_inputs_from(const BufferSet& other) {
  const Spending spending(Expense::memory);
  for (const TensorView& tensor : buffers_.tensors)
    if (readable(tensor.spec))
      device_->enqueue_copy(tensor.data, other.buffers_[tensor.spec.name].data,
                            tensor.spec.bytes());
  for (std::size_t i = 0; i < updated_.size(); ++i)
    device_->enqueue_copy(updated_[i].original, other.updated_[i].original, updated_[i].bytes);
}

void BufferSet::poison(unsigned char byte) {
  const Spending spending(Expense::memory);
  for (const TensorView& tensor : buffers_.tensors)
    if (tensor.spec.role == Role::out)
      device_->enqueue_fill(tensor.data, byte, tensor.spec.span_bytes());
  if (restore()) (*restore())(device_->stream());
  if (workspace_bytes_ > 0) device_->enqueue_fill(buffers_.workspace, byte, workspace_bytes_);
  for (const Guard& guard : guards_) device_->enqueue_fill(guard.begin, byte, guard.bytes);
  guard_byte_ = byte;
  for (const Spread& spread : spread_)
    if (readable(spread.tensor.spec)) lay_out(spread);
  if (!spread_.empty())  // with the new bytes between rows
    for (const Updated& tensor : updated_)
      device_->copy(tensor.original, tensor.data, tensor.bytes);
}

void BufferSet::download(const TensorView& host) const {
  const Spending spending(Expense::transfers);
  const TensorView& from = buffers_[host.spec.name];
  if (from.spec.is_packed()) return device_->download(host.data, from.data, host.spec.bytes());
  const auto size = static_cast<std::int64_t>(size_of(host.spec.dtype));
  const std::int64_t row_bytes = from.spec.row_elements() * size;
  std::vector<std::byte> image(static_cast<std::size_t>(from.spec.span_bytes()));
  device_->download(image.data(), from.data, from.spec.span_bytes());
  for (std::int64_t at = 0; at < host.spec.bytes(); at += row_bytes)
    std::memcpy(static_cast<std::byte*>(host.data) + at,
                image.data() + from.spec.row_offset(at / row_bytes) * size,
                static_cast<std::size_t>(row_bytes));
}

void BufferSet::copy(const TensorSpec& spec, void* to) const {
  const TensorView& from = buffers_[spec.name];
  if (from.spec.is_packed()) return device_->copy(to, from.data, spec.bytes());
  std::vector<std::byte> rows(static_cast<std::size_t>(spec.bytes()));
  download({spec, rows.data()});
  device_->upload(to, rows.data(), spec.bytes());
}

Fingerprint BufferSet::fingerprint(const TensorSpec& spec) const {
  const TensorView& tensor = buffers_[spec.name];
  if (tensor.spec.is_packed()) return device_->fingerprint(tensor.data, tensor.spec.bytes());
  std::vector<std::byte> rows(static_cast<std::size_t>(spec.bytes()));
  download({spec, rows.data()});
  return assay::fingerprint(rows.data(), spec.bytes());
}

void BufferSet::peek(const TensorView& host, std::int64_t bytes) const {
  device_->peek(host.data, buffers_[host.spec.name].data, bytes);
}

}  // namespace assay
