// excitor cache: what prepared data take on the disk, and less of it.
#include <iostream>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include <fmt/chrono.h>
#include <fmt/format.h>
#include <CLI/CLI.hpp>
#include <nlohmann/json.hpp>

#include <excitor/util/cache_folder.h>
#include <excitor/util/error.h>
#include <excitor/util/json.h>

#include "commands.h"

namespace excitor {
namespace {

struct CacheOptions {
  std::string folder;
  std::optional<double> limit_gib;
  bool clear = false;
  bool json = false;
};

constexpr double kGib = 1 << 30;

std::string time_text(std::filesystem::file_time_type time) {
  const auto seconds = std::chrono::floor<std::chrono::seconds>(std::chrono::file_clock::to_sys(time));
  return fmt::format("{:%Y-%m-%d %H:%M:%S} UTC", fmt::gmtime(std::chrono::system_clock::to_time_t(seconds)));
}

Json list_json(const std::vector<CacheEntry>& entries) {
  Json list = Json::array();
  for (const CacheEntry& entry : entries) {
    list.push_back({{"folder", entry.folder.string()},
                    {"content", entry.content},
                    {"bytes", entry.bytes},
                    {"last_used", time_text(entry.last_used)}});
  }
  return list;
}

void print_list(const char* heading, const std::vector<CacheEntry>& entries) {
  int64_t bytes = 0;
  for (const CacheEntry& entry : entries) bytes += entry.bytes;
  std::cout << fmt::format("{}: {} entries, {:.3f} GiB\n", heading, entries.size(),
                           static_cast<double>(bytes) / kGib);
  for (const CacheEntry& entry : entries)
    std::cout << fmt::format("  {:>9.3f} GiB  last used {}  {}  {}\n",
                             static_cast<double>(entry.bytes) / kGib, time_text(entry.last_used),
                             entry.folder.string(), entry.content);
}

std::filesystem::path folder_of(const CacheOptions& options) {
  if (!options.folder.empty()) return options.folder;
  if (auto folder = default_cache_folder()) return *folder;
  throw UsageError("there is no cache: neither XDG_CACHE_HOME nor HOME is set; name a folder: --dir");
}

void show_or_shrink(const CacheOptions& options) {
  const std::filesystem::path folder = folder_of(options);
  std::vector<CacheEntry> removed;
  if (options.clear || options.limit_gib)
    removed = shrink_cache(folder, options.clear ? 0 : static_cast<int64_t>(*options.limit_gib * kGib));
  const std::vector<CacheEntry> entries = list_cache(folder);
  if (options.json) {
    std::cout << Json({{"folder", folder.string()},
                       {"entries", list_json(entries)},
                       {"removed", list_json(removed)}})
                     .dump(-1, ' ', false, Json::error_handler_t::replace)
              << "\n";
    return;
  }
  if (!removed.empty()) print_list("removed", removed);
  print_list(folder.string().c_str(), entries);
}

}  // namespace

void add_cache_command(CLI::App& app, CommandResult&) {
  auto options = std::make_shared<CacheOptions>();
  auto* command = app.add_subcommand("cache", "Lists prepared data, and removes what was not used for long");
  command->add_option("--dir", options->folder, "The folder (default: that of data.cache_dir \"auto\")");
  auto* limit = command
                    ->add_option("--limit", options->limit_gib,
                                 "GiB that may stay; what was used longest ago is removed first")
                    ->check(CLI::NonNegativeNumber);
  command->add_flag("--clear", options->clear, "Remove everything")->excludes(limit);
  command->add_flag("--json", options->json, "One JSON object instead of the text");
  command->footer(
      "What is removed is computed again when a run needs it. Data that a process is preparing stay.\n"
      "Example: excitor cache --limit 20");
  command->callback([options] { show_or_shrink(*options); });
}

}  // namespace excitor
