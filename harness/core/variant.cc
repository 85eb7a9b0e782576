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

std::string Variant::bare_name() const { return name + "@" + std::string(assay::name(backend)); }

std::string Variant::id() const { return op + "/" + bare_name(); }

}  // namespace assay
