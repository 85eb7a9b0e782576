#include "harness/core/file.h"

#include <filesystem>

#include "harness/core/error.h"
#include "harness/testing_program.h"

namespace assay {

TEST_CASE("a file that is replaced keeps its link and its permissions, and leaves nothing beside") {
  namespace fs = std::filesystem;
  const Folder folder;
  const fs::path file = folder / "report.html";
  const fs::path link = folder / "link.html";
  replace_file(file.string(), "first\r\n");
  CHECK(read_file(file.string()) == "first\r\n");
  fs::permissions(file, fs::perms::owner_read | fs::perms::owner_write);
  fs::create_symlink("report.html", link);
  replace_file(link.string(), "second");
  CHECK(fs::is_symlink(link));
  CHECK(read_file(file.string()) == "second");
  CHECK(fs::status(file).permissions() == (fs::perms::owner_read | fs::perms::owner_write));
  CHECK(std::distance(fs::directory_iterator(file.parent_path()), fs::directory_iterator()) == 2);
}

TEST_CASE("folders of a new file are made, and what can't be written is a usage error") {
  const Folder folder;
  replace_file((folder / "new/deep/x.md").string(), "x");
  CHECK(read_file((folder / "new/deep/x.md").string()) == "x");
  CHECK_THROWS_AS(replace_file("/proc/none/x.html", "x"), UsageError);
  CHECK_THROWS_AS(replace_file(folder.operator/("new").string(), "x"), UsageError);  // a folder
  CHECK_THROWS_AS(read_file("/nonexistent"), UsageError);
  CHECK_THROWS_AS(read_file((folder / "new").string()), UsageError);
}

}  // namespace assay
