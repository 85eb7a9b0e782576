// The command line of assay: its arguments and its exit codes. What the subcommands do is in the
// files beside this one.
#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <exception>

#include "harness/cli/commands.h"
#include "harness/core/error.h"
#include "harness/worker/worker.h"
#include "reports/baselines.h"

namespace {

constexpr const char* kExamples = R"(
Examples:
  assay list variants
  assay run quick
  assay run attnres_smoke --verify-only --backend cpu
  assay run 'attnres_fwd dtype=bf16,f16 N=2:9 T=1,4096 D=2304' --variant 'fused@*' --out results.jsonl
  assay report results.jsonl --format markdown
  assay tune large --backend cuda
  assay run large --variant auto,fused --out results.jsonl
  assay bench quick --benchmark_filter='fused@.*N=9' --benchmark_out=bench.json
  assay compare before.jsonl after.jsonl --gate --out summary.md --out junit.xml
  assay baseline update results.jsonl
  assay export 'attnres_fwd N=9 T=64 D=2048' --to DIR
  assay verify-file DIR --variant theirs --numerics height=64
  assay report results.jsonl --format html --out report.html
  assay report --into README.md

Exit code: 0 all good; 1 a case failed, was mistrusted, crashed, timed out or could not be run, or with
compare --gate a regression; 2 wrong usage.)";

constexpr const char* kTableHelp = R"(
Tables in documents:
  <!-- assay:table NAME [key=value]... -->
  whatever stands here is replaced
  <!-- assay:end -->
NAME:     cases, variants, environment or summary
results=  files of records, separated by commas, relative to the document (default: FILEs of the command line)
columns=  of cases: which, by their keys in the csv, separated by commas (default: those of the other tables)
op=, problem=, variant=, status=, ... (any column's key): only cases whose text there matches one of these GLOBs,
          separated by commas
A value with blanks is quoted: problem="attnres_fwd dtype=bf16 N=9*".)";

// Which cases, and how they are run: common to all that runs cases. Returns the option that names
// the problems.
CLI::Option* add_selection(CLI::App* app, assay::RunArguments& arguments) {
  app->add_option("--variant", arguments.variants,
                  "Only variants whose id (attnres_fwd/fused@cuda), bare name (fused@cuda) or name "
                  "(fused) matches GLOB; with a configuration that `tune` tries: 'fused[rows=3]', "
                  "'fused[*]'; auto: what `tune` found to be the fastest; may be repeated")
      ->type_name("GLOB")
      ->delimiter(',');
  app->add_option("--backend", arguments.backends,
                  "Only these backends: cpu, cuda, simt (default: cpu and cuda, where there is a "
                  "device; simt runs the CUDA sources on the CPU, to verify them, and is never "
                  "timed)")
      ->type_name("NAME")
      ->delimiter(',');
  app->add_option("--device", arguments.device,
                  "Which device of a backend that has several (default 0)")
      ->type_name("N")
      ->check(CLI::NonNegativeNumber);
  app->add_option("--seed", arguments.seed, "Of the inputs")->type_name("S")->capture_default_str();
  app->add_option("--timeout", arguments.timeout,
                  "A kernel that takes so long has hung; on simt, one in which no thread gets any "
                  "further for so long")
      ->type_name("SECONDS")
      ->check(CLI::Range(0.05, 86400.0))
      ->capture_default_str();
  app->add_flag(
      "--in-process", arguments.in_process,
      "Run the cases in this process, for debuggers and profilers: a crash or a hang then "
      "ends the sweep (default: in a worker process, which is started again)");
  app->add_option(
         "--cache", arguments.measure.caches,
         "Time in these cache states: cold (inputs in memory alone), hot (the same buffers "
         "again), graph (cold, as a replayed CUDA graph)")
      ->type_name("NAMES")
      ->capture_default_str();
  app->add_flag("--measure-limits", arguments.limits_again,
                "Measure what the device can do, whatever is known from earlier runs");
  return app->add_option(
      "what", arguments.what,
      "A problem ('attnres_fwd N=9 T=4096 D=7168'; lists 1,37 and ranges 2:33, 2:33:5, "
      "1:128:*2 mean several), "
      "or the name or path of a suite (sought in ./suites, then beside the binary)");
}

int run(int argc, char** argv) {
  CLI::App app(
      "Assay proves GPU kernels right, element by element against an fp64 reference, and measures "
      "them honestly.",
      "assay");
  app.footer(kExamples);
  app.require_subcommand(1);

  std::string list_what;
  std::vector<std::string> list_of;
  CLI::App* list =
      app.add_subcommand("list", "Show the ops, variants, suites or devices that there are");
  list->add_option("what", list_what,
                   "ops, families, variants, suites or devices (default: all); or problems");
  list->add_option("of", list_of,
                   "With families: only those of this op. With problems: the suites and problems "
                   "whose problems are listed, one a line")
      ->type_name("NAME");

  assay::RunArguments arguments;
  arguments.arguments.assign(argv, argv + argc);
  CLI::App* run = app.add_subcommand("run", "Verify and time suites and problems");
  add_selection(run, arguments)->required();
  run->add_flag("--verify-only", arguments.verify_only, "Do not time");
  run->add_option(
         "--seeds", arguments.seeds,
         "Verify each case with so many seeds, from --seed on: one alone can hide a failure")
      ->type_name("K")
      ->check(CLI::Range(1, 1'000'000))
      ->capture_default_str();
  run->add_option(
         "--dump", arguments.dump,
         "Write inputs, outputs, reference and bound of each failing case as .npy below DIR")
      ->type_name("DIR");
  run->add_option("--schedule", arguments.schedule,
                  "In which order simt runs threads (default: each in turn)")
      ->check(CLI::IsMember({"ascending", "descending", "random", "starve"}));
  run->add_option("--trace", arguments.trace,
                  "Print the barriers and collectives of this block of every simt launch, in "
                  "order, on stderr")
      ->type_name("BLOCK")
      ->check(CLI::NonNegativeNumber);
  run->add_flag("--quiet", arguments.quiet, "Print only cases that did not pass, and the summary");
  run->add_option("--samples", arguments.measure.sampling.min_samples,
                  "At least so many samples a case")
      ->type_name("N")
      ->check(CLI::Range(10, arguments.measure.sampling.max_samples))
      ->capture_default_str();
  run->add_option("--min-time", arguments.measure.sampling.min_seconds,
                  "At least so many seconds of timed work a case")
      ->type_name("SECONDS")
      ->check(CLI::Range(0.0, 3600.0))
      ->capture_default_str();
  run->add_option(
         "--noise", arguments.measure.sampling.noise,
         "Take samples until the standard error of the median is this share of it, or falls "
         "no more")
      ->type_name("SHARE")
      ->check(CLI::Range(0.0, 1.0))
      ->capture_default_str();
  run->add_option("--max-time", arguments.measure.sampling.max_seconds,
                  "Take no more samples after so long, in each cache state")
      ->type_name("SECONDS")
      ->check(CLI::Range(0.0, 86400.0))
      ->capture_default_str();
  run->add_option("--counters", arguments.measure.counters,
                  "Count on the GPU, by CUPTI: bytes of the memory, cache hits, tensor cores, "
                  "occupancy, or the counters of these names")
      ->type_name("NAMES")
      ->expected(0, 1)
      ->default_str(assay::usual_counters());
  run->add_flag("!--no-cupti", arguments.measure.trace,
                "Do not ask CUPTI for the times of the kernels");
  run->add_option("--out", arguments.out, "Append the records to this file, as JSON lines")
      ->type_name("FILE");
  run->add_option("--watch", arguments.watch,
                  "Write the HTML report of this sweep here, again and again while it goes on")
      ->type_name("FILE.html");
  run->footer(kExamples);

  assay::TuneArguments tune_arguments;
  tune_arguments.run.measure.caches = "cold";
  tune_arguments.run.arguments.assign(argv, argv + argc);
  CLI::App* tune = app.add_subcommand(
      "tune",
      "Find the fastest variant and configuration for each problem; `--variant auto` runs them");
  add_selection(tune, tune_arguments.run);
  tune->add_option("--from", tune_arguments.from,
                   "Run nothing: choose from these files of records (of `run --variant "
                   "'*,*[*]'`)")
      ->type_name("FILE")
      ->check(CLI::ExistingFile);
  tune->add_option("--tables", tune_arguments.folder,
                   "Folder of the tables, one file a device; rows of other problems stay")
      ->type_name("DIR")
      ->capture_default_str();
  tune->add_flag("--quiet", tune_arguments.run.quiet, "As for run");
  tune->add_option("--out", tune_arguments.run.out, "As for run")->type_name("FILE");

  assay::BenchArguments bench_arguments;
  bench_arguments.run.measure.caches = "cold";
  bench_arguments.run.arguments.assign(argv, argv + argc);
  CLI::App* bench = app.add_subcommand(
      "bench",
      "Verified cases as benchmarks of Google Benchmark, whose flags (--benchmark_…) it takes");
  bench->allow_extras();
  add_selection(bench, bench_arguments.run)->required();

  assay::ExportArguments export_arguments;
  CLI::App* exporting = app.add_subcommand(
      "export", "Write the inputs of a problem as .npy files, for other programs to compute from");
  exporting->add_option("problem", export_arguments.problem, "A problem")->required();
  exporting
      ->add_option("--family", export_arguments.family, "Of the inputs (default: the one timed)")
      ->type_name("NAME");
  exporting->add_option("--seed", export_arguments.seed, "Of the inputs")
      ->type_name("S")
      ->capture_default_str();
  exporting
      ->add_option("--to", export_arguments.folder,
                   "Folder for the files (bf16 widened to f32) and a manifest.json that describes "
                   "them, the outputs that are wanted and what they cost at least; of a whole "
                   "network it names the short one on which programs for it are judged")
      ->type_name("DIR")
      ->required();
  exporting
      ->add_option("--limit", export_arguments.limit,
                   "Also measure what the memory of this backend's device can do at the problem's "
                   "ratio of reads to writes")
      ->type_name("BACKEND");
  exporting->add_option("--device", export_arguments.device, "With --limit: as for run")
      ->type_name("N")
      ->check(CLI::NonNegativeNumber);

  assay::VerifyFileArguments file_arguments;
  file_arguments.arguments.assign(argv, argv + argc);
  CLI::App* verify_file = app.add_subcommand(
      "verify-file", "Judge outputs that another program computed from exported inputs");
  verify_file
      ->add_option("folders", file_arguments.folders,
                   "Folders that `assay export` made, of one problem, with outputs as the "
                   "manifest names them; an output that is missing is not judged. Elements are "
                   "judged against their bounds, whole networks, short ones alone, by the rows of "
                   "their outputs")
      ->type_name("DIR")
      ->required();
  verify_file->add_option("--variant", file_arguments.variant, "What computed them, for the record")
      ->type_name("NAME")
      ->required();
  verify_file
      ->add_option("--numerics", file_arguments.numerics,
                   "The arithmetic that it declares, as key=value,...: accumulate, probabilities, "
                   "weights, partials (dtypes: what is rounded to it on the way), height (longest "
                   "chain of additions of a sum over the hidden dim), rescales, truncates_mix=1 "
                   "(default: f32 and a running sum); not of a whole network")
      ->type_name("TEXT");
  verify_file->add_option("--backend", file_arguments.backend, "Where it ran: cpu or cuda")
      ->type_name("NAME")
      ->capture_default_str();
  verify_file->add_option("--device", file_arguments.device, "Name of the device that it ran on")
      ->type_name("TEXT");
  verify_file
      ->add_option("--check", file_arguments.check,
                   "Name of the checks: interval, or after_timing for what a timed run left")
      ->check(CLI::IsMember({"interval", "after_timing"}))
      ->capture_default_str();
  verify_file->add_option("--out", file_arguments.out, "Append the record to this file")
      ->type_name("FILE");

  assay::ReportArguments report_arguments;
  CLI::App* report = app.add_subcommand("report", "Make a table of records");
  report->add_option("files", report_arguments.files, "Files of records")->type_name("FILE");
  CLI::Option* format =
      report->add_option("--format", report_arguments.format, "console, markdown, csv or html")
          ->type_name("NAME")
          ->capture_default_str();
  CLI::Option* out =
      report->add_option("--out", report_arguments.out, "Write it here (default: stdout)")
          ->type_name("FILE");
  CLI::Option* into =
      report
          ->add_option("--into", report_arguments.into,
                       "Make the tables anew that stand in this Markdown file between lines "
                       "<!-- assay:table NAME results=FILE --> and <!-- assay:end -->")
          ->type_name("FILE.md")
          ->excludes(format)
          ->excludes(out);
  report
      ->add_flag("--check", report_arguments.check,
                 "With --into: change nothing; exit code 1 where a table is not up to date")
      ->needs(into);
  report->footer(kTableHelp);

  assay::CompareArguments compare_arguments;
  compare_arguments.baselines = assay::kBaselineFolder;
  CLI::App* compare = app.add_subcommand(
      "compare", "Say what has changed between two files of results: times and numerics");
  compare->add_option("files", compare_arguments.files, "BASE NEW; with --baseline: NEW alone")
      ->type_name("FILE")
      ->required();
  compare->add_flag("--baseline", compare_arguments.baseline,
                    "Compare with the baseline of each device in NEW");
  compare->add_option("--baselines", compare_arguments.baselines, "Where the baselines are")
      ->type_name("DIR")
      ->capture_default_str();
  compare->add_flag("--gate", compare_arguments.gate,
                    "Exit code 1 if anything is slower or its numerics are worse");
  compare
      ->add_option("--thresholds", compare_arguments.thresholds,
                   "What is called a change, as TOML (reports/thresholds.toml: the defaults)")
      ->type_name("FILE");
  compare
      ->add_option("--format", compare_arguments.format,
                   "Of what is printed: console, markdown, junit or github; on GitHub Actions, "
                   "annotations are printed, too")
      ->type_name("NAME")
      ->capture_default_str();
  compare
      ->add_option("--out", compare_arguments.out,
                   "Also write it here, as the ending says: .md, .xml (JUnit) or .txt; may be "
                   "repeated")
      ->type_name("FILE")
      ->allow_extra_args(false);
  compare
      ->add_option("--rerun", compare_arguments.rerun,
                   "The program that runs suspects again before they are accused, as their repro "
                   "lines say; self: this one; none; auto: this one if it is of the commit that "
                   "made NEW")
      ->type_name("PROGRAM")
      ->capture_default_str();
  compare
      ->add_option("--rerun-base", compare_arguments.rerun_base,
                   "The program that runs suspects of BASE again, in turn with those of NEW")
      ->type_name("PROGRAM")
      ->capture_default_str();
  compare->add_flag("--across-devices", compare_arguments.across_devices,
                    "Compare cases of different machines");
  compare->add_flag("--across-contracts", compare_arguments.across_contracts,
                    "Compare cases whose op has another contract");
  compare->add_flag("--across-seeds", compare_arguments.across_seeds,
                    "Compare cases that were verified on other inputs");

  assay::BaselineArguments baseline_arguments;
  baseline_arguments.folder = assay::kBaselineFolder;
  CLI::App* baseline =
      app.add_subcommand("baseline", "Keep results for others to be compared with");
  baseline->require_subcommand(1);
  CLI::App* update = baseline->add_subcommand(
      "update", "Make a file of results the baseline of the devices in it; shows what changes");
  update->add_option("results", baseline_arguments.file, "File of records")
      ->type_name("FILE")
      ->required();
  update->add_flag("--yes", baseline_arguments.yes,
                   "Replace a baseline that exists, and take cases that did not pass");
  update->add_option("--baselines", baseline_arguments.folder, "Where the baselines are")
      ->type_name("DIR")
      ->capture_default_str();

  assay::SelftestArguments selftest_arguments;
  CLI::App* selftest =
      app.add_subcommand("selftest", "Check Assay itself on this machine, a part at a time");
  selftest_arguments.arguments.assign(argv, argv + argc);
  selftest->add_option(
      "part", selftest_arguments.part,
      "liars: verification, by kernels that are wrong on purpose, all of which must "
      "be rejected, and by correct ones; twins: every instruction that kernels are "
      "written in, on simt and cuda, against its definition (default: both); comparison: how "
      "often `assay compare` accuses identical code and finds planted slowdowns, on recorded runs");
  selftest
      ->add_option("--backend", selftest_arguments.backends,
                   "Only these backends: cpu, simt, cuda (default: all that are available)")
      ->type_name("NAME")
      ->delimiter(',');
  selftest->add_option("--seeds", selftest_arguments.seeds, "liars: so many seeds")
      ->type_name("K")
      ->check(CLI::Range(1, 1'000'000))
      ->capture_default_str();
  selftest->add_option("--seed", selftest_arguments.seed, "liars: the first seed")
      ->type_name("S")
      ->capture_default_str();
  selftest
      ->add_option("--suite", selftest_arguments.suite,
                   "liars: the problems that correct variants run on")
      ->type_name("SUITE")
      ->capture_default_str();
  selftest->add_option("--timeout", selftest_arguments.timeout, "liars: as for run")
      ->type_name("SECONDS")
      ->check(CLI::Range(0.05, 86400.0))
      ->capture_default_str();
  selftest->add_flag("--dtypes-in-turn", selftest_arguments.dtypes_in_turn,
                     "liars: each in one dtype for each seed, by turns (default: in all)");
  selftest->add_option("--jobs", selftest_arguments.jobs, "liars: so many cases at a time")
      ->type_name("J")
      ->check(CLI::Range(1, 256))
      ->capture_default_str();
  selftest
      ->add_option("--limit", selftest_arguments.limit,
                   "liars: begin no case after so long, for each backend; the report is about the "
                   "seeds that are complete")
      ->type_name("SECONDS")
      ->check(CLI::Range(1.0, 1e6));
  selftest->add_flag("--in-process", selftest_arguments.in_process,
                     "liars: without a worker process, hence without fences");
  selftest
      ->add_option("--report", selftest_arguments.report,
                   "liars, comparison: write what is printed here")
      ->type_name("FILE");
  selftest
      ->add_option("--check", selftest_arguments.checks,
                   "twins: only checks whose names match GLOB")
      ->type_name("GLOB")
      ->delimiter(',');

  selftest
      ->add_option(
          "--records", selftest_arguments.records,
          "comparison: files of identical code, one run each (scripts/aa_experiment makes "
          "them); fewer than 1 in 1000 of at least 3000 times may be accused, fewer than 1 "
          "in 50 files, and slowdowns of 5 % must be found in at least 95 %")
      ->type_name("FILE");
  selftest->add_option("--thresholds", selftest_arguments.thresholds, "comparison: as for compare")
      ->type_name("FILE");

  // Started by a sweep, with its files open.
  const CLI::App* worker = app.add_subcommand("worker", "Run the cases of a sweep")->group("");

  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    return app.exit(error) == 0 ? assay::kExitGood : assay::kExitUsage;
  }
  if (worker->parsed()) return assay::worker_main();
  if (list->parsed()) return assay::list_command(list_what, list_of);
  if (run->parsed()) {
    // CLI11 has no default for an option that may come without a value.
    if (run->count("--counters") > 0 && arguments.measure.counters.empty())
      arguments.measure.counters = assay::usual_counters();
    return assay::run_command(arguments);
  }
  if (tune->parsed()) return assay::tune_command(tune_arguments);
  if (bench->parsed()) {
    bench_arguments.benchmark = bench->remaining();
    return assay::bench_command(bench_arguments);
  }
  if (exporting->parsed()) return assay::export_command(export_arguments);
  if (verify_file->parsed()) return assay::verify_file_command(file_arguments);
  if (compare->parsed()) return assay::compare_command(compare_arguments);
  if (update->parsed()) return assay::baseline_update_command(baseline_arguments);
  if (selftest->parsed()) return assay::selftest_command(selftest_arguments);
  return assay::report_command(report_arguments);
}

}  // namespace

int main(int argc, char** argv) {
  try {
    return run(argc, argv);
  } catch (const assay::UsageError& error) {
    fmt::print(stderr, "assay: {}\n", error.what());
    return assay::kExitUsage;
  } catch (const std::exception& error) {
    fmt::print(stderr, "assay: {}\n", error.what());
    return assay::kExitBad;
  }
}
