// write_settings: a struct as JSON.
#include <utility>

#include <nlohmann/json.hpp>

#include <excitor/util/settings.h>

#include "described_value.h"

namespace excitor {
namespace {

class Writer final : public LookingDescriber {
 public:
  Json take() { return std::move(object_); }

 private:
  void visit(const Field& field, const DescribedValue& value) override {
    if (!value.optional || !value.value.is_null()) put(field, value.value);
  }
  void object_of(const Field& field, const DescribeFunction& describe) override {
    put(field, write_settings(describe));
  }
  void optional_object_of(const Field& field, bool& present, const DescribeFunction& describe) override {
    if (present) put(field, write_settings(describe));
  }
  void list_of(const Field& field, const ListAccess& list) override {
    Json elements = Json::array();
    for (size_t i = 0; i < list.size(); ++i) {
      elements.push_back(write_settings([&](Describer& d) { list.describe(i, d); }));
    }
    put(field, std::move(elements));
  }

  void put(const Field& field, Json value) { object_[std::string(field.name)] = std::move(value); }

  Json object_ = Json::object();
};

}  // namespace

Json write_settings(const std::function<void(Describer&)>& describe) {
  Writer writer;
  describe(writer);
  return writer.take();
}

}  // namespace excitor
