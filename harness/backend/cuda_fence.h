// Device memory between addresses to which nothing is mapped: a kernel that touches a byte beyond
// it faults, at full speed and whatever it does with the byte. By the virtual memory management of
// the driver API, which is asked for at run time: programs link the runtime alone.
#pragma once

#include <cuda.h>
#include <cuda_runtime.h>

#include <algorithm>
#include <cstdint>
#include <map>
#include <string>

#include "harness/core/error.h"

namespace assay {

class CudaFencedMemory {
 public:
  // Flush with what is not mapped at its end (at_end), else at its begin.
  void* allocate(int device, std::int64_t bytes, bool at_end) {
    load();
    CUmemAllocationProp where = {};
    where.type = CU_MEM_ALLOCATION_TYPE_PINNED;
    where.location = {CU_MEM_LOCATION_TYPE_DEVICE, {device}};
    std::size_t unit = 0;
    check(granularity_(&unit, &where, CU_MEM_ALLOC_GRANULARITY_MINIMUM), bytes);
    Block block;
    block.mapped =
        (static_cast<std::size_t>(std::max<std::int64_t>(bytes, 1)) + unit - 1) / unit * unit;
    block.reserved = block.mapped + 2 * unit;
    check(reserve_(&block.base, block.reserved, 0, 0, 0), bytes);
    block.begin = block.base + unit;
    CUmemAccessDesc access = {where.location, CU_MEM_ACCESS_FLAGS_PROT_READWRITE};
    CUresult status = create_(&block.handle, block.mapped, &where, 0);
    if (status == CUDA_SUCCESS) {
      status = map_(block.begin, block.mapped, 0, block.handle, 0);
      if (status == CUDA_SUCCESS) {
        status = allow_(block.begin, block.mapped, &access, 1);
        if (status != CUDA_SUCCESS) unmap_(block.begin, block.mapped);
      }
      if (status != CUDA_SUCCESS) destroy_(block.handle);
    }
    if (status != CUDA_SUCCESS) free_(block.base, block.reserved);
    check(status, bytes);
    const CUdeviceptr memory =
        at_end ? block.begin + block.mapped - static_cast<std::size_t>(bytes) : block.begin;
    blocks_[memory] = block;
    return reinterpret_cast<void*>(memory);  // NOLINT(performance-no-int-to-ptr): what it is
  }

  void release(void* memory) noexcept {
    const auto found = blocks_.find(reinterpret_cast<CUdeviceptr>(memory));
    if (found == blocks_.end()) return;
    const Block& block = found->second;
    unmap_(block.begin, block.mapped);
    destroy_(block.handle);
    free_(block.base, block.reserved);
    blocks_.erase(found);
  }

 private:
  struct Block {
    CUdeviceptr base = 0, begin = 0;
    std::size_t reserved = 0, mapped = 0;
    CUmemGenericAllocationHandle handle = 0;
  };

  static void check(CUresult status, std::int64_t bytes) {
    if (status != CUDA_SUCCESS) {
      throw EnvironmentError("allocating " + std::to_string(bytes) +
                             " bytes of device memory between fences: driver error " +
                             std::to_string(static_cast<int>(status)));
    }
  }

  template <class F>
  static void find(const char* name, F*& function) {
    cudaDriverEntryPointQueryResult found = {};
    void* address = nullptr;
    if (cudaGetDriverEntryPointByVersion(name, &address, 12000, cudaEnableDefault, &found) !=
            cudaSuccess ||
        address == nullptr) {
      throw EnvironmentError(std::string("the NVIDIA driver has no ") + name +
                             ", which memory between fences needs");
    }
    function = reinterpret_cast<F*>(address);
  }

  void load() {
    if (free_ != nullptr) return;
    find("cuMemGetAllocationGranularity", granularity_);
    find("cuMemAddressReserve", reserve_);
    find("cuMemCreate", create_);
    find("cuMemMap", map_);
    find("cuMemSetAccess", allow_);
    find("cuMemUnmap", unmap_);
    find("cuMemRelease", destroy_);
    find("cuMemAddressFree", free_);
  }

  decltype(cuMemGetAllocationGranularity)* granularity_ = nullptr;
  decltype(cuMemAddressReserve)* reserve_ = nullptr;
  decltype(cuMemCreate)* create_ = nullptr;
  decltype(cuMemMap)* map_ = nullptr;
  decltype(cuMemSetAccess)* allow_ = nullptr;
  decltype(cuMemUnmap)* unmap_ = nullptr;
  decltype(cuMemRelease)* destroy_ = nullptr;
  decltype(cuMemAddressFree)* free_ = nullptr;
  std::map<CUdeviceptr, Block> blocks_;
};

}  // namespace assay
