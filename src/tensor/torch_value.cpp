#include <algorithm>
#include <stdexcept>

#include <fmt/format.h>

#include <excitor/tensor/dtype.h>
#include <excitor/tensor/torch_file.h>
#include <excitor/util/error.h>

#include "safetensors_header.h"

namespace excitor {
namespace {

struct Describe {
  std::string operator()(std::monostate) const { return "None"; }
  std::string operator()(bool value) const { return value ? "True" : "False"; }
  std::string operator()(int64_t value) const { return fmt::format("the integer {}", value); }
  std::string operator()(double value) const { return fmt::format("the number {}", value); }
  std::string operator()(const std::string& value) const { return "the string " + quote_name(value); }
  std::string operator()(const at::Tensor& value) const {
    return value.defined() ? fmt::format("a tensor {} [{}]", dtype_name(value.scalar_type()),
                                         fmt::join(value.sizes(), ", "))
                           : "an undefined tensor";
  }
  std::string operator()(const TorchValue::List& value) const {
    return fmt::format("a list of {}", value.size());
  }
  std::string operator()(const TorchValue::Dict& value) const {
    return fmt::format("a dict of {}", value.size());
  }
};

/// "model, optimizer, … (12 in all)"
std::string list_keys(const TorchValue::Dict& dict) {
  constexpr size_t kShown = 6;
  std::string text;
  for (size_t i = 0; i < std::min(kShown, dict.size()); ++i)
    text += (i == 0 ? "" : ", ") + quote_name(dict[i].first);
  if (dict.size() > kShown) text += fmt::format(", … ({} in all)", dict.size());
  return dict.empty() ? "none" : text;
}

}  // namespace

std::string TorchValue::describe() const {
  return std::visit(Describe(), value_);
}

template <class T>
const T& TorchValue::get(const char* expected) const {
  if (const T* value = std::get_if<T>(&value_)) return *value;
  throw CheckpointError(fmt::format("{}: found {}, expected {}; is this the right file?",
                                    place_.empty() ? "value" : place_, describe(), expected));
}

bool TorchValue::boolean() const {
  return get<bool>("True or False");
}

int64_t TorchValue::integer() const {
  return get<int64_t>("an integer");
}

double TorchValue::number() const {
  if (is_integer()) return static_cast<double>(std::get<int64_t>(value_));
  return get<double>("a number");
}

const std::string& TorchValue::string() const {
  return get<std::string>("a string");
}

const at::Tensor& TorchValue::tensor() const {
  return get<at::Tensor>("a tensor");
}

const TorchValue::List& TorchValue::list() const {
  return get<List>("a list");
}

const TorchValue::Dict& TorchValue::dict() const {
  return get<Dict>("a dict");
}

const TorchValue* TorchValue::find(std::string_view key) const {
  const Dict& members = dict();
  const auto found = std::ranges::find(members, key, &Dict::value_type::first);
  return found == members.end() ? nullptr : &found->second;
}

const TorchValue& TorchValue::at(std::string_view key) const {
  if (const TorchValue* found = find(key)) return *found;
  throw CheckpointError(fmt::format("{}: there is no {}; found the keys {}. Is this the right file?",
                                    place_.empty() ? "value" : place_, quote_name(key), list_keys(dict())));
}

void TorchValue::set(std::string key, TorchValue value) {
  Dict* members = std::get_if<Dict>(&value_);
  if (members == nullptr) throw std::logic_error("TorchValue::set: this is no dict but " + describe());
  const auto found = std::ranges::find(*members, key, &Dict::value_type::first);
  if (found != members->end())
    found->second = std::move(value);
  else
    members->emplace_back(std::move(key), std::move(value));
}

}  // namespace excitor
