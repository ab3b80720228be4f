#include <excitor/util/log.h>

#include <array>
#include <cstdlib>
#include <iterator>
#include <memory>
#include <mutex>

#include <spdlog/formatter.h>
#include <spdlog/logger.h>
#include <spdlog/sinks/ansicolor_sink.h>
#include <spdlog/sinks/basic_file_sink.h>
#include <unistd.h>

#include <excitor/util/error.h>

namespace excitor::log {
namespace {

spdlog::level::level_enum to_spdlog(Level level) {
  constexpr std::array kLevels{spdlog::level::debug, spdlog::level::info, spdlog::level::warn,
                               spdlog::level::err};
  return kLevels.at(static_cast<size_t>(level));
}

std::string_view prefix_of(spdlog::level::level_enum level) {
  switch (level) {
    case spdlog::level::debug:
      return "debug: ";
    case spdlog::level::warn:
      return "warning: ";
    case spdlog::level::err:
      return "error: ";
    default:
      return "";
  }
}

/// A line as a person reads it on a terminal: no date, and a level only where it matters. The prefix is
/// coloured.
class PlainFormatter final : public spdlog::formatter {
 public:
  void format(const spdlog::details::log_msg& message, spdlog::memory_buf_t& line) override {
    const std::string_view prefix = prefix_of(message.level);
    message.color_range_start = 0;
    message.color_range_end = prefix.size();
    line.append(prefix.data(), prefix.data() + prefix.size());
    line.append(message.payload.data(), message.payload.data() + message.payload.size());
    line.push_back('\n');
  }
  std::unique_ptr<spdlog::formatter> clone() const override { return std::make_unique<PlainFormatter>(); }
};

bool terminal_has_colour() {
  const char* no_colour = std::getenv("NO_COLOR");  // https://no-color.org: set and not empty
  return ::isatty(STDERR_FILENO) == 1 && (no_colour == nullptr || *no_colour == '\0');
}

std::unique_ptr<spdlog::logger> make_terminal_logger() {
  const auto mode = terminal_has_colour() ? spdlog::color_mode::always : spdlog::color_mode::never;
  auto sink = std::make_shared<spdlog::sinks::ansicolor_stderr_sink_st>(mode);
  sink->set_formatter(std::make_unique<PlainFormatter>());
  return std::make_unique<spdlog::logger>("terminal", std::move(sink));
}

/// The two places messages go to. The loggers are not in spdlog's registry: nothing else needs to find them
/// by name.
struct Outputs {
  std::mutex mutex;
  std::unique_ptr<spdlog::logger> terminal = make_terminal_logger();
  std::unique_ptr<spdlog::logger> file;
};

// Messages come from everywhere, so this is one of the few process-wide objects; it is made at the first
// message.
Outputs& outputs() {
  static Outputs instance;
  return instance;
}

void write(Level level, std::string_view message) {
  Outputs& out = outputs();
  const std::scoped_lock lock(out.mutex);
  const spdlog::string_view_t text(message.data(), message.size());
  out.terminal->log(to_spdlog(level), text);
  if (out.file) out.file->log(to_spdlog(level), text);
}

}  // namespace

void set_terminal_level(Level level) {
  const std::scoped_lock lock(outputs().mutex);
  outputs().terminal->set_level(to_spdlog(level));
}

void open_file(const std::filesystem::path& path) try {
  auto file = std::make_unique<spdlog::logger>(
      "file", std::make_shared<spdlog::sinks::basic_file_sink_st>(path.string()));
  file->set_pattern("%Y-%m-%dT%H:%M:%S%z %l %v");
  file->flush_on(spdlog::level::info);  // a killed run must leave its last words
  const std::scoped_lock lock(outputs().mutex);
  outputs().file = std::move(file);
} catch (const spdlog::spdlog_ex& error) {
  throw IoError(path.string() + ": cannot open the log file: " + error.what());
}

void close_file() {
  const std::scoped_lock lock(outputs().mutex);
  outputs().file.reset();
}

void debug(std::string_view message) {
  write(Level::debug, message);
}
void info(std::string_view message) {
  write(Level::info, message);
}
void warning(std::string_view message) {
  write(Level::warning, message);
}
void error(std::string_view message) {
  write(Level::error, message);
}

}  // namespace excitor::log
