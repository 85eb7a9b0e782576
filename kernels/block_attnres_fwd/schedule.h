// The schedule of block attention residuals as steps of a composite: which phase reads what, and
// where its results lie. Buffers beside the op's own, with B blocks:
//   V (B+1, T, D)  X and the sums of the blocks
//   O_layers (S, T, D), LSE (S, T)  phase 1 of a block
//   H0, H1 (T, D)  inputs of a layer, by turns; RowLSE (T)  what nobody reads
// P, the running sum, is O_0 and is updated there; where layers add something (Y):
//   Sum (T, D)  P; F (T, D)  output of a layer
#pragma once

#include <algorithm>
#include <cstdint>
#include <initializer_list>
#include <string>
#include <utility>
#include <vector>

#include "harness/core/registry.h"
#include "harness/core/variant.h"

namespace assay::block_attnres {

// That part of a buffer as a tensor of a step.
inline Binding as(std::string tensor, Binding part) {
  part.tensor = std::move(tensor);
  return part;
}

// Which variants the steps are; sums have one.
struct Kinds {
  std::string usual;
  // Of phase 1 with at least kMany queries; the same where there are at most kFew sources; and of
  // its gradients.
  std::string many, many_on_few, many_backward;
  int arch = 80;  // compute capability times ten that they need
};
inline constexpr std::int64_t kMany = 4;
inline constexpr std::int64_t kFew = 4;  // what attnres_fwd/queries can do

inline Kinds all(const std::string& kind) {
  return {.usual = kind, .many = kind, .many_on_few = kind, .many_backward = kind};
}

class Schedule {
 public:
  Schedule(const Problem& problem, Kinds kinds)
      : problem_(problem),
        kinds_(std::move(kinds)),
        layers_(problem.dim("L")),
        most_(problem.dim("S")),
        tokens_(problem.dim("T")),
        dim_(problem.dim("D")) {}

  std::int64_t blocks() const { return (layers_ + most_ - 1) / most_; }
  std::int64_t first_layer(std::int64_t block) const { return block * most_; }
  std::int64_t layers_of(std::int64_t block) const {
    return std::min(most_, layers_ - first_layer(block));
  }
  std::int64_t largest_block() const { return std::min(most_, layers_); }
  std::int64_t tokens() const { return tokens_; }
  std::int64_t rows() const { return tokens_ * dim_; }  // elements of a (T, D)
  std::int64_t layer(std::int64_t l) const { return l * dim_; }
  bool has_g() const { return problem_.has("g"); }
  bool has_y() const { return problem_.has("Y"); }

  void add_intermediate(const char* name, std::int64_t elements) {
    list_.intermediates.push_back({name, problem_.dtype, elements});
  }
  void add_scalars(const char* name, std::int64_t elements) {
    list_.intermediates.push_back({name, DType::f32, elements});
  }

  // Of that op at (T, D), and what else is said.
  Problem part(const char* name,
               std::initializer_list<std::pair<const char*, std::int64_t>> dims) const {
    const Op& op = *find_op(name);
    Problem part = default_problem(op, problem_.dtype);
    set_dim(part, "T", tokens_);
    set_dim(part, "D", dim_);
    for (const auto& [dim, size] : dims) set_dim(part, dim, size);
    set_tensor(op, part, "g", has_g());
    set_option(op, part, "eps", problem_.real("eps"));
    return part;
  }

  // What is a tensor of the whole has the dtype that it has there.
  void add_step(Problem part, std::vector<Binding> tensors, const std::string& kind) {
    const auto& own = problem_.tensors;
    for (const Binding& binding : tensors) {
      const auto found = std::find_if(own.begin(), own.end(), [&](const Problem::TensorType& type) {
        return type.name == binding.buffer;
      });
      if (found != own.end() && part.has(binding.tensor))
        set_tensor(op_of(part), part, binding.tensor, true, found->dtype);
    }
    list_.steps.push_back({std::move(part), kind, std::move(tensors)});
  }
  void add_step(Problem part, std::vector<Binding> tensors) {
    add_step(std::move(part), std::move(tensors), kinds_.usual);
  }

  // to = p + u; a copy without u, zeros without both. (rows, length) of `dtype`.
  void add_sum(DType dtype, std::int64_t rows, std::int64_t length, Binding to,
               const std::vector<Binding>& of) {
    const Op& op = *find_op("residual_add");
    Problem part = default_problem(op, dtype);
    set_dim(part, "T", rows);
    set_dim(part, "D", length);
    std::vector<Binding> tensors = {as("R", std::move(to))};
    for (const Binding& summand : of) {
      tensors.push_back(as(tensors.size() == 1 ? "P" : "U", summand));
      set_tensor(op, part, tensors.back().tensor, true);
    }
    add_step(std::move(part), std::move(tensors), "naive");
  }
  // The same of a (T, D).
  void add_sum(Binding to, const std::vector<Binding>& of) {
    add_sum(problem_.dtype, tokens_, dim_, std::move(to), of);
  }

  // Phase 1 of a block: all its layers on V_0 … V_b.
  void add_phase_1(std::int64_t b, Binding o) {
    add_step(part("attnres_fwd", {{"N", b + 1}, {"Q", layers_of(b)}}),
             {{"V", "V"},
              {"w", "w", layer(first_layer(b))},
              {"g", "g", layer(first_layer(b))},
              as("O", std::move(o)),
              {"LSE", "LSE"}},
             layers_of(b) < kMany ? kinds_.usual
             : b + 1 <= kFew      ? kinds_.many_on_few
                                  : kinds_.many);
  }

  // Phase 2 of its j-th layer: H of the running sum `p`, which is first updated by `u` if there is
  // one.
  void add_phase_2(std::int64_t b, std::int64_t j, Binding p, const char* u, const char* h) {
    Problem merge = part("attnres_merge_fwd", {});
    std::vector<Binding> tensors = {as("P", std::move(p)),
                                    {"w", "w", layer(first_layer(b) + j)},
                                    {"g", "g", layer(first_layer(b) + j)},
                                    {"O1", "O_layers", j * rows()},
                                    {"L1", "LSE", j * tokens_},
                                    {"H", h},
                                    {"LSE", "RowLSE"}};
    if (u != nullptr) {
      set_tensor(*find_op("attnres_merge_fwd"), merge, "U", true);
      tensors.push_back({"U", u});
    }
    add_step(std::move(merge), std::move(tensors));
  }

  // The output of layer `l`, whose input is `h`: that itself, or with Y in F.
  Binding add_layer(std::int64_t l, Binding h) {
    if (!has_y()) return h;
    return add_layer(l, std::move(h), {"", "F"});
  }
  Binding add_layer(std::int64_t l, Binding h, const Binding& to) {
    add_sum(to, {std::move(h), {"", "Y", l * rows()}});
    return to;
  }

  // V_b+1. The first layer's output is the running sum itself; later ones are added to it as the
  // next layer reads it.
  void add_block(std::int64_t b) {
    const Binding own = {"", "V", (b + 1) * rows()}, first = {"", "O_layers"};
    const std::int64_t l = first_layer(b);
    if (layers_of(b) == 1) {
      add_phase_1(b, has_y() ? first : own);
      if (has_y()) add_layer(l, first, own);
      return;
    }
    add_phase_1(b, first);
    const Binding sum = has_y() ? add_layer(l, first, {"", "Sum"}) : first;
    const char* output = nullptr;
    for (std::int64_t j = 1; j < layers_of(b); ++j) {
      const char* const h = j % 2 == 0 ? "H0" : "H1";
      add_phase_2(b, j, sum, output, h);
      output = has_y() ? "F" : h;
      add_layer(l + j, {"", h});
    }
    add_sum(own, {sum, {"", output}});
  }

  // V_0 … V_count: X and the sums of the first `count` blocks.
  void add_blocks(std::int64_t count) {
    add_sum({"", "V"}, {{"", "X"}});
    for (std::int64_t b = 0; b < count; ++b) add_block(b);
  }

  // What that needs.
  void add_intermediates() {
    add_intermediate("V", (blocks() + 1) * rows());
    add_intermediate("O_layers", largest_block() * rows());
    add_intermediate("H0", rows());
    add_intermediate("H1", rows());
    if (has_y())
      for (const char* name : {"Sum", "F"}) add_intermediate(name, rows());
    add_scalars("LSE", largest_block() * tokens_);
    add_scalars("RowLSE", tokens_);
  }

  StepList take() { return std::move(list_); }

 protected:
  const Kinds& kinds() const { return kinds_; }

 private:
  const Problem& problem_;
  Kinds kinds_;
  std::int64_t layers_, most_, tokens_, dim_;
  StepList list_;
};

inline StepList forward(const Problem& problem, const Kinds& kinds) {
  Schedule schedule(problem, kinds);
  schedule.add_intermediates();
  schedule.add_blocks(schedule.blocks());
  schedule.add_step(schedule.part("attnres_fwd", {{"N", schedule.blocks() + 1}}),
                    {{"V", "V"}, {"w", "w_out"}, {"g", "g_out"}, {"O", "O"}, {"LSE", "RowLSE"}});
  return schedule.take();
}

inline Variant forward_variant(Backend backend, const std::string& name, const Kinds& kinds) {
  Variant variant;
  variant.op = "block_attnres_fwd";
  variant.name = name;
  variant.summary = kinds.many == kinds.usual
                        ? "every phase by its " + kinds.usual + " variant"
                        : "phase 1 of " + std::to_string(kMany) + " layers or more by " +
                              kinds.many + ", on up to " + std::to_string(kFew) + " sources by " +
                              kinds.many_on_few + "; the rest " + kinds.usual;
  variant.backend = backend;
  if (backend != Backend::cpu) variant.arch = {.min = kinds.arch};
  variant.steps = [kinds](const Problem& problem) { return forward(problem, kinds); };
  return variant;
}
inline Variant forward_variant(Backend backend, const std::string& kind) {
  return forward_variant(backend, kind, all(kind));
}

// Phase 1 on tensor cores, but where what it writes dominates.
inline Kinds tensor_core_kinds() {
  return {.usual = "fused",
          .many = "tensor_core_bulk",
          .many_on_few = "queries",
          .many_backward = "tensor_core",
          .arch = 90};
}

}  // namespace assay::block_attnres
