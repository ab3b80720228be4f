#include <excitor/sweep/sweep_points.h>

#include <cmath>
#include <optional>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include <excitor/sweep/sweep_settings.h>
#include <excitor/util/error.h>
#include <excitor/util/random.h>
#include <excitor/util/settings.h>
#include <excitor/util/sha256.h>

namespace excitor {
namespace {

/// What is drawn for one key.
struct Draw {
  std::string key;
  std::string kind;  ///< "uniform", "log_uniform", "integer" or "choice"
  double low = 0, high = 0;
  Json choices;
};

void check_key(const std::string& key, const std::string& place, Problems& problems) {
  for (const char* taken : {"output_dir", "distributed", "sweep"}) {
    if (key == taken || key.starts_with(std::string(taken) + "."))
      problems.add(place, fmt::format("{} is the same for the whole sweep; set it outside", taken));
  }
  if (key.find('=') != std::string::npos)
    problems.add(place, "is no key of a configuration, which is written section.key");
}

void check_count(double count, const std::string& place, Problems& problems) {
  if (count <= static_cast<double>(kMostSweepPoints)) return;
  problems.add(place, fmt::format("has {:.0f} points, more than {}; take values away, or draw some of them "
                                  "with \"random\"",
                                  count, kMostSweepPoints));
}

/// Keys with lists of values.
class Grid {
 public:
  void add(const std::string& key, const Json& values, const std::string& place, Problems& problems) {
    check_key(key, place, problems);
    if (!values.is_array()) {
      problems.add(
          place,
          fmt::format("found {}, expected a list of values, as in \"train.learning_rate\": [1e-3, 3e-4]",
                      describe_value(values)));
    } else if (values.empty()) {
      problems.add(place, "has no values; give some, or leave the key out");
    } else {
      axes_.emplace_back(key, values);
    }
  }

  bool empty() const { return axes_.empty(); }

  double size() const {
    double count = 1;
    for (const auto& [key, values] : axes_) count *= static_cast<double>(values.size());
    return count;
  }

  /// All combinations after `start`, the last key changing fastest.
  void expand(const SweepPoint& start, std::vector<SweepPoint>& points) const {
    std::vector<SweepPoint> partial{start};
    for (const auto& [key, values] : axes_) {
      std::vector<SweepPoint> longer;
      for (const SweepPoint& point : partial) {
        for (const Json& value : values) {
          longer.push_back(point);
          longer.back()[key] = value;
        }
      }
      partial = std::move(longer);
    }
    points.insert(points.end(), partial.begin(), partial.end());
  }

 private:
  std::vector<std::pair<std::string, Json>> axes_;
};

constexpr const char* kRangeWords =
    "expected {\"uniform\": [from, to]}, {\"log_uniform\": [from, to]}, {\"integer\": [from, to]} or a list "
    "of "
    "values";

/// The draw that `json` describes; what is wrong goes to `problems`.
Draw read_draw(const std::string& key, const Json& json, const std::string& place, Problems& problems) {
  check_key(key, place, problems);
  if (json.is_array()) {
    if (json.empty()) problems.add(place, "has no values; give some, or leave the key out");
    return {.key = key, .kind = "choice", .low = 0, .high = 0, .choices = json};
  }
  const std::string kind = json.is_object() && json.size() == 1 ? json.begin().key() : "";
  const bool known = kind == "uniform" || kind == "log_uniform" || kind == "integer";
  const Json ends = known ? json.begin().value() : Json();
  if (!ends.is_array() || ends.size() != 2 || !ends[0].is_number() || !ends[1].is_number()) {
    problems.add(place, fmt::format("found {}, {}", json.dump(), kRangeWords));
    return {};
  }
  const Draw draw{
      .key = key, .kind = kind, .low = ends[0].get<double>(), .high = ends[1].get<double>(), .choices = {}};
  if (!(draw.low < draw.high)) problems.add(place, "the range's first number must be below its second");
  if (kind == "log_uniform" && !(draw.low > 0)) problems.add(place, "a logarithmic range begins above 0");
  if (kind == "integer" && !(ends[0].is_number_integer() && ends[1].is_number_integer()))
    problems.add(place, "a range of integers needs two integers");
  return draw;
}

Json draw_value(const Draw& draw, uint64_t seed, uint64_t number) {
  // A stream of its own for each key, and a seed of its own for each draw of it.
  Random random(Random(seed, number).next_u64(), stream_of(draw.key));
  if (draw.kind == "choice") return draw.choices[random.below(draw.choices.size())];
  if (draw.kind == "integer") {
    const auto low = static_cast<int64_t>(draw.low), high = static_cast<int64_t>(draw.high);
    return low + static_cast<int64_t>(random.below(static_cast<uint64_t>(high - low) + 1));
  }
  const double share = random.uniform();
  if (draw.kind == "uniform") return draw.low + share * (draw.high - draw.low);
  return std::exp(std::log(draw.low) + share * (std::log(draw.high) - std::log(draw.low)));
}

/// A whole number from 1 (or 0) that stands in `section` at `key`.
std::optional<int64_t> read_count(const Json& section, const char* key, int64_t least, Problems& problems) {
  const std::string place = std::string("sweep.random.") + key;
  if (!section.contains(key)) return std::nullopt;
  const Json& value = section[key];
  if (value.is_number_integer() && value.get<int64_t>() >= least) return value.get<int64_t>();
  problems.add(place, fmt::format("found {}, expected an integer >= {}", describe_value(value), least));
  return std::nullopt;
}

/// `points` draws; nothing when something is wrong with the section.
std::vector<SweepPoint> draw_points(const Json& section, Problems& problems) {
  if (!section.is_object()) {
    problems.add("sweep.random", fmt::format("found {}, expected an object with \"points\" and ranges",
                                             describe_value(section)));
    return {};
  }
  const auto count = read_count(section, "points", 1, problems);
  const auto seed = read_count(section, "seed", 0, problems).value_or(0);
  if (!section.contains("points")) problems.add("sweep.random.points", "is missing: how many points to draw");
  std::vector<Draw> draws;
  for (const auto& [key, value] : section.items()) {
    if (key != "points" && key != "seed")
      draws.push_back(read_draw(key, value, "sweep.random." + key, problems));
  }
  if (draws.empty()) problems.add("sweep.random", "names no key to draw values for");
  if (count) check_count(static_cast<double>(*count), "sweep.random.points", problems);
  if (!problems.empty()) return {};
  std::vector<SweepPoint> points;
  for (int64_t number = 0; number < *count; ++number) {
    SweepPoint& point = points.emplace_back(SweepPoint::object());
    for (const Draw& draw : draws)
      point[draw.key] = draw_value(draw, static_cast<uint64_t>(seed), static_cast<uint64_t>(number));
  }
  return points;
}

std::vector<SweepPoint> chosen_points(const Json& sweep, const std::string& section, Problems& problems) {
  if (sweep.empty()) problems.add(section, "has no points; name some, or keys with lists of values");
  check_count(static_cast<double>(sweep.size()), section, problems);
  for (size_t i = 0; i < sweep.size() && i < kMostSweepPoints; ++i) {
    const std::string place = fmt::format("{}[{}]", section, i);
    if (!sweep[i].is_object()) {
      problems.add(place,
                   fmt::format("found {}, expected an object such as {{\"train.learning_rate\": 1e-3}}",
                               describe_value(sweep[i])));
      continue;
    }
    for (const auto& [key, value] : sweep[i].items()) check_key(key, place + "." + key, problems);
  }
  return {sweep.begin(), sweep.end()};
}

/// The points that the grid is combined with: chosen ones, draws, or one that sets nothing.
std::vector<SweepPoint> starting_points(const Json& sweep, Problems& problems) {
  if (sweep.contains("points") && sweep.contains("random"))
    problems.add("sweep.points", "stands beside sweep.random; give one of them");
  if (sweep.contains("random")) return draw_points(sweep["random"], problems);
  if (!sweep.contains("points")) return {SweepPoint::object()};
  if (sweep["points"].is_array()) return chosen_points(sweep["points"], "sweep.points", problems);
  problems.add("sweep.points",
               fmt::format("found {}, expected a list of points", describe_value(sweep["points"])));
  return {};
}

std::vector<SweepPoint> expand_object(const Json& sweep, Problems& problems) {
  Grid grid;
  for (const auto& [key, value] : sweep.items()) {
    if (key != "random" && key != "points" && !is_sweep_setting(key))
      grid.add(key, value, "sweep." + key, problems);
  }
  const bool is_empty = grid.empty() && !sweep.contains("random") && !sweep.contains("points");
  if (is_empty && problems.empty()) problems.add("sweep", "has no points; name keys with lists of values");
  read_sweep_settings(sweep, problems);
  const std::vector<SweepPoint> starts = starting_points(sweep, problems);
  check_count(grid.size() * static_cast<double>(starts.size()), "sweep", problems);
  if (!problems.empty()) return {};
  std::vector<SweepPoint> points;
  for (const SweepPoint& start : starts) grid.expand(start, points);
  return points;
}

}  // namespace

std::vector<SweepPoint> expand_sweep(const Json& sweep, const std::string& source) {
  Problems problems;
  std::vector<SweepPoint> points;
  if (sweep.is_array()) {
    points = chosen_points(sweep, "sweep", problems);
  } else if (sweep.is_object()) {
    points = expand_object(sweep, problems);
  } else {
    problems.add("sweep", fmt::format("found {}, expected keys with lists of values, or a list of points",
                                      describe_value(sweep)));
  }
  problems.throw_if_any(source);
  return points;
}

std::string sweep_run_id(const Json& resolved) {
  constexpr size_t kDigits = 16;
  Json what_counts = resolved;
  what_counts.erase("output_dir");
  what_counts.erase("distributed");
  return sha256_hex(what_counts.dump()).substr(0, kDigits);
}

Json sweep_schema() {
  const Json values = {{"type", "array"}, {"minItems", 1}};
  const Json ends = {{"type", "array"}, {"items", {{"type", "number"}}}, {"minItems", 2}, {"maxItems", 2}};
  const Json range = {{"type", "object"},
                      {"properties", {{"uniform", ends}, {"log_uniform", ends}, {"integer", ends}}},
                      {"minProperties", 1},
                      {"maxProperties", 1},
                      {"additionalProperties", false}};
  const Json random = {
      {"type", "object"},
      {"description", "Points drawn at random, each with every combination of the keys beside it."},
      {"properties",
       {{"points", {{"type", "integer"}, {"minimum", 1}}}, {"seed", {{"type", "integer"}, {"minimum", 0}}}}},
      {"required", {"points"}},
      {"additionalProperties", {{"oneOf", {values, range}}}}};
  const Json chosen = {
      {"type", "array"}, {"description", "Chosen points."}, {"items", {{"type", "object"}}}, {"minItems", 1}};
  SweepSettings settings;
  Json properties = settings_schema([&](Describer& d) { settings.describe(d); })["properties"];
  properties["random"] = random;
  properties["points"] = chosen;
  const Json grid = {{"type", "object"},
                     {"description", "Dotted keys and their values: every combination is a point."},
                     {"properties", properties},
                     {"additionalProperties", values}};
  return {{"description", "Points of excitor sweep; excitor train and check pass it over."},
          {"oneOf", {grid, chosen}}};
}

std::string sweep_reference() {
  SweepSettings settings;
  return "\n## `sweep`\n\n"
         "Read by `excitor sweep` alone. Keys are dotted keys of this page, values stand in the place of the "
         "file's.\n\n"
         "| form | points |\n|---|---|\n"
         "| `{\"train.seed\": [1, 2], \"method.r\": [8, 16]}` | every combination |\n"
         "| `[{\"method.type\": \"lora\", \"method.r\": 8}, …]` | the listed ones |\n"
         "| `{\"random\": {\"points\": 20, \"seed\": 0, \"train.learning_rate\": {\"log_uniform\": [1e-4, "
         "1e-2]}}}` | draws; also `{\"uniform\": [a, b]}`, `{\"integer\": [a, b]}` with both ends, and a "
         "list "
         "to choose from. Keys with lists beside `random` are combined with each draw |\n"
         "| `{\"points\": [{\"method.type\": \"lora\"}, …], \"train.seed\": [1, 2]}` | the listed ones, each "
         "with every combination of the keys beside them |\n\n"
         "Beside them may stand:\n\n" +
         settings_reference([&](Describer& d) { settings.describe(d); });
}

}  // namespace excitor
