#include "harness/cli/live_table.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "reports/columns.h"
#include "reports/writer.h"

namespace assay {
namespace {

constexpr std::size_t kMostRecent = 16;

// The problem stands last: it is what a narrow terminal cuts.
const std::vector<const Column*>& shown_columns() {
  static const std::vector<const Column*> shown = [] {
    std::vector<const Column*> found;
    for (const char* key :
         {"variant", "status", "utilisation", "median_s", "fraction_of_limit", "problem"})
      for (const Column& column : columns())
        if (column.key == key) found.push_back(&column);
    return found;
  }();
  return shown;
}

// The first `width` characters, which may be of several bytes.
std::string cut(const std::string& text, std::size_t width) {
  if (display_width(text) <= width) return text;
  std::size_t characters = 0;
  std::size_t end = 0;
  for (; end < text.size(); ++end) {
    const bool begins = (static_cast<unsigned char>(text[end]) & 0xc0) != 0x80;
    if (begins && ++characters > width) break;
  }
  return text.substr(0, end);
}

std::string padded(const std::string& text, std::size_t width, bool right) {
  const std::string fill(width - std::min(width, display_width(text)), ' ');
  return right ? fill + text : text + fill;
}

std::string bar(double share, std::size_t width) {
  const auto full = static_cast<std::size_t>(share * static_cast<double>(width));
  std::string text;
  for (std::size_t i = 0; i < width; ++i) text += i < full ? "━" : "─";
  return text;
}

std::string not_good(const Counts& counts) {
  std::string text;
  for (const auto& [status, cases] : counts.by_status)
    if (status != Status::passed && cases > 0) text += fmt::format(", {} {}", cases, name(status));
  return text;
}

}  // namespace

std::string format_duration(double seconds) {
  const auto whole = std::llround(seconds);
  if (whole < 60) return fmt::format("{} s", whole);
  if (whole < 3600) return fmt::format("{} min {} s", whole / 60, whole % 60);
  return fmt::format("{} h {} min", whole / 3600, whole % 3600 / 60);
}

void LiveTable::begin_case(const std::string& variant, const std::string& problem,
                           const std::string& since) {
  running_ = {variant, "running since " + since, problem};
}

void LiveTable::end_case(const Record& record) {
  ++done_;
  counts_.add(record);
  running_.clear();
  Row row;
  for (const Column* column : shown_columns()) row.push_back(column->text(record));
  recent_.push_back(std::move(row));
  if (recent_.size() > kMostRecent) recent_.pop_front();
}

std::vector<std::string> LiveTable::lines(std::size_t width, std::size_t height,
                                          double seconds) const {
  const double share = cases_ > 0 ? static_cast<double>(done_) / static_cast<double>(cases_) : 0;
  const auto passed = counts_.by_status.find(Status::passed);
  std::string head = fmt::format("{} {} of {}  {} passed{}  {}", bar(share, 20), done_, cases_,
                                 passed == counts_.by_status.end() ? 0 : passed->second,
                                 not_good(counts_), format_duration(seconds));
  if (done_ > 0 && done_ < cases_)
    head += fmt::format(", about {} left", format_duration(seconds * (1 - share) / share));
  std::vector<std::string> text = {cut(head, width)};
  if (height < 4) return text;

  const auto& columns = shown_columns();
  const std::size_t most = height - 3;  // beside the head, the headings and the running case
  const std::size_t first = recent_.size() - std::min(most, recent_.size());
  std::vector<std::size_t> widths;
  for (std::size_t i = 0; i < columns.size(); ++i) {
    widths.push_back(display_width(columns[i]->heading));
    for (std::size_t k = first; k < recent_.size(); ++k)
      widths[i] = std::max(widths[i], display_width(recent_[k][i]));
  }
  if (!running_.empty()) widths[0] = std::max(widths[0], display_width(running_[0]));
  const auto line = [&](const Row& row) {
    std::string made = " ";
    for (std::size_t i = 0; i < columns.size(); ++i)
      made += "  " + padded(row[i], widths[i], columns[i]->numeric);
    return cut(made.substr(0, made.find_last_not_of(' ') + 1), width);
  };
  Row headings;
  for (const Column* column : columns) headings.push_back(column->heading);
  text.push_back(line(headings));
  for (std::size_t k = first; k < recent_.size(); ++k) text.push_back(line(recent_[k]));
  if (!running_.empty()) {
    std::size_t between = 0;  // the columns from status to the last before the problem
    for (std::size_t i = 1; i + 1 < columns.size(); ++i) between += widths[i] + (i > 1 ? 2 : 0);
    text.push_back(cut("▸  " + padded(running_[0], widths[0], false) + "  " +
                           padded(running_[1], between, false) + "  " + running_[2],
                       width));
  }
  return text;
}

}  // namespace assay
