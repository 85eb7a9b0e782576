#include "harness/core/numerics.h"

#include "harness/core/error.h"
#include "harness/testing.h"

namespace assay {

TEST_CASE("declared arithmetic is read from key=value") {
  const Numerics defaults{.summation_height = 32};
  CHECK(parse_numerics("", defaults) == defaults);
  CHECK(parse_numerics("weights=bf16", defaults) ==
        Numerics{.summation_height = 32, .weights = DType::bf16});
  CHECK(str(parse_numerics("accumulate=f32,height=65600,rescales=2,probabilities=f16,partials=bf16,"
                           "truncates_mix=1",
                           defaults)) ==
        "f32 accumulation, height 65600, 2 rescales, f16 probabilities, bf16 partials, truncating "
        "mix");
}

TEST_CASE("a mistake in declared arithmetic says what would be right") {
  const auto says = [](const char* text) {
    try {
      parse_numerics(text, {});
    } catch (const UsageError& error) {
      return std::string(error.what());
    }
    return std::string();
  };
  CHECK(says("heigth=3") == "numerics: unknown key `heigth`, did you mean `height`?");
  CHECK(says("height") == "numerics: `height` is no key=value");
  CHECK(says("height=0") == "numerics: height=0: want a number of at least 1");
  CHECK(says("height=nan") == "numerics: height=nan: want a number of at least 1");
  CHECK(says("weights=bf61") ==
        "numerics: weights=bf61: unknown dtype `bf61`, did you mean `bf16`?");
  CHECK(says("truncates_mix=yes") == "numerics: truncates_mix=yes: want 0 or 1");
}

}  // namespace assay
