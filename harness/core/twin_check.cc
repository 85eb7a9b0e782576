#include "harness/core/twin_check.h"

#include <algorithm>
#include <deque>
#include <utility>

#include "harness/core/random.h"

namespace assay {
namespace {

// Never destroyed, so that statics of any file may use them at exit.
std::deque<TwinCheck>& all_checks() {
  static auto& all = *new std::deque<TwinCheck>;
  return all;
}
std::deque<TwinRefusal>& all_refusals() {
  static auto& all = *new std::deque<TwinRefusal>;
  return all;
}

template <class T>
std::vector<const T*> by_name(const std::deque<T>& all) {
  std::vector<const T*> sorted;
  for (const T& item : all) sorted.push_back(&item);
  std::stable_sort(sorted.begin(), sorted.end(), [](const T* a, const T* b) {
    return a->name != b->name ? a->name < b->name : a->backend < b->backend;
  });
  return sorted;
}

}  // namespace

void Expectation::bits(std::size_t i, std::uint32_t word) {
  words_.at(i) = {.kind = Word::Kind::bits, .bits = word};
}

void Expectation::number(std::size_t i, double value, double scale) {
  words_.at(i) = {.kind = Word::Kind::number, .value = value, .scale = scale};
}

RegisterTwinCheck::RegisterTwinCheck(TwinCheck check) { all_checks().push_back(std::move(check)); }
RegisterTwinRefusal::RegisterTwinRefusal(TwinRefusal refusal) {
  all_refusals().push_back(std::move(refusal));
}

std::vector<const TwinCheck*> twin_checks() { return by_name(all_checks()); }
std::vector<const TwinRefusal*> twin_refusals() { return by_name(all_refusals()); }

Words twin_inputs(const TwinCheck& check) {
  Words words(check.inputs);
  std::uint64_t stream = 0xcbf29ce484222325u;  // FNV-1a of the name
  for (const char c : check.name) {
    stream = (stream ^ static_cast<unsigned char>(c)) * 0x100000001b3u;
  }
  random_bits({.seed = 1, .stream = stream}, 0, static_cast<std::int64_t>(words.size()),
              words.data());
  for (std::uint32_t& word : words) word = std::max(word, 1u);
  if (check.prepare) check.prepare(words);
  return words;
}

}  // namespace assay
