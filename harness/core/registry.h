// What has registered itself before main: ops, variants. Link order is arbitrary, so every list is
// sorted by name.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "harness/core/op.h"
#include "harness/core/variant.h"

namespace assay {

struct RegisterOp {
  RegisterOp(Op op);  // NOLINT(google-explicit-constructor): ASSAY_OP relies on it
};

const std::vector<const Op*>& ops();
const std::vector<const Variant*>& variants();

const Op* find_op(std::string_view name);  // null: none
const Op& op_of(const Problem& problem);   // throws std::out_of_range

// Null: none of that op and name on that backend.
const Variant* find_variant(std::string_view op, std::string_view name, Backend backend);

// '*' any run of characters, '?' any one.
bool glob_match(std::string_view pattern, std::string_view text);

// Variants whose id, bare name ("fused@cuda") or name ("fused") matches.
bool matches(const Variant& variant, std::string_view glob);

// "fused[rows=3]", with the configuration that is asked of it, if any.
std::string configured_name(const Variant& variant, const Problem& problem);

}  // namespace assay

// ASSAY_OP(attnres_fwd) { .name = "attnres_fwd", ... };
#define ASSAY_OP(identifier) static const ::assay::RegisterOp assay_op_##identifier = ::assay::Op
