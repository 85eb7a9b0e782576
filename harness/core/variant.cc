#include "harness/core/variant.h"

namespace assay {

std::string_view name(Backend backend) {
  switch (backend) {
    case Backend::simt:
      return "simt";
    case Backend::cuda:
      return "cuda";
    case Backend::cpu:
      break;
  }
  return "cpu";
}

std::optional<Backend> parse_backend(std::string_view text) {
  for (const Backend backend : {Backend::cpu, Backend::simt, Backend::cuda})
    if (name(backend) == text) return backend;
  return std::nullopt;
}

std::string_view name(Repeatability repeatability) {
  switch (repeatability) {
    case Repeatability::bitwise:
      return "bitwise";
    case Repeatability::batch_invariant:
      return "batch_invariant";
    case Repeatability::order_dependent:
      break;
  }
  return "order_dependent";
}

std::string Variant::bare_name() const { return name + "@" + std::string(assay::name(backend)); }

std::string Variant::id() const { return op + "/" + bare_name(); }

}  // namespace assay
