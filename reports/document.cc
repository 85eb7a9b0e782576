#include "reports/document.h"

#include <fmt/format.h>

#include <algorithm>
#include <filesystem>
#include <map>
#include <optional>
#include <string_view>

#include "harness/core/error.h"
#include "reports/columns.h"
#include "reports/jsonl.h"
#include "reports/tables.h"

namespace assay {
namespace {

std::string_view trimmed(std::string_view line) {
  const std::size_t begin = line.find_first_not_of(" \t\r\n");
  if (begin == std::string_view::npos) return {};
  return line.substr(begin, line.find_last_not_of(" \t\r\n") - begin + 1);
}

// Four blanks make a code block.
bool indented(std::string_view line) { return line.starts_with("    ") || line.starts_with("\t"); }

// What a line "<!-- assay:… -->" says after the colon; nothing for other lines.
std::optional<std::string_view> marker(std::string_view line) {
  if (indented(line)) return std::nullopt;
  line = trimmed(line);
  if (!line.starts_with("<!--")) return std::nullopt;
  line = trimmed(line.substr(4));
  if (!line.starts_with("assay:")) return std::nullopt;
  line.remove_prefix(6);
  if (!line.ends_with("-->")) throw UsageError("the marker must end with --> on its line");
  line.remove_suffix(3);
  return trimmed(line);
}

// The fence of a code block that this line may be, such as "```".
std::string_view fence(std::string_view line) {
  if (indented(line)) return {};
  line = trimmed(line);
  if (!line.starts_with("```") && !line.starts_with("~~~")) return {};
  return line.substr(0, std::min(line.find_first_not_of(line[0]), line.size()));
}

bool closes(std::string_view line, std::string_view open) {
  const std::string_view here = fence(line);
  return !here.empty() && here[0] == open[0] && here.size() >= open.size() &&
         trimmed(line).size() == here.size();
}

// Words and key=value, of which the value may be quoted.
std::vector<std::string> words(std::string_view text) {
  std::vector<std::string> found;
  std::string word;
  bool quoted = false;
  for (const char c : text) {
    if (c == '"') {
      quoted = !quoted;
    } else if (!quoted && (c == ' ' || c == '\t')) {
      if (!word.empty()) found.push_back(std::move(word));
      word.clear();
    } else {
      word += c;
    }
  }
  if (quoted) throw UsageError("a quotation mark is not closed");
  if (!word.empty()) found.push_back(word);
  return found;
}

std::vector<std::string> split(const std::string& text) {
  std::vector<std::string> parts;
  std::size_t begin = 0;
  for (std::size_t end; (end = text.find(',', begin)) != std::string::npos; begin = end + 1)
    parts.push_back(text.substr(begin, end - begin));
  parts.push_back(text.substr(begin));
  return parts;
}

class Filler {
 public:
  Filler(const std::string& path, const std::vector<std::string>& files)
      : folder_(std::filesystem::path(path).parent_path()), files_(files) {}

  std::string table(std::string_view words_of_marker, std::vector<std::string>& notes) {
    const std::vector<std::string> given = words(words_of_marker.substr(5));
    if (given.empty() || given[0].find('=') != std::string::npos)
      throw UsageError("a table has a name: <!-- assay:table cases results=FILE -->");
    TableRequest request{.table = given[0]};
    std::vector<std::string> files = files_;
    for (auto word = given.begin() + 1; word != given.end(); ++word) {
      const std::size_t equals = word->find('=');
      if (equals == std::string::npos) throw UsageError(fmt::format("`{}` is no key=value", *word));
      const std::string key = word->substr(0, equals);
      const std::vector<std::string> values = split(word->substr(equals + 1));
      if (key == "results") {
        files.clear();
        for (const std::string& value : values) files.push_back((folder_ / value).string());
      } else if (key == "columns") {
        request.columns = values;
      } else {
        require_known(key);
        request.filters.emplace_back(key, values);
      }
    }
    if (files.empty())
      throw UsageError("which records? name them by results=FILE, or on the command line");
    return make_table(request, read(files, notes));
  }

 private:
  static void require_known(const std::string& key) {
    std::vector<std::string> keys = {"results", "columns"};
    for (const Column& column : columns()) keys.push_back(column.key);
    if (std::find(keys.begin(), keys.end(), key) == keys.end())
      throw UsageError(fmt::format("unknown key `{}`{}", key, suggestion(key, keys)));
  }

  const Results& read(const std::vector<std::string>& files, std::vector<std::string>& notes) {
    const auto known = read_.find(files);
    if (known != read_.end()) return known->second;
    const Results& results = read_.emplace(files, read_results(files)).first->second;
    notes.insert(notes.end(), results.notes.begin(), results.notes.end());
    return results;
  }

  std::filesystem::path folder_;
  const std::vector<std::string>& files_;
  std::map<std::vector<std::string>, Results> read_;  // several tables of one file read it once
};

// With the line ends of the document, and a blank line on either side: some renderers need them.
std::string block(const std::string& table, bool carriage_returns) {
  std::string text = "\n" + table + "\n";
  if (!carriage_returns) return text;
  std::string converted;
  for (const char c : text) converted += c == '\n' ? "\r\n" : std::string(1, c);
  return converted;
}

}  // namespace

Document fill_tables(const std::string& text, const std::string& path,
                     const std::vector<std::string>& files) {
  Document document;
  Filler filler(path, files);
  std::string open_fence;
  int start = 0;      // line of the marker whose end is sought; 0: none
  std::string made;   // its table
  std::string found;  // what stands there
  int number = 0;
  try {
    std::string_view rest = text;
    while (!rest.empty()) {
      ++number;
      const std::size_t length = std::min(rest.find('\n'), rest.size() - 1) + 1;
      const std::string_view line = rest.substr(0, length);
      rest.remove_prefix(length);
      if (!open_fence.empty()) {
        document.text += line;
        if (closes(line, open_fence)) open_fence.clear();
        continue;
      }
      const auto what = marker(line);
      if (start > 0 && what == "end") {
        if (found != made) document.stale.push_back(start);
        document.text += made;
        document.text += line;
        start = 0;
      } else if (start > 0) {
        if (what)
          throw UsageError(fmt::format("the table of line {} has no <!-- assay:end -->", start));
        found += line;
      } else if (!what) {
        open_fence = fence(line);
        document.text += line;
      } else if (what->starts_with("table") && (what->size() == 5 || (*what)[5] == ' ')) {
        made = block(filler.table(*what, document.notes), line.ends_with("\r\n"));
        found.clear();
        start = number;
        ++document.tables;
        document.text += line;
      } else if (*what == "end") {
        throw UsageError("this end has no <!-- assay:table … --> before it");
      } else {
        throw UsageError(
            fmt::format("unknown marker `assay:{}`: assay:table and assay:end are known",
                        what->substr(0, what->find(' '))));
      }
    }
    if (start > 0) {
      number = start;
      throw UsageError("this table has no <!-- assay:end -->");
    }
  } catch (const UsageError& error) {
    throw UsageError(fmt::format("{}:{}: {}", path, number, error.what()));
  }
  return document;
}

}  // namespace assay
