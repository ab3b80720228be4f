// The files of src/report/page as text; CMake writes the definitions.
#pragma once

#include <string_view>

namespace excitor::page_files {

extern const std::string_view style;
extern const std::string_view elements;
extern const std::string_view charts;
extern const std::string_view run_report;
extern const std::string_view sweep_report;

}  // namespace excitor::page_files
