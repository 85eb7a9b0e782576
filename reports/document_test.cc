#include "reports/document.h"

#include <fstream>

#include "harness/core/error.h"
#include "harness/testing_program.h"
#include "reports/jsonl.h"

namespace assay {
namespace {

Record record(const std::string& problem, const std::string& variant) {
  Record made;
  made.op = "attnres_fwd";
  made.problem = problem;
  made.variant = variant;
  made.backend = "cuda";
  made.device = "Device | 1";
  made.status = Status::passed;
  made.measurements = {{.cache = "cold", .median = 2e-4, .bytes_read = 3e8, .limit = 3e12}};
  return made;
}

// A folder with records of two problems and two variants in x.jsonl; documents lie beside it.
class Records {
 public:
  Records() {
    std::ofstream file(folder_ / "x.jsonl");
    for (const char* problem : {"attnres_fwd N=9 T=1", "attnres_fwd N=90 T=1"})
      for (const char* variant : {"fused", "naive"})
        file << to_json(record(problem, variant)) << "\n";
  }
  Document fill(const std::string& text, const std::vector<std::string>& files = {}) const {
    return fill_tables(text, (folder_ / "doc.md").string(), files);
  }
  std::string error(const std::string& text) const {
    try {
      fill(text);
    } catch (const UsageError& wrong) {
      return wrong.what();
    }
    return "none";
  }
  std::string file() const { return (folder_ / "x.jsonl").string(); }

 private:
  Folder folder_;
};

constexpr const char* kMarker =
    "<!-- assay:table cases results=x.jsonl problem=\"*N=9 *\" columns=variant,median_s -->\n";
constexpr const char* kTable =
    "\n| variant | median |\n| --- | ---: |\n| fused@cuda | 200 µs |\n| naive@cuda | 200 µs |\n\n";

}  // namespace

TEST_CASE("the text between the markers becomes the table, and filling twice changes nothing") {
  const Records records;
  const std::string begin = std::string("# Title\n\n") + kMarker;
  const std::string end = "<!-- assay:end -->\nmore, without a last line break";
  const Document first = records.fill(begin + "old\nlines\n" + end);
  CHECK(first.text == begin + kTable + end);
  CHECK(first.stale == std::vector<int>{3});
  CHECK(first.tables == 1);
  const Document second = records.fill(first.text);
  CHECK(second.text == first.text);
  CHECK(second.stale.empty());
}

TEST_CASE("a document with carriage returns keeps them in its tables") {
  const Records records;
  const auto crlf = [](const std::string& text) {
    std::string made;
    for (const char c : text) made += c == '\n' ? "\r\n" : std::string(1, c);
    return made;
  };
  const std::string end = "<!-- assay:end -->\n";
  const Document filled = records.fill(crlf(kMarker + end));
  CHECK(filled.text == crlf(std::string(kMarker) + kTable + end));
  CHECK(records.fill(filled.text).stale.empty());
}

TEST_CASE("markers in code blocks are left alone") {
  const Records records;
  const std::string text = std::string("```md\n") + kMarker + "```\n\n    " + kMarker +
                           "\n~~~~\n<!-- assay:nonsense -->\n~~~\n<!-- assay:end -->\n~~~~\n";
  const Document filled = records.fill(text);
  CHECK(filled.text == text);
  CHECK(filled.tables == 0);
}

TEST_CASE("tables by name: variants, summary, records of the command line") {
  const Records records;
  CHECK(contains(
      records.fill("<!-- assay:table variants results=x.jsonl -->\n<!-- assay:end -->\n").text,
      "| attnres_fwd/fused@cuda | 2 | 2 | 2 | 50 % |\n"));
  CHECK(contains(records
                     .fill("<!-- assay:table summary variant=naive -->\n<!-- assay:end -->\n",
                           {records.file()})
                     .text,
                 "\n2 cases: 2 passed, 0 failed, 0 unsupported\n"));
}

TEST_CASE("what is wrong in a document is said with its line") {
  const Records records;
  const std::string end = "\n<!-- assay:end -->\n";
  const auto says = [&](const std::string& text, const std::string& what) {
    INFO(text);
    const std::string error = records.error(text);
    INFO(error);
    CHECK(contains(error, what));
  };
  says("a\n\n<!-- assay:table casess results=x.jsonl -->" + end,
       "doc.md:3: unknown table `casess`, did you mean `cases`?");
  says(std::string("a\n") + kMarker + "b\n", "doc.md:2: this table has no <!-- assay:end -->");
  says(std::string(kMarker) + kMarker + end,
       "doc.md:2: the table of line 1 has no <!-- assay:end -->");
  says(std::string(kMarker) + "b\n<!-- assay:nd -->\n",
       "doc.md:3: the table of line 1 has no <!-- assay:end -->");
  says("a" + end, "doc.md:2: this end has no <!-- assay:table");
  says("<!-- assay:tabel cases -->" + end, "doc.md:1: unknown marker `assay:tabel`");
  says("<!-- assay:table cases results=x.jsonl columns=medan_s -->" + end,
       "unknown column `medan_s`, did you mean `median_s`?");
  says("<!-- assay:table cases results=x.jsonl problm=a -->" + end,
       "unknown key `problm`, did you mean `problem`?");
  says("<!-- assay:table cases results=x.jsonl problem=\"a -->" + end, "not closed");
  says("<!-- assay:table cases results=x.jsonl variant=nobody -->" + end, "no case is left");
  says("<!-- assay:table cases results=y.jsonl -->" + end, "doc.md:1: cannot read ");
  says("<!-- assay:table cases -->" + end, "which records?");
  says("<!-- assay:table results=x.jsonl -->" + end, "a table has a name");
  says("<!-- assay:table cases results=x.jsonl" + end, "the marker must end with -->");
  says("<!-- assay:table environment results=x.jsonl -->" + end, "the environment of these");
  says("<!-- assay:table variants columns=op results=x.jsonl -->" + end, "`cases` alone");
}

TEST_CASE("the program fills documents, checks them, and touches none when one is wrong") {
  const Folder folder;
  std::ofstream(folder / "x.jsonl") << to_json(record("attnres_fwd N=9 T=1", "fused")) << "\n";
  const std::string good = (folder / "good.md").string();
  const std::string bad = (folder / "bad.md").string();
  const std::string text = "<!-- assay:table cases results=x.jsonl -->\n<!-- assay:end -->\n";
  std::ofstream(good) << text;
  std::ofstream(bad) << "<!-- assay:table cases results=x.jsonl -->\n";
  const auto read = [](const std::string& path) {
    std::ifstream file(path);
    return std::string(std::istreambuf_iterator<char>(file), {});
  };

  const Outcome stale = assay("report --into " + good + " --check");
  CHECK(stale.code == 1);
  CHECK(contains(stale.text, "good.md:1: the table is not up to date"));
  const Outcome wrong = assay("report --into " + good + " --into " + bad);
  CHECK(wrong.code == 2);
  CHECK(contains(wrong.text, "bad.md:1: this table has no <!-- assay:end -->"));
  CHECK(read(good) == text);
  CHECK(assay("report --into " + good).code == 0);
  CHECK(contains(read(good), "| attnres_fwd N=9 T=1 | fused@cuda | passed |"));
  CHECK(assay("report --into " + good + " --check").code == 0);
  CHECK(assay("report --into " + good + " --format html").code == 2);
  CHECK(assay("report --check x.jsonl").code == 2);
  std::ofstream(bad) << "no marker\n";
  CHECK(contains(assay("report --into " + bad).text, "has no line <!-- assay:table"));
}

}  // namespace assay
