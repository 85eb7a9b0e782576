#include "harness/worker/protocol.h"

#include <fmt/format.h>
#include <sys/socket.h>

#include <cerrno>
#include <charconv>
#include <stdexcept>

#include "harness/core/liar.h"
#include "harness/core/registry.h"
#include "harness/engine/suite.h"
#include "reports/jsonl.h"

namespace assay {
namespace {

template <class Number>
void read(const std::string& text, Number& value) {
  const char* end = text.data() + text.size();
  const auto result = std::from_chars(text.data(), end, value);
  if (result.ec != std::errc{} || result.ptr != end)
    throw std::invalid_argument("`" + text + "` is no number");
}
void read(const std::string& text, bool& value) { value = text == "true"; }
void read(const std::string& text, std::string& value) { value = text; }

// Calls visit(name, value) for every option that a worker must know. The bindings make a new member
// a mistake at compile time, until it is here, too.
template <class Options, class Visit>
void each_option(Options& options, const Visit& visit) {
  auto& [seed, seeds, verify_only, measure, verify, small, fences, environment, limits_again] =
      options;
  auto& [execution, has_twins, twins, judged_by_host, dump] = verify;
  auto& [sampling, caches, trace, counters] = measure;
  auto& [min_samples, min_seconds, noise, max_seconds, max_samples] = sampling;
  auto& [schedule, schedule_seed, timeout, trace_block] = execution;
  static_cast<void>(twins);          // the worker's own
  static_cast<void>(schedule_seed);  // that of the inputs
  visit("seed", seed);
  visit("seeds", seeds);
  visit("small", small);
  visit("judged_by_host", judged_by_host);
  visit("fences", fences);
  visit("dump", dump);
  visit("twins", has_twins);
  visit("verify_only", verify_only);
  visit("min_samples", min_samples);
  visit("min_seconds", min_seconds);
  visit("max_seconds", max_seconds);
  visit("max_samples", max_samples);
  visit("noise", noise);
  visit("caches", caches);
  visit("trace", trace);
  visit("counters", counters);
  visit("limits_again", limits_again);
  visit("schedule", schedule);
  visit("timeout", timeout);
  visit("trace_block", trace_block);
  visit("environment", environment);
}

const Variant* find_variant(const std::string& id, bool is_liar) {
  if (is_liar) {
    for (const Liar* liar : liars())
      if (liar->variant.id() == id) return &liar->variant;
  } else {
    for (const Variant* variant : variants())
      if (variant->id() == id) return variant;
  }
  throw std::invalid_argument("no variant " + id);
}

}  // namespace

std::string to_line(const Job& job, const RunOptions& options) {
  Fields fields = {{"problem", str(job.problem)},
                   {"variant", job.variant->id()},
                   {"configuration", str(job.problem.configuration)},
                   {"alias", job.alias},
                   {"note", job.note},
                   {"is_liar", fmt::format("{}", job.is_liar)},
                   {"backend", std::string(name(job.device->backend))},
                   {"device", std::to_string(job.device->index)}};
  each_option(options, [&](const char* key, const auto& value) {
    fields.emplace_back(key, fmt::format("{}", value));
  });
  return to_json(fields);
}

Order read_order(const std::string& line) {
  const Fields fields = read_fields(line);
  const auto field = [&](std::string_view key) -> const std::string& {
    for (const auto& [name, value] : fields)
      if (name == key) return value;
    throw std::invalid_argument(fmt::format("no {} in {}", key, line));
  };
  Order order;
  order.problem = parse_problem(field("problem"));
  order.problem.configuration = parse_configuration(field("configuration"));
  order.alias = field("alias");
  order.note = field("note");
  read(field("is_liar"), order.is_liar);
  order.variant = find_variant(field("variant"), order.is_liar);
  order.backend = parse_backend(field("backend")).value();
  read(field("device"), order.device);
  each_option(order.options, [&](const char* key, auto& value) { read(field(key), value); });
  return order;
}

bool LineSocket::send(const std::string& line) const {
  const std::string text = line + "\n";
  for (std::size_t sent = 0; sent < text.size();) {
    const ssize_t n = ::send(descriptor_, text.data() + sent, text.size() - sent, MSG_NOSIGNAL);
    if (n < 0 && errno == EINTR) continue;
    if (n <= 0) return false;
    sent += static_cast<std::size_t>(n);
  }
  return true;
}

bool LineSocket::take(std::string& line) {
  const std::size_t end = buffer_.find('\n');
  if (end == std::string::npos) return false;
  line = buffer_.substr(0, end);
  buffer_.erase(0, end + 1);
  return true;
}

bool LineSocket::receive() {
  char bytes[1 << 16];
  for (;;) {
    const ssize_t n = recv(descriptor_, bytes, sizeof bytes, 0);
    if (n < 0 && errno == EINTR) continue;
    if (n <= 0) return false;
    buffer_.append(bytes, static_cast<std::size_t>(n));
    return true;
  }
}

}  // namespace assay
