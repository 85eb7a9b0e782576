// Samples survive the way to the file beside the records; files that were cut or mixed up give
// none.
#include "reports/samples.h"

#include <filesystem>
#include <fstream>

#include "harness/core/error.h"
#include "harness/testing.h"
#include "harness/testing_program.h"
#include "reports/jsonl.h"

namespace assay {
namespace {

std::vector<Sample> some(double seconds) {
  return {{.seconds = seconds, .sm_mhz = 1980},
          {.seconds = 2 * seconds, .sm_mhz = 1755.5F, .throttled = true},
          {.seconds = 3 * seconds}};
}

Record timed(const std::string& variant, double seconds) {
  Record record;
  record.op = "attnres_fwd";
  record.problem = "attnres_fwd N=3 T=2 D=8";
  record.variant = variant;
  record.backend = "cpu";
  record.device = "some CPU";
  record.status = Status::passed;
  record.measurements = {{.cache = "cold", .samples = 3, .median = seconds}};
  record.measurements[0].taken = some(seconds);
  return record;
}

void check_equal(const std::vector<Sample>& got, const std::vector<Sample>& want) {
  REQUIRE(got.size() == want.size());
  for (std::size_t i = 0; i < got.size(); ++i) {
    CHECK(got[i].seconds == static_cast<float>(want[i].seconds));
    CHECK(got[i].sm_mhz == want[i].sm_mhz);
    CHECK(got[i].throttled == want[i].throttled);
  }
}

// A file of three records, written in two goes.
std::string write_three(const Folder& folder) {
  const std::string path = (folder / "results.jsonl").string();
  {
    JsonlWriter writer(path);
    writer.write(timed("fused", 0.1));
    writer.write(timed("naive", 0.2));
  }
  JsonlWriter(path).write(timed("split_kv", 0.3));
  return path;
}

std::vector<Sample> first_samples(const std::string& path, std::vector<std::string>& notes) {
  SampleReader reader;
  const std::vector<Sample> samples =
      reader.read(read_results({path}).records.at(0).measurements.at(0));
  notes = reader.notes();
  return samples;
}

}  // namespace

TEST_CASE("samples lie beside the records") {
  CHECK(samples_path("a/results.jsonl") == "a/results.samples");
  CHECK(samples_path("a/v1.2") == "a/v1.2.samples");
  CHECK(samples_path(".jsonl") == ".jsonl.samples");
}

TEST_CASE("samples are kept, in their order, over several runs into one file") {
  const Folder folder;
  const Results results = read_results({write_three(folder)});
  REQUIRE(results.records.size() == 3);
  SampleReader reader;
  check_equal(reader.read(results.records[2].measurements[0]), some(0.3));
  check_equal(reader.read(results.records[0].measurements[0]), some(0.1));
  check_equal(reader.read(results.records[1].measurements[0]), some(0.2));
  CHECK(reader.notes().empty());
  CHECK(results.records[0].measurements[0].taken.empty());  // not in the lines
  CHECK(std::filesystem::file_size(folder / "results.samples") == 16 + 9 * 12);
}

TEST_CASE("samples are little-endian, behind a header") {
  const Folder folder;
  write_three(folder);
  std::ifstream file(folder / "results.samples", std::ios::binary);
  std::string bytes(28, '\0');
  file.read(bytes.data(), 28);
  CHECK(bytes == std::string("assaysmp\1\0\0\0\x0c\0\0\0"
                             "\xcd\xcc\xcc\x3d"  // 0.1
                             "\x00\x80\xf7\x44"  // 1980
                             "\0\0\0\0",
                             28));
}

TEST_CASE("a record brings its samples along from a worker") {
  const Record back = read_record(to_json(timed("fused", 0.5)));
  CHECK(to_json(back) == to_json(timed("fused", 0.5)));
  SampleReader reader;
  check_equal(reader.read(back.measurements[0]), some(0.5));
}

TEST_CASE("missing, cut, foreign and mixed up files of samples give none, and a note") {
  const Folder folder;
  const std::string path = write_three(folder);
  const std::filesystem::path samples = folder / "results.samples";
  std::vector<std::string> notes;

  std::filesystem::resize_file(samples, 16 + 12);
  CHECK(first_samples(path, notes).empty());
  REQUIRE(notes.size() == 1);
  CHECK(contains(notes[0], "the file ends before them"));

  // As long as it should be, but not what the records are about.
  std::filesystem::resize_file(samples, 16 + 9 * 12);
  CHECK(first_samples(path, notes).empty());
  REQUIRE(notes.size() == 1);
  CHECK(contains(notes[0], "the checksum differs"));

  std::ofstream(samples, std::ios::binary) << std::string("assaysmp\2\0\0\0\x0c\0\0\0", 16);
  CHECK(first_samples(path, notes).empty());
  CHECK(contains(notes.at(0), "its version is 2, this program reads 1"));
  CHECK_THROWS_AS(JsonlWriter(path), UsageError);  // it is not overwritten

  std::ofstream(samples) << "poem";
  CHECK(first_samples(path, notes).empty());
  CHECK(contains(notes.at(0), "it is no file of samples"));

  std::filesystem::remove(samples);
  CHECK(first_samples(path, notes).empty());
  REQUIRE(notes.size() == 1);
  CHECK(contains(notes[0], "it can't be read"));
}

TEST_CASE("offsets and counts from a damaged record lead nowhere") {
  const Folder folder;
  Measurement measurement = read_results({write_three(folder)}).records[0].measurements[0];
  const SampleBlock good = measurement.kept.value();
  SampleReader reader;
  for (const auto& [offset, count] : std::vector<std::pair<std::int64_t, std::int64_t>>{
           {-1, 3}, {0, 3}, {16, -1}, {16, INT64_MAX}, {INT64_MAX, 3}, {17, 3}, {16, 2}}) {
    measurement.kept->offset = offset;
    measurement.kept->count = count;
    CHECK(reader.read(measurement).empty());
  }
  measurement.kept = good;
  CHECK(reader.read(measurement).size() == 3);
  CHECK(reader.notes().size() == 2);
}

TEST_CASE("beside new records, samples begin anew") {
  const Folder folder;
  const std::string path = write_three(folder);
  std::filesystem::remove(path);
  JsonlWriter(path).write(timed("fused", 0.1));
  CHECK(std::filesystem::file_size(folder / "results.samples") == 16 + 3 * 12);
}

TEST_CASE("a sweep keeps each sample of what it timed") {
  const Folder folder;
  const std::string path = (folder / "sweep.jsonl").string();
  for (const char* how : {"", "--in-process"}) {
    INFO(how);
    const Outcome outcome = assay(std::string("run 'attnres_fwd dtype=bf16 N=3 T=2 D=8' --variant "
                                              "naive@cpu,fused@cpu --min-time 0 --out ") +
                                  path + " " + how);
    INFO(outcome.text);
    REQUIRE(outcome.code == 0);
    SampleReader reader;
    const Results results = read_results({path});
    REQUIRE(results.records.size() == 2);
    for (const Record& record : results.records) {
      const Measurement& measurement = record.measurements.at(0);
      const std::vector<Sample> samples = reader.read(measurement);
      CHECK(samples.size() == static_cast<std::size_t>(measurement.samples));
      for (const Sample& sample : samples) CHECK(sample.seconds > 0);
    }
    CHECK(reader.notes().empty());
  }
}

TEST_CASE("records go to a pipe without their samples") {
  const Outcome outcome = assay(
      "run 'attnres_fwd dtype=bf16 N=3 T=2 D=8' --variant naive@cpu --min-time 0 --quiet --out "
      "/dev/stdout");
  CHECK(contains(outcome.text, R"("kind":"case")"));
  CHECK_FALSE(contains(outcome.text, "samples_at"));
  CHECK_FALSE(std::filesystem::exists("/dev/stdout.samples"));
}

}  // namespace assay
