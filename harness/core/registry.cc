#include "harness/core/registry.h"

#include <algorithm>
#include <memory>
#include <stdexcept>
#include <tuple>

#include "harness/core/composite.h"
#include "harness/core/liar.h"
#include "harness/core/problem.h"

namespace assay {
namespace {

// Owned here and never destroyed, so that statics of any file may still use it at exit.
template <class T>
struct Store {
  std::vector<std::unique_ptr<T>> owned;
  std::vector<const T*> sorted;

  static Store& instance() {
    static Store& store = *new Store;
    return store;
  }
  template <class Key>
  void add(T item, Key key, const std::string& name) {
    owned.push_back(std::make_unique<T>(std::move(item)));
    const T* added = owned.back().get();
    const auto place = std::lower_bound(sorted.begin(), sorted.end(), added,
                                        [&](const T* a, const T* b) { return key(*a) < key(*b); });
    // Two of one name would make every later name ambiguous: a mistake in the build, caught before
    // main.
    if (place != sorted.end() && key(**place) == key(*added))
      throw std::logic_error("registered twice: " + name);
    sorted.insert(place, added);
  }
};

}  // namespace

RegisterOp::RegisterOp(Op op) {
  const std::string name = op.name;
  Store<Op>::instance().add(std::move(op), [](const Op& o) { return o.name; }, name);
}

RegisterVariant::RegisterVariant(Variant variant) {
  if (variant.steps) complete_composite(variant);
  const std::string name = variant.id();
  Store<Variant>::instance().add(
      std::move(variant), [](const Variant& v) { return std::tuple(v.op, v.backend, v.name); },
      name);
}

RegisterLiar::RegisterLiar(Liar liar) {
  if (liar.variant.steps) complete_composite(liar.variant);
  const std::string name = liar.variant.id();
  Store<Liar>::instance().add(
      std::move(liar),
      [](const Liar& l) { return std::tuple(l.variant.op, l.variant.backend, l.variant.name); },
      name);
}

const std::vector<const Liar*>& liars() { return Store<Liar>::instance().sorted; }

const std::vector<const Op*>& ops() { return Store<Op>::instance().sorted; }

const std::vector<const Variant*>& variants() { return Store<Variant>::instance().sorted; }

const Op* find_op(std::string_view name) {
  for (const Op* op : ops())
    if (op->name == name) return op;
  return nullptr;
}

const Op& op_of(const Problem& problem) {
  if (const Op* op = find_op(problem.op)) return *op;
  throw std::out_of_range("no op named " + problem.op);
}

const Variant* find_variant(std::string_view op, std::string_view name, Backend backend) {
  for (const Variant* variant : variants())
    if (variant->op == op && variant->name == name && variant->backend == backend) return variant;
  return nullptr;
}

bool glob_match(std::string_view pattern, std::string_view text) {
  std::size_t p = 0, t = 0, star = std::string_view::npos, resume = 0;
  while (t < text.size()) {
    if (p < pattern.size() && (pattern[p] == '?' || pattern[p] == text[t]) && pattern[p] != '*') {
      ++p;
      ++t;
    } else if (p < pattern.size() && pattern[p] == '*') {
      star = p++;
      resume = t;
    } else if (star != std::string_view::npos) {
      p = star + 1;
      t = ++resume;
    } else {
      return false;
    }
  }
  while (p < pattern.size() && pattern[p] == '*') ++p;
  return p == pattern.size();
}

std::string configured_name(const Variant& variant, const Problem& problem) {
  if (problem.configuration.empty()) return variant.name;
  return variant.name + "[" + str(problem.configuration) + "]";
}

bool matches(const Variant& variant, std::string_view glob) {
  return glob_match(glob, variant.id()) || glob_match(glob, variant.bare_name()) ||
         glob_match(glob, variant.name);
}

}  // namespace assay
