// settings_schema: a struct as JSON Schema, so that editors complete and check configurations.
#include <cmath>
#include <utility>

#include <nlohmann/json.hpp>

#include <excitor/util/settings.h>

#include "described_value.h"

namespace excitor {
namespace {

Json object_schema(const std::function<void(Describer&)>& describe);

Json type_of(const DescribedValue& value) {
  const std::string name(value.type);
  return value.optional ? Json::array({name, "null"}) : Json(name);
}

Json words_of(const DescribedValue& value) {
  Json words = value.words;
  if (value.optional) words.push_back(nullptr);
  return words;
}

/// Whole numbers without ".0": editors show limits as they stand.
Json limit(double value) {
  return std::nearbyint(value) == value && std::abs(value) < 0x1p53 ? Json(static_cast<int64_t>(value))
                                                                    : Json(value);
}

void put_limits(Json& schema, const Range& range) {
  if (std::isfinite(range.minimum))
    schema[range.open_minimum ? "exclusiveMinimum" : "minimum"] = limit(range.minimum);
  if (std::isfinite(range.maximum)) schema["maximum"] = limit(range.maximum);
}

class SchemaWriter final : public LookingDescriber {
 public:
  Json take() { return std::move(properties_); }

 private:
  void visit(const Field& field, const DescribedValue& value) override {
    Json limits = Json::object();
    if (!value.type.empty()) limits["type"] = type_of(value);
    if (!value.words.empty()) limits["enum"] = words_of(value);
    put_limits(limits, field.range);
    Json schema = value.list ? Json{{"type", "array"}, {"items", limits}} : limits;
    if (!value.value.is_null()) schema["default"] = value.value;
    put(field, std::move(schema));
  }
  void object_of(const Field& field, const DescribeFunction& describe) override {
    put(field, object_schema(describe));
  }
  void optional_object_of(const Field& field, bool&, const DescribeFunction& describe) override {
    Json schema = object_schema(describe);
    schema["type"] = Json::array({"object", "null"});
    put(field, std::move(schema));
  }
  void list_of(const Field& field, const ListAccess& list) override {
    put(field, {{"type", "array"}, {"items", object_schema(list.describe_default)}});
  }

  void put(const Field& field, Json schema) {
    schema["description"] = std::string(field.doc);
    properties_[std::string(field.name)] = std::move(schema);
  }

  Json properties_ = Json::object();
};

Json object_schema(const std::function<void(Describer&)>& describe) {
  SchemaWriter writer;
  describe(writer);
  return {{"type", "object"}, {"properties", writer.take()}, {"additionalProperties", false}};
}

}  // namespace

Json settings_schema(const std::function<void(Describer&)>& describe) {
  Json schema = {{"$schema", "https://json-schema.org/draft/2020-12/schema"}};
  schema.update(object_schema(describe));
  // With this key a configuration tells an editor which schema it follows; read_settings passes over it.
  schema["properties"]["$schema"] = {{"type", "string"},
                                     {"description", "Where the schema of this file lies."}};
  return schema;
}

}  // namespace excitor
