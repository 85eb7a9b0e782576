#include "harness/core/configuration.h"

#include "harness/core/error.h"
#include "harness/testing.h"

namespace assay {

TEST_CASE("a configuration reads back from its text") {
  const Configuration both = {{"elements", 16}, {"rows", 3}};
  CHECK(str(both) == "elements=16 rows=3");
  CHECK(parse_configuration("elements=16 rows=3") == both);
  CHECK(parse_configuration("").empty());
  CHECK(both["rows"] == 3);
  CHECK(!both["threads"]);
}

TEST_CASE("a configuration that is none says which word is wrong") {
  for (const char* text : {"rows", "rows=", "=3", "rows=3x", "rows=3,elements=2"})
    CHECK_THROWS_AS(parse_configuration(text), UsageError);
  CHECK_THROWS_WITH(parse_configuration("elements=16 rows=many"),
                    "configuration `elements=16 rows=many`: `rows=many` is no NAME=NUMBER");
  CHECK_THROWS_WITH(parse_configuration("rows=1 rows=2"),
                    "configuration `rows=1 rows=2` names `rows` twice");
}

}  // namespace assay
