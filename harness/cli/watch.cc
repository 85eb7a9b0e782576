#include "harness/cli/watch.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstdio>
#include <ctime>
#include <utility>

#include "harness/core/error.h"
#include "harness/core/file.h"

namespace assay {
namespace {

std::string now_in_utc() {
  const std::time_t now = std::time(nullptr);
  std::tm utc{};
  gmtime_r(&now, &utc);
  char text[32];
  std::strftime(text, sizeof text, "%H:%M:%S UTC", &utc);
  return text;
}

// A long sweep has more samples than memory should hold: of many every k-th is kept.
void thin(std::vector<Sample>& samples) {
  constexpr std::size_t kMost = 500;
  const std::size_t every = (samples.size() + kMost - 1) / kMost;
  if (every < 2) return;
  std::vector<Sample> kept;
  for (std::size_t i = 0; i < samples.size(); i += every) kept.push_back(samples[i]);
  samples = std::move(kept);
}

}  // namespace

Watch::Watch(std::string path, const Environment& environment, std::size_t cases)
    : path_(std::move(path)) {
  results_.environments.push_back(environment);
  ongoing_.cases = cases;
  write(true);
}

void Watch::begin_case(const Job& job) {
  ongoing_.running = shown_name(job) + " on " + str(job.problem);
  if (Clock::now() >= next_) try_write(true);
}

void Watch::end_case(Record record) {
  ++ongoing_.done;
  if (given_up_) return;
  for (Measurement& measurement : record.measurements) thin(measurement.taken);
  add(results_, std::move(record));
}

void Watch::finish() { try_write(false); }

void Watch::try_write(bool ongoing) {
  if (given_up_) return;
  try {
    write(ongoing);
  } catch (const UsageError& error) {
    given_up_ = true;
    fmt::print(stderr, "assay: {}; --watch ends here, the sweep goes on\n", error.what());
  }
}

void Watch::write(bool ongoing) {
  const Clock::time_point begin = Clock::now();
  ongoing_.written = now_in_utc();
  replace_file(path_, ongoing ? html_page(results_, ongoing_) : html_page(results_));
  const Clock::time_point end = Clock::now();
  next_ = end + std::max<Clock::duration>(std::chrono::seconds(2), 20 * (end - begin));
}

}  // namespace assay
