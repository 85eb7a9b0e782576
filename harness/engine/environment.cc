#include "harness/engine/environment.h"

#include <fmt/format.h>
#include <sys/utsname.h>

#include <ctime>
#include <filesystem>

#include "assay_build.h"
#include "harness/core/host.h"
#include "harness/core/parallel.h"
#include "harness/core/simd.h"

namespace assay {
namespace {

std::string date() {
  const std::time_t now = std::time(nullptr);
  std::tm utc{};
  gmtime_r(&now, &utc);
  char text[32];
  std::strftime(text, sizeof text, "%Y-%m-%dT%H:%M:%SZ", &utc);
  return text;
}

std::string command_line(const std::vector<std::string>& arguments) {
  std::string text;
  for (const std::string& argument : arguments) {
    const std::size_t slash = argument.find('/');
    // "--out=/home/…/results.jsonl" as well as "/home/…/assay"; a variant's id also has a slash,
    // but not at its start.
    const bool absolute = slash != std::string::npos && (slash == 0 || argument[slash - 1] == '=');
    const std::string kept =
        absolute ? argument.substr(0, slash) + std::filesystem::path(argument).filename().string()
                 : argument;
    const bool quote = kept.find(' ') != std::string::npos;
    text +=
        fmt::format("{}{}{}{}", text.empty() ? "" : " ", quote ? "'" : "", kept, quote ? "'" : "");
  }
  return text;
}

}  // namespace

Environment describe_environment(const std::vector<std::string>& arguments,
                                 const std::vector<DeviceInfo>& devices) {
  Environment environment;
  auto& facts = environment.facts;
  facts.emplace_back("date", date());
  facts.emplace_back("command", command_line(arguments));
  facts.emplace_back("assay", ASSAY_BUILD_VERSION);
  facts.emplace_back("commit", ASSAY_BUILD_COMMIT);
  facts.emplace_back("compiler", ASSAY_BUILD_COMPILER);
  facts.emplace_back("flags", ASSAY_BUILD_FLAGS);
  facts.emplace_back("cuda_compiler", ASSAY_BUILD_CUDA);
  facts.emplace_back("cpu", cpu_name());
  facts.emplace_back("threads", std::to_string(num_threads()));
  facts.emplace_back("isa", std::string(name(best_isa())));
  utsname names{};
  if (uname(&names) == 0)
    facts.emplace_back("system",
                       fmt::format("{} {} {}", names.sysname, names.release, names.machine));
  for (const DeviceInfo& info : devices) {
    const std::string prefix = fmt::format("{}:{}", name(info.backend), info.index);
    facts.emplace_back(prefix, info.name);
    facts.emplace_back(prefix + " memory_bytes", std::to_string(info.memory_bytes));
    facts.emplace_back(prefix + " cache_bytes", std::to_string(info.cache_bytes));
    for (const auto& [key, value] : info.facts) facts.emplace_back(prefix + " " + key, value);
  }
  return environment;
}

}  // namespace assay
