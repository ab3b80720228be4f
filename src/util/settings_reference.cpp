// settings_reference and list_paths: every field of a struct under its dotted path.
#include <utility>

#include <fmt/core.h>
#include <nlohmann/json.hpp>

#include <excitor/util/settings.h>

#include "described_value.h"

namespace excitor {
namespace {

/// One line of the reference; `value` is null for a section.
struct Row {
  std::string path;
  const Field& field;
  const DescribedValue* value = nullptr;
  std::string_view section =
      {};  ///< what kind of section: "section", "section, may be absent", "list of sections"
};

/// Goes through all fields, nested ones included, in their order.
class Walker final : public LookingDescriber {
 public:
  Walker(std::string path, const std::function<void(const Row&)>& show)
      : path_(std::move(path)), show_(show) {}

 private:
  void visit(const Field& field, const DescribedValue& value) override {
    show_({.path = join_path(path_, field.name), .field = field, .value = &value});
  }
  void object_of(const Field& field, const DescribeFunction& describe) override {
    section(field, "section", "", describe);
  }
  void optional_object_of(const Field& field, bool&, const DescribeFunction& describe) override {
    section(field, "section, may be absent", "", describe);
  }
  void list_of(const Field& field, const ListAccess& list) override {
    section(field, "list of sections", "[]", list.describe_default);
  }

  void section(const Field& field, std::string_view kind, std::string_view suffix,
               const DescribeFunction& describe) {
    const std::string path = join_path(path_, field.name);
    show_({.path = path, .field = field, .section = kind});
    Walker inner(fmt::format("{}{}", path, suffix), show_);
    describe(inner);
  }

  std::string path_;
  const std::function<void(const Row&)>& show_;
};

std::string type_text(const Row& row) {
  if (row.value == nullptr) return std::string(row.section);
  std::string text = row.value->type.empty() ? "any" : std::string(row.value->type);
  if (row.value->list) text = "list of " + text;
  if (const std::string limits = limits_of(row.field.range); !limits.empty()) text += " " + limits;
  if (row.value->words.empty()) return text;
  text.clear();
  for (const std::string& word : row.value->words)
    text += fmt::format("{}`{}`", text.empty() ? "" : ", ", word);
  return text;
}

std::string default_text(const Row& row) {
  if (row.value == nullptr) return "";
  return row.value->value.is_null() ? "not set" : fmt::format("`{}`", row.value->value.dump());
}

/// A table's cell: no line ends, and bars that are not borders.
std::string cell(std::string_view text) {
  std::string safe;
  for (const char c : text) {
    if (c == '|') safe += '\\';
    safe += c == '\n' ? ' ' : c;
  }
  return safe;
}

void walk(const std::function<void(Describer&)>& describe, const std::function<void(const Row&)>& show) {
  Walker walker("", show);
  describe(walker);
}

}  // namespace

std::string settings_reference(const std::function<void(Describer&)>& describe) {
  std::string table = "| key | type | default | meaning |\n|---|---|---|---|\n";
  walk(describe, [&table](const Row& row) {
    table += fmt::format("| `{}` | {} | {} | {} |\n", row.path, cell(type_text(row)), cell(default_text(row)),
                         cell(row.field.doc));
  });
  return table;
}

std::vector<std::string> list_paths(const std::function<void(Describer&)>& describe) {
  std::vector<std::string> paths;
  walk(describe, [&paths](const Row& row) { paths.push_back(row.path); });
  return paths;
}

}  // namespace excitor
