// Comparison and baselines as a user meets them: exit codes, refusals, files, re-runs.
#include <sys/stat.h>

#include <cstdlib>
#include <fstream>
#include <sstream>

#include "harness/compare/testing_records.h"
#include "harness/testing.h"
#include "harness/testing_program.h"
#include "reports/jsonl.h"
#include "reports/samples.h"

namespace assay {
namespace {

std::string read(const std::filesystem::path& path) {
  std::ostringstream text;
  text << std::ifstream(path).rdbuf();
  return text.str();
}

std::string write(const std::filesystem::path& path, const Results& results) {
  JsonlWriter writer(path.string());
  for (const Environment& environment : results.environments) writer.write(environment);
  for (const Record& record : results.records) writer.write(record);
  return path.string();
}

Results slowed(Results results, std::size_t which, double factor) {
  scale(results.records[which], factor);
  return results;
}

// A real run of one case on this machine, its times multiplied.
std::string real_run(const Folder& folder, const char* name, double factor) {
  const std::string path = (folder / "real.jsonl").string();
  if (!std::filesystem::exists(path))
    REQUIRE(assay("run 'attnres_fwd dtype=bf16 N=9 T=64 D=512' --variant fused@cpu --samples 50 "
                  "--quiet --out " +
                  path)
                .code == 0);
  Results results = read_results({path});
  SampleReader reader;
  for (Measurement& measurement : results.records[0].measurements)
    measurement.taken = reader.read(measurement);
  return write(folder / name, slowed(results, 0, factor));
}

}  // namespace

TEST_CASE("the gate closes on a regression and on nothing else") {
  const Folder folder;
  const std::string base = write(folder / "base.jsonl", simulated_run("old", 10, 1));
  const std::string same = write(folder / "same.jsonl", simulated_run("new", 10, 2));
  const std::string slow =
      write(folder / "slow.jsonl", slowed(simulated_run("new", 10, 2), 3, 1.08));
  const std::string fast =
      write(folder / "fast.jsonl", slowed(simulated_run("new", 10, 2), 3, 0.9));
  CHECK(assay("compare --gate " + base + " " + same).code == 0);
  CHECK(assay("compare --gate " + base + " " + fast).code == 0);
  const Outcome found = assay("compare --gate " + base + " " + slow);
  INFO(found.text);
  CHECK(found.code == 1);
  CHECK(contains(found.text, "slower  cold: "));
  CHECK(contains(found.text, "--variant fused@cuda --seed 1"));
  CHECK(contains(found.text, "9 same, 0 faster, 1 slower"));
  CHECK(assay("compare " + base + " " + slow).code == 0);

  std::ofstream(folder / "lax.toml") << "# slow is fine\n[time]\neffect = 0.2\n";
  CHECK(assay("compare --gate --thresholds " + (folder / "lax.toml").string() + " " + base + " " +
              slow)
            .code == 0);

  Results wrong = simulated_run("new", 10, 2);
  wrong.records[0].checks[0].utilisation = 0.9;
  CHECK(assay("compare --gate " + base + " " + write(folder / "wrong.jsonl", wrong)).code == 1);
}

TEST_CASE("a comparison goes to files of several formats at once, and to annotations on GitHub") {
  const Folder folder;
  const std::string base = write(folder / "base.jsonl", simulated_run("old", 5, 1));
  const std::string slow =
      write(folder / "slow.jsonl", slowed(simulated_run("new", 5, 2), 3, 1.08));
  const std::string both = base + " " + slow + " --out " + (folder / "s.md").string() + " --out " +
                           (folder / "s.xml").string();
  CHECK_FALSE(contains(assay("compare " + both).text, "::error"));
  CHECK(contains(read(folder / "s.md"), "## Assay: 1 regression"));
  CHECK(contains(read(folder / "s.xml"), "<failure type=\"slower\""));
  setenv("GITHUB_ACTIONS", "true", 1);
  const Outcome outcome = assay("compare " + both);
  unsetenv("GITHUB_ACTIONS");
  CHECK(contains(outcome.text, "::error title=fused@cuda is slower::"));
  CHECK(contains(assay("compare --format github " + both).text, "::error title="));
  CHECK(assay("compare --format junit " + both).text.starts_with("<?xml"));
}

TEST_CASE("files that can't be compared are refused with what would be right") {
  const Folder folder;
  const std::string base = write(folder / "base.jsonl", simulated_run("old", 2, 1));
  Results elsewhere = simulated_run("new", 2, 1);
  for (Record& record : elsewhere.records) record.device = "NVIDIA H200";
  const std::string other = write(folder / "other.jsonl", elsewhere);
  std::string old_schema = read(base);
  for (std::size_t at = 0; (at = old_schema.find("\"schema\":", at)) != std::string::npos; ++at)
    old_schema.replace(at, 10, "\"schema\":0");
  std::ofstream(folder / "ancient.jsonl") << old_schema;
  std::ofstream(folder / "empty.jsonl") << "";
  std::ofstream(folder / "bad.toml") << "[time]\nefect = 1\n";
  const auto check = [&](const std::string& arguments, const std::string& says) {
    const Outcome outcome = assay("compare " + arguments);
    INFO(arguments);
    INFO(outcome.text);
    CHECK(outcome.code == 2);
    CHECK(contains(outcome.text, says));
  };
  check(base, "two files are wanted");
  check(base + " " + base + " " + base, "two files are wanted");
  check("--baseline " + base + " " + base, "--baseline wants one file");
  check(base + " /nonexistent.jsonl", "cannot read /nonexistent.jsonl");
  check(base + " " + (folder / "empty.jsonl").string(), "there is no record of a case");
  check((folder / "ancient.jsonl").string() + " " + base, "its schema is 0, this program reads 1");
  check(base + " " + other, "made on different machines: NVIDIA H100; and NVIDIA H200");
  check("--format html " + base + " " + base, "unknown format `html`");
  check("--out x.pdf " + base + " " + base, "x.pdf: of files, .md");
  check("--out /proc/none/x.md " + base + " " + base, "cannot write /proc/none/x.md");
  check("--rerun /nonexistent " + base + " " + base, "--rerun /nonexistent: no such program");
  check("--thresholds " + (folder / "bad.toml").string() + " " + base + " " + base,
        "bad.toml:2: unknown key `efect`, did you mean `effect`?");
  CHECK(assay("compare --across-devices " + base + " " + other).code == 0);
}

TEST_CASE("a suspect is run again by the program before it is accused") {
  const Folder folder;
  const std::string real = real_run(folder, "one.jsonl", 1);
  // A program whose times are always those of the first run: whether two runs of this one take
  // equally long is the machine's affair.
  const std::string steady = (folder / "steady").string();
  std::ofstream(steady) << "#!/bin/sh\n"
                           "while [ $# -gt 1 ]; do [ \"$1\" = --out ] && out=$2; shift; done\n"
                           "cp '"
                        << (folder / "real.jsonl").string() << "' \"$out\"\ncp '"
                        << (folder / "real.samples").string() << "' \"${out%.jsonl}.samples\"\n";
  std::filesystem::permissions(steady, std::filesystem::perms::owner_all);
  // An accident of the new run: re-runs clear it.
  const Outcome cleared = assay("compare --gate --rerun " + steady + " " + real + " " +
                                real_run(folder, "slow.jsonl", 100));
  INFO(cleared.text);
  CHECK(cleared.code == 0);
  CHECK(contains(cleared.text, "running again: fused@cpu attnres_fwd dtype=bf16 N=9"));
  CHECK(contains(cleared.text, "its re-runs are not"));
  // The old code was faster: re-runs confirm.
  const std::string fast = real_run(folder, "fast.jsonl", 0.1);
  const Outcome confirmed = assay("compare --gate --rerun " + steady + " " + fast + " " + real);
  INFO(confirmed.text);
  CHECK(confirmed.code == 1);
  CHECK(contains(confirmed.text, "confirmed by re-runs"));
  // With the old program at hand, that is run, too, and as fast as ever.
  const Outcome both = assay("compare --gate --rerun " + steady + " --rerun-base " + steady + " " +
                             fast + " " + real);
  INFO(both.text);
  CHECK(both.code == 0);
  // This program can do it, too.
  const Outcome self =
      assay("compare --gate --rerun self " + fast + " " + real_run(folder, "slow.jsonl", 100));
  INFO(self.text);
  CHECK(contains(self.text, "running again: fused@cpu attnres_fwd dtype=bf16 N=9"));
  CHECK_FALSE(contains(self.text, "not re-run"));
  // A program that can't run it accuses by what is there, and says so.
  const Outcome without = assay("compare --gate --rerun /bin/false " + fast + " " + real);
  CHECK(without.code == 1);
  CHECK(contains(without.text, "not re-run: /bin/false ended with exit code 1"));
}

TEST_CASE("a baseline is made, compared with, and replaced on purpose alone") {
  const Folder folder;
  const std::string where = " --baselines " + (folder / "baselines").string();
  const std::string first = write(folder / "first.jsonl", simulated_run("old", 4, 1));
  const std::string second =
      write(folder / "second.jsonl", slowed(simulated_run("new", 4, 2), 1, 1.1));
  const std::filesystem::path kept = folder / "baselines" / "nvidia-h100.jsonl";

  const Outcome none = assay("compare --baseline " + first + where);
  CHECK(none.code == 2);
  CHECK(contains(none.text, "no baseline of NVIDIA H100 in "));
  CHECK(contains(none.text, "`assay baseline update RESULTS` makes one"));

  CHECK(assay("baseline update " + first + where).code == 0);
  const std::string before = read(kept);
  CHECK(std::count(before.begin(), before.end(), '\n') == 5);
  CHECK(assay("compare --gate --baseline " + first + where).code == 0);
  CHECK(assay("compare --gate --baseline " + second + where).code == 1);

  const Outcome refused = assay("baseline update " + second + where);
  INFO(refused.text);
  CHECK(refused.code == 2);
  CHECK(contains(refused.text, "1 slower"));  // what would change
  CHECK(contains(refused.text, "nothing was changed; --yes replaces it as shown"));
  CHECK(read(kept) == before);

  CHECK(assay("baseline update --yes " + second + where).code == 0);
  CHECK(read(kept) != before);
  CHECK(assay("compare --gate --baseline " + second + where).code == 0);
  const Results now = read_results({kept.string()});
  SampleReader reader;
  CHECK(reader.read(now.records.at(3).measurements.at(0)).size() == 100);
  CHECK(reader.notes().empty());
  CHECK(std::distance(std::filesystem::directory_iterator(folder / "baselines"),
                      std::filesystem::directory_iterator()) == 2);  // records and samples

  // A baseline of another device under this name is no baseline.
  Results elsewhere = simulated_run("x", 4, 1);
  for (Record& record : elsewhere.records) record.device = "NVIDIA H200";
  std::filesystem::copy_file(write(folder / "h200.jsonl", elsewhere), kept,
                             std::filesystem::copy_options::overwrite_existing);
  const Outcome wrong = assay("compare --baseline " + second + where);
  CHECK(wrong.code == 2);
  CHECK(contains(wrong.text, "is no baseline of NVIDIA H100: it holds records of NVIDIA H200"));
}

TEST_CASE("cases that did not pass become a baseline only on purpose") {
  const Folder folder;
  Results results = simulated_run("old", 2, 1);
  results.records[0].status = Status::failed;
  const std::string path = write(folder / "failed.jsonl", results);
  const std::string where = " --baselines " + (folder / "baselines").string();
  const Outcome refused = assay("baseline update " + path + where);
  CHECK(refused.code == 2);
  CHECK(contains(refused.text, "1 of 2 cases did not pass"));
  CHECK_FALSE(std::filesystem::exists(folder / "baselines"));
  CHECK(assay("baseline update --yes " + path + where).code == 0);
}

TEST_CASE("the experiment on identical code judges itself") {
  const Folder folder;
  std::string records;
  for (std::uint64_t run = 0; run < 3; ++run)
    records += " " + write(folder / ("run" + std::to_string(run) + ".jsonl").c_str(),
                           simulated_run("same", 20, 10 + run));
  const Outcome outcome =
      assay("selftest comparison --report " + (folder / "r.md").string() + " --records" + records);
  INFO(outcome.text);
  CHECK(outcome.code == 1);  // 60 times are too few to show anything
  CHECK(contains(outcome.text, "| as they are | 60 | 0 |"));
  CHECK(contains(outcome.text, "Not reached: "));
  CHECK(read(folder / "r.md") == outcome.text);
  CHECK(assay("selftest comparison").code == 2);
}

}  // namespace assay
