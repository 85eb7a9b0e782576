#include "harness/core/problem.h"

#include <algorithm>
#include <charconv>
#include <stdexcept>

#include "harness/core/text.h"

namespace assay {
namespace {

template <class List>
auto& named(const List& list, std::string_view name, const std::string& op, const char* what) {
  for (const auto& item : list)
    if (item.name == name) return item;
  throw std::out_of_range(op + " has no " + what + " named " + std::string(name));
}

template <class Number>
std::string shortest(Number value) {
  char buffer[32];
  const auto end = std::to_chars(buffer, buffer + sizeof buffer, value).ptr;
  return {buffer, end};
}

}  // namespace

std::int64_t Problem::dim(std::string_view name) const { return named(dims, name, op, "dim").size; }

DType Problem::dtype_of(std::string_view tensor) const {
  return named(tensors, tensor, op, "tensor").dtype;
}

bool Problem::has(std::string_view tensor) const {
  return named(tensors, tensor, op, "tensor").present;
}

double Problem::real(std::string_view option) const {
  return std::get<double>(named(options, option, op, "option").value);
}

bool Problem::flag(std::string_view option) const {
  return std::get<bool>(named(options, option, op, "option").value);
}

std::string str(const OptionValue& value) {
  if (const auto* flag = std::get_if<bool>(&value)) return *flag ? "1" : "0";
  if (const auto* integer = std::get_if<std::int64_t>(&value)) return shortest(*integer);
  if (const auto* real = std::get_if<double>(&value)) return shortest(*real);
  return std::get<std::string>(value);
}

std::string str(const Problem& problem) {
  std::string text = problem.op + " dtype=" + std::string(name(problem.dtype));
  for (const auto& tensor : problem.tensors) {
    if (tensor.as_declared) continue;
    text += " " + lower(tensor.name) + "=";
    text += !tensor.present ? "0" : tensor.dtype_named ? name(tensor.dtype) : "1";
  }
  for (const auto& dim : problem.dims) text += " " + dim.name + "=" + shortest(dim.size);
  for (const auto& option : problem.options)
    if (!option.is_default) text += " " + option.name + "=" + str(option.value);
  if (!problem.family.empty()) text += " family=" + problem.family;
  return text;
}

}  // namespace assay
