#include "reports/html_samples.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <cstdint>

namespace assay {
namespace {

constexpr std::string_view kAlphabet =
    "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

std::string base64(const std::vector<std::uint16_t>& numbers) {
  std::vector<std::uint8_t> bytes;
  for (const std::uint16_t number : numbers) {
    bytes.push_back(static_cast<std::uint8_t>(number & 0xff));
    bytes.push_back(static_cast<std::uint8_t>(number >> 8));
  }
  std::string text;
  for (std::size_t i = 0; i < bytes.size(); i += 3) {
    const std::size_t here = std::min<std::size_t>(3, bytes.size() - i);
    std::uint32_t group = 0;
    for (std::size_t k = 0; k < 3; ++k)
      group = group << 8 | (k < here ? bytes[i + k] : std::uint8_t{0});
    for (std::size_t k = 0; k < 4; ++k)
      text += k <= here ? kAlphabet[group >> (18 - 6 * k) & 63] : '=';
  }
  return text;
}

}  // namespace

std::size_t most_samples(std::size_t measurements) {
  constexpr std::size_t kAll = 1'500'000;  // 4 MB of times
  return std::clamp<std::size_t>(kAll / std::max<std::size_t>(measurements, 1), 50, 500);
}

std::string html_samples(const std::vector<Sample>& samples, std::size_t most) {
  std::vector<Sample> kept;
  const std::size_t every = std::max<std::size_t>(1, (samples.size() + most - 1) / most);
  for (std::size_t i = 0; i < samples.size(); i += every)
    if (samples[i].seconds > 0 && std::isfinite(samples[i].seconds)) kept.push_back(samples[i]);
  if (kept.empty()) return "null";
  const auto [low, high] =
      std::minmax_element(kept.begin(), kept.end(),
                          [](const Sample& a, const Sample& b) { return a.seconds < b.seconds; });
  const double range = std::log(high->seconds / low->seconds);
  std::vector<std::uint16_t> times;
  std::vector<std::uint16_t> clocks;
  bool any_clock = false;
  for (const Sample& sample : kept) {
    const double place = range > 0 ? std::log(sample.seconds / low->seconds) / range : 0;
    times.push_back(static_cast<std::uint16_t>(std::lround(65535 * place)));
    const float mhz = std::isfinite(sample.sm_mhz) ? std::clamp(sample.sm_mhz, 0.F, 32767.F) : 0.F;
    any_clock = any_clock || mhz > 0 || sample.throttled;
    clocks.push_back(static_cast<std::uint16_t>(std::lround(mhz) | (sample.throttled ? 32768 : 0)));
  }
  return fmt::format(R"({{"count":{},"every":{},"low":{},"high":{},"time":"{}","clock":"{}"}})",
                     samples.size(), every, low->seconds, high->seconds, base64(times),
                     any_clock ? base64(clocks) : "");
}

}  // namespace assay
