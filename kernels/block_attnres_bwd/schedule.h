// The backward schedule of block attention residuals: the forward pass, whose V stays; then, from
// the last block to the first, its phase 1 and its running sums once more (those of the last block
// are still there) and the gradients of both phases. What reaches the output of a layer reaches its
// input, so that the gradients of P and of the h that was added to it last are one: dH and dP of a
// phase 2 are the same memory. Buffers beside those of the forward pass:
//   dV (B+S, T, D)  gradients of V_0 … V_B. That of a block's own sum becomes that of its P_j, down
//     to that of O_0; those of O_1, O_2, … follow it, where gradients of later blocks were
//   P (S-1, T, D)  P_1, P_2, …; without Y P_1 is O_0
//   dLSE (S, T)  gradients of phase 1
//   dw_1, dg_1 (L, D)  by phase 1; dw_2, dg_2 (L, D)  by phase 2
#pragma once

#include "kernels/block_attnres_fwd/schedule.h"

namespace assay::block_attnres {

class BackwardSchedule : public Schedule {
 public:
  using Schedule::Schedule;

  void add_backward_intermediates() {
    add_intermediate("dV", (blocks() + largest_block()) * rows());
    if (largest_block() > 1) add_intermediate("P", (largest_block() - 1) * rows());
    add_scalars("dLSE", largest_block() * tokens());
    const std::int64_t weights = layer(first_layer(blocks() - 1) + layers_of(blocks() - 1));
    for (const char* gradient : {"dw_1", "dw_2"}) add_scalars(gradient, weights);
    if (!has_g()) return;
    for (const char* gradient : {"dg_1", "dg_2"}) add_scalars(gradient, weights);
  }

  // The gradient by V_0 … V_n-1 of phase 1, with queries from that layer on; the first overwrites
  // dV.
  void add_phase_1(Problem part, bool accumulate, std::vector<Binding> further) {
    const std::string& kind = part.dim("Q") < kMany ? kinds().usual : kinds().many_backward;
    const Op& op = *find_op("attnres_bwd");
    set_option(op, part, "accumulate", accumulate);
    for (const Binding& binding : further)
      if (binding.tensor == "dLSE") set_tensor(op, part, "dLSE", true);
    further.insert(further.end(), {{"V", "V"}, {"dV", "dV"}});
    add_step(std::move(part), std::move(further), kind);
  }

  void add_output() {
    add_phase_1(part("attnres_bwd", {{"N", blocks() + 1}}), false,
                {{"w", "w_out"}, {"g", "g_out"}, {"dO", "dO"}, {"dw", "dw_out"}, {"dg", "dg_out"}});
  }

  // As in the forward pass, but the running sums of the last block stay.
  void add_forward() {
    add_blocks(blocks() - 1);
    const std::int64_t b = blocks() - 1, last = layers_of(b) - 1;
    if (last == 0) return Schedule::add_block(b);
    add_sums(b);
    Schedule::add_phase_2(b, last, sum(last), nullptr, "H0");
    add_sum({"", "V", (b + 1) * rows()}, {sum(last), add_layer(first_layer(b) + last, {"", "H0"})});
  }

  void add_gradients(std::int64_t b) {
    const std::int64_t count = layers_of(b), weights = layer(first_layer(b));
    const std::int64_t own = (b + 1) * rows();  // of dV
    std::vector<Binding> phase_1 = {{"w", "w", weights},
                                    {"g", "g", weights},
                                    {"dw", "dw_1", weights},
                                    {"dg", "dg_1", weights},
                                    {"dO", "dV", own}};
    if (count > 1) {
      if (b + 1 < blocks()) add_sums(b);
      add_sum(DType::f32, 1, tokens(), {"", "dLSE"}, {});
      for (std::int64_t j = count - 1; j > 0; --j) add_phase_2(b, j, own);
      phase_1.push_back({"dLSE", "dLSE"});
    }
    add_phase_1(part("attnres_bwd", {{"N", b + 1}, {"Q", count}}), true, std::move(phase_1));
  }

  void add_results() {
    add_sum({"", "dX"}, {{"", "dV"}});
    add_weights("dw", "dw_1", "dw_2");
    if (has_g()) add_weights("dg", "dg_1", "dg_2");
  }

 private:
  // P_j of a block.
  Binding sum(std::int64_t j) const {
    return j == 1 && !has_y() ? Binding{"", "O_layers"} : Binding{"", "P", (j - 1) * rows()};
  }

  // Phase 1 and all P_j of a block once more. The last layer's output is in V already.
  void add_sums(std::int64_t b) {
    Schedule::add_phase_1(b, {"", "O_layers"});
    if (has_y()) add_layer(first_layer(b), {"", "O_layers"}, sum(1));
    for (std::int64_t j = 1; j + 1 < layers_of(b); ++j) {
      Schedule::add_phase_2(b, j, sum(j), nullptr, "H0");
      add_sum(sum(j + 1), {sum(j), add_layer(first_layer(b) + j, {"", "H0"})});
    }
  }

  // Of h_j, whose gradient is, as that of P_j, at `own` of dV.
  void add_phase_2(std::int64_t b, std::int64_t j, std::int64_t own) {
    const Op& op = *find_op("attnres_merge_bwd");
    Problem merge = part("attnres_merge_bwd", {});
    set_option(op, merge, "accumulate", true);
    const std::int64_t weights = layer(first_layer(b) + j);
    add_step(std::move(merge), {as("P", sum(j)),
                                {"w", "w", weights},
                                {"g", "g", weights},
                                {"O1", "O_layers", j * rows()},
                                {"L1", "LSE", j * tokens()},
                                {"dH", "dV", own},
                                {"dP", "dV", own},
                                {"dO1", "dV", own + j * rows()},
                                {"dL1", "dLSE", j * tokens()},
                                {"dw", "dw_2", weights},
                                {"dg", "dg_2", weights}});
  }

  // Of the first layer of a block phase 1 alone; of the others the sum of both phases.
  void add_weights(const char* to, const char* by_phase_1, const char* by_phase_2) {
    const std::int64_t dim = layer(1);
    for (std::int64_t b = 0; b < blocks(); ++b) {
      const std::int64_t first = layer(first_layer(b)), others = first + dim;
      add_sum(DType::f32, 1, dim, {"", to, first}, {{"", by_phase_1, first}});
      if (layers_of(b) > 1)
        add_sum(DType::f32, layers_of(b) - 1, dim, {"", to, others},
                {{"", by_phase_1, others}, {"", by_phase_2, others}});
    }
  }
};

inline StepList backward(const Problem& problem, const Kinds& kinds) {
  BackwardSchedule schedule(problem, kinds);
  schedule.add_intermediates();
  schedule.add_backward_intermediates();
  schedule.add_forward();
  schedule.add_output();
  for (std::int64_t b = schedule.blocks(); b-- > 0;) schedule.add_gradients(b);
  schedule.add_results();
  return schedule.take();
}

inline Variant backward_variant(Backend backend, const std::string& name, const Kinds& kinds) {
  Variant variant = forward_variant(backend, name, kinds);
  variant.op = "block_attnres_bwd";
  variant.steps = [kinds](const Problem& problem) { return backward(problem, kinds); };
  return variant;
}
inline Variant backward_variant(Backend backend, const std::string& kind) {
  return backward_variant(backend, kind, all(kind));
}

}  // namespace assay::block_attnres
