#include "harness/cli/rerun.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <string_view>

#include "harness/core/error.h"
#include "reports/jsonl.h"
#include "reports/samples.h"

namespace assay {
namespace {

constexpr std::array<std::string_view, 5> kHarmless = {"--variant", "--seed", "--seeds", "--device",
                                                       "--schedule"};

// Words parted by spaces, single quotes kept together; nothing where a quote stays open.
std::optional<std::vector<std::string>> split(const std::string& line) {
  std::vector<std::string> words;
  bool quoted = false, open = false;
  for (const char c : line) {
    if (c == '\'') {
      quoted = !quoted;
      if (!open) words.emplace_back();
      open = true;
    } else if (c == ' ' && !quoted) {
      open = false;
    } else {
      if (!open) words.emplace_back();
      open = true;
      words.back() += c;
    }
  }
  if (quoted) return std::nullopt;
  return words;
}

// A folder of its own, gone with its files in the end.
class ScratchFolder {
 public:
  ScratchFolder() {
    std::string pattern = (std::filesystem::temp_directory_path() / "assay_rerun_XXXXXX").string();
    if (!mkdtemp(pattern.data()))
      throw EnvironmentError("cannot make a folder for re-runs: " +
                             std::string(std::strerror(errno)));
    path_ = pattern;
  }
  ~ScratchFolder() {
    std::error_code ignored;
    std::filesystem::remove_all(path_, ignored);
  }
  ScratchFolder(const ScratchFolder&) = delete;
  ScratchFolder& operator=(const ScratchFolder&) = delete;
  std::string operator/(const char* name) const { return (path_ / name).string(); }

 private:
  std::filesystem::path path_;
};

// The exit code of the program, or why there is none.
int run_quietly(const std::vector<std::string>& command, std::string& why_not) {
  std::vector<char*> arguments;
  for (const std::string& argument : command)
    arguments.push_back(const_cast<char*>(argument.c_str()));
  arguments.push_back(nullptr);
  posix_spawn_file_actions_t actions;
  posix_spawn_file_actions_init(&actions);
  for (const int descriptor : {STDIN_FILENO, STDOUT_FILENO, STDERR_FILENO})
    posix_spawn_file_actions_addopen(&actions, descriptor, "/dev/null", O_RDWR, 0);
  pid_t pid = -1;
  const int error =
      posix_spawnp(&pid, command[0].c_str(), &actions, nullptr, arguments.data(), environ);
  posix_spawn_file_actions_destroy(&actions);
  if (error != 0) {
    why_not = fmt::format("cannot start {}: {}", command[0], std::strerror(error));
    return -1;
  }
  int status = 0;
  while (waitpid(pid, &status, 0) < 0 && errno == EINTR) {
  }
  if (WIFEXITED(status)) return WEXITSTATUS(status);
  why_not = fmt::format("{} ended by signal {}", command[0], WTERMSIG(status));
  return -1;
}

}  // namespace

std::optional<std::vector<std::string>> rerun_arguments(const std::string& repro) {
  const auto words = split(repro);
  if (!words || words->size() < 3 || (*words)[0] != "assay" || (*words)[1] != "run" ||
      (*words)[2].starts_with('-') || (*words)[2].find(' ') == std::string::npos)
    return std::nullopt;
  for (std::size_t i = 3; i < words->size(); i += 2) {
    const bool known =
        std::find(kHarmless.begin(), kHarmless.end(), (*words)[i]) != kHarmless.end();
    if (!known || i + 1 == words->size() || (*words)[i + 1].starts_with('-')) return std::nullopt;
  }
  return std::vector<std::string>(words->begin() + 1, words->end());
}

std::optional<Record> rerun(const std::string& program, const Record& record,
                            std::string& why_not) {
  const auto arguments = rerun_arguments(record.repro);
  if (!arguments) {
    why_not = "its repro line is no `assay run`";
    return std::nullopt;
  }
  const ScratchFolder folder;
  const std::string out = folder / "rerun.jsonl";
  std::vector<std::string> command = {program};
  command.insert(command.end(), arguments->begin(), arguments->end());
  command.insert(command.end(), {"--quiet", "--out", out});
  const int code = run_quietly(command, why_not);
  if (code < 0) return std::nullopt;
  if (!std::filesystem::exists(out)) {
    why_not = fmt::format("{} ended with exit code {}", program, code);
    return std::nullopt;
  }
  Results results = read_results({out});
  for (Record& fresh : results.records) {
    if (fresh.id() != record.id() || fresh.problem != record.problem) continue;
    if (fresh.device != record.device) {
      why_not = fmt::format("{} is here, not {}", fresh.device, record.device);
      return std::nullopt;
    }
    SampleReader reader;
    for (Measurement& measurement : fresh.measurements)
      measurement.taken = reader.read(measurement);
    return std::move(fresh);
  }
  why_not = fmt::format("{} made no record of it", program);
  return std::nullopt;
}

}  // namespace assay
