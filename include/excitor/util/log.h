// Messages for people. All of them go to standard error (results go to standard output) and, during a run, to
// log.txt.
#pragma once

#include <filesystem>
#include <string_view>

namespace excitor::log {

enum class Level { debug, info, warning, error };

/// Messages below `level` are dropped on the terminal; the log file keeps everything from info up.
void set_terminal_level(Level level);

/// Appends every later message to `path` too, with date and level. Throws IoError when the file can't be
/// opened.
void open_file(const std::filesystem::path& path);
/// Flushes and closes the log file; does nothing when none is open.
void close_file();

void debug(std::string_view message);
void info(std::string_view message);
void warning(std::string_view message);
void error(std::string_view message);

}  // namespace excitor::log
