// Addresses out of bounds, misaligned, or never written.
#include "kernels/simt/broken/broken.h"

namespace assay::simt::broken {

ASSAY_DEVICE void copy4(float* to, const float* from) {
  float x[4];
  load_elements(from, x);
  store_elements(to, x);
}

ASSAY_BROKEN(read_after_input, "", "out_of_bounds", "out_of_bounds") {
  copy4(out + 4 * thread_index(), in + 4 * (thread_index() + 1));
}
ASSAY_BROKEN(read_before_input, "", "out_of_bounds", "out_of_bounds") {
  copy4(out + 4 * thread_index(), in + 4 * (thread_index() - 1));
}
ASSAY_BROKEN(write_after_output, "guard", "out_of_bounds", "out_of_bounds") {
  copy4(out + 4 * (thread_index() + 1), in + 4 * thread_index());
}
ASSAY_BROKEN(write_before_output, "guard", "out_of_bounds", "out_of_bounds") {
  copy4(out + 4 * (thread_index() - 1), in + 4 * thread_index());
}
ASSAY_BROKEN(write_to_input, "", "write_to_input", "") {
  const_cast<float*>(in)[thread_index()] = 1;
}
ASSAY_BROKEN(read_after_shared, "", "out_of_bounds", "out_of_bounds") {
  ASSAY_SHARED(values, [kThreads], Vector);
  copy4(reinterpret_cast<float*>(&values[thread_index()]), in + 4 * thread_index());
  sync_threads();
  copy4(out + 4 * thread_index(), reinterpret_cast<const float*>(&values[thread_index() + 1]));
}
ASSAY_BROKEN(write_before_shared, "out_of_bounds", "out_of_bounds", "out_of_bounds") {
  ASSAY_SHARED(values, [kThreads], Vector);
  copy4(reinterpret_cast<float*>(&values[thread_index() - 1]), in + 4 * thread_index());
}
ASSAY_BROKEN(write_after_shared, "out_of_bounds", "out_of_bounds", "out_of_bounds") {
  ASSAY_SHARED(values, [kThreads], Vector);
  copy4(reinterpret_cast<float*>(&values[thread_index() + 1]), in + 4 * thread_index());
}
ASSAY_BROKEN(write_after_dynamic_shared, "out_of_bounds", "out_of_bounds", "out_of_bounds") {
  copy4(dyn_shared<float>(4096 - 16 * (kThreads - 1)) + 4 * thread_index(),
        in + 4 * thread_index());
}
ASSAY_BROKEN(copy_beyond_input, "out_of_bounds", "out_of_bounds", "out_of_bounds") {
  copy_async16(dyn_shared<Vector>() + thread_index(), in + 4 * (thread_index() + 1), true);
  commit_async();
  wait_async<0>();
}
ASSAY_BROKEN(uninitialised_shared, "", "uninitialised", "") {
  ASSAY_SHARED(values, [kThreads], float);
  if (thread_index() != 5) values[thread_index()] = in[thread_index()];
  sync_threads();
  out[thread_index()] = values[thread_index() ^ 1];
}
ASSAY_BROKEN(output_read_before_it_is_written, "", "uninitialised", "") {
  out[thread_index()] += in[thread_index()];
}
ASSAY_BROKEN(misaligned_vector, "misaligned", "misaligned", "misaligned") {
  copy4(out + 4 * thread_index(), in + (thread_index() < 100 ? 4 * thread_index() : 1));
}
ASSAY_BROKEN(misaligned_copy, "misaligned", "misaligned", "misaligned") {
  copy_async16(dyn_shared<float>() + 4 * thread_index() + 1, in + 4 * thread_index(), true);
  commit_async();
  wait_async<0>();
}

}  // namespace assay::simt::broken
