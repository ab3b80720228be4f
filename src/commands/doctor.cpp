// excitor doctor: what the program stands on here, how fast that is, and what to mend.
#include <algorithm>
#include <cctype>
#include <iostream>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include <ATen/Parallel.h>
#include <ATen/Version.h>
#include <fmt/format.h>
#include <CLI/CLI.hpp>
#include <nlohmann/json.hpp>

#include <excitor/library_versions.h>
#include <excitor/tensor/matmul.h>
#include <excitor/util/json.h>
#include <excitor/util/system.h>
#include <excitor/version.h>

#include "commands.h"
#include "machine.h"

namespace excitor {
namespace {

constexpr double kGiB = 1 << 30;
constexpr double kSecondsPerRate = 0.5;

/// Something that is missing or slow, and the command that mends it.
struct Advice {
  std::string what;
  std::string command;
  bool essential = false;  ///< nothing can be computed before it is mended
};

struct Diagnosis {
  Cpu cpu;
  int64_t total_memory = 0, available_memory = 0;
  Storage storage;
  int64_t threads = 0;
  std::vector<std::pair<std::string, std::optional<std::string>>> environment;
  bool onednn_fp32 = false, onednn_bf16 = false;
  Cuda cuda;
  MatmulRate fp32, bf16;
  std::vector<Advice> advice;

  bool healthy() const {
    return std::none_of(advice.begin(), advice.end(), [](const Advice& a) { return a.essential; });
  }
  std::string variable(const std::string& name) const {
    for (const auto& [key, value] : environment)
      if (key == name) return value.value_or("");
    return "";
  }
};

void advise_on_threads(Diagnosis& d) {
  if (d.threads > d.cpu.usable_cores) {
    d.advice.push_back(
        {fmt::format("{} threads compute on {} cores and wait for each other", d.threads, d.cpu.usable_cores),
         fmt::format("export OMP_NUM_THREADS={}", d.cpu.usable_cores)});
  }
  if (d.threads < d.cpu.usable_cores && !d.variable("OMP_NUM_THREADS").empty()) {
    d.advice.push_back(
        {fmt::format("{} of {} cores compute (OMP_NUM_THREADS)", d.threads, d.cpu.usable_cores),
         "unset OMP_NUM_THREADS"});
  }
  std::string policy = d.variable("OMP_WAIT_POLICY");
  std::transform(policy.begin(), policy.end(), policy.begin(),
                 [](unsigned char c) { return std::toupper(c); });
  if (policy == "ACTIVE") {
    d.advice.push_back(
        {"waiting threads keep their cores busy (OMP_WAIT_POLICY); on shared or virtual cores "
         "training is several times slower so",
         "unset OMP_WAIT_POLICY"});
  }
}

void advise_on_products(Diagnosis& d) {
  for (const auto& [name, rate] : {std::pair("fp32", d.fp32), std::pair("bf16", d.bf16)}) {
    if (rate.correct) continue;
    d.advice.push_back({fmt::format("a {} product of known matrices came out wrong: LibTorch and this CPU do "
                                    "not go together",
                                    name),
                        "rm -rf .venv && scripts/build.sh", true});
  }
  if (!d.onednn_fp32) {
    d.advice.push_back({"this LibTorch has no oneDNN: products go through the BLAS, at about half the speed",
                        "scripts/build.sh -DEXCITOR_TORCH_DIR="});
  }
  if (d.onednn_fp32 && !d.variable("ONEDNN_MAX_CPU_ISA").empty()) {
    d.advice.push_back({"oneDNN is held to fewer instructions than the CPU has (ONEDNN_MAX_CPU_ISA)",
                        "unset ONEDNN_MAX_CPU_ISA"});
  }
}

void advise_on_gpus(Diagnosis& d) {
  if (d.cuda.state.gpus > 0 && !d.cuda.problem.empty())
    d.advice.push_back({"the GPUs can't be used: " + d.cuda.problem, "scripts/build.sh"});
  for (const Gpu& gpu : d.cuda.gpus) {
    if (gpu.correct) continue;
    d.advice.push_back(
        {fmt::format("a product of known matrices came out wrong on the {}", gpu.properties.name),
         "nvidia-smi -q", true});
  }
}

void advise_on_space(Diagnosis& d) {
  constexpr int64_t kLittle = 1 << 30;
  if (d.available_memory < kLittle) {
    d.advice.push_back({fmt::format("{:.1f} GiB of memory are free: enough for small models alone",
                                    d.available_memory / kGiB),
                        "ps -eo rss,pid,args --sort=-rss | head"});
  }
  if (d.storage.free_bytes < kLittle) {
    d.advice.push_back({fmt::format("{:.1f} GiB of disk are free in {}: checkpoints may not fit",
                                    d.storage.free_bytes / kGiB, d.storage.path),
                        "excitor train CONFIG output_dir=/a/larger/disk"});
  }
}

Diagnosis diagnose() {
  Diagnosis d{.cpu = inspect_cpu(),
              .total_memory = total_memory_bytes(),
              .available_memory = available_memory_bytes(),
              .storage = inspect_storage("."),
              .threads = at::get_num_threads(),
              .environment = thread_environment(),
              .onednn_fp32 = onednn_multiplies(at::kFloat),
              .onednn_bf16 = onednn_multiplies(at::kBFloat16),
              .cuda = inspect_gpus(kSecondsPerRate),
              .fp32 = measure_matmul(at::kFloat, kSecondsPerRate),
              .bf16 = measure_matmul(at::kBFloat16, kSecondsPerRate)};
  advise_on_products(d);
  advise_on_gpus(d);
  advise_on_threads(d);
  advise_on_space(d);
  return d;
}

Json json_of(const Cuda& cuda) {
  Json gpus = Json::array();
  for (const Gpu& gpu : cuda.gpus) {
    gpus.push_back({{"name", gpu.properties.name},
                    {"compute_capability", gpu.properties.compute_capability},
                    {"total_bytes", gpu.properties.total_bytes},
                    {"free_bytes", gpu.properties.free_bytes},
                    {"bf16_tflops", gpu.bf16_tflops},
                    {"correct", gpu.correct},
                    {"from_host_gb_per_s", gpu.from_host_gb_per_s},
                    {"from_first_gb_per_s", gpu.from_first_gb_per_s}});
  }
  return {{"driver", cuda.state.driver},
          {"module", cuda.state.module ? Json(cuda.state.module->string()) : Json()},
          {"problem", cuda.problem.empty() ? Json() : Json(cuda.problem)},
          {"nccl", cuda.nccl.empty() ? Json() : Json(cuda.nccl)},
          {"gpus", gpus}};
}

Json json_of(const Diagnosis& d) {
  Json versions = {{"excitor", kVersion}};
  for (const auto& [name, version] : kLibraryVersions) versions[name] = version;
  Json instructions = Json::object(), environment = Json::object(), advice = Json::array();
  for (const auto& [name, there] : d.cpu.instructions) instructions[name] = there;
  for (const auto& [name, value] : d.environment) environment[name] = value ? Json(*value) : Json();
  for (const Advice& a : d.advice)
    advice.push_back({{"what", a.what}, {"command", a.command}, {"essential", a.essential}});
  return {{"versions", versions},
          {"cpu",
           {{"model", d.cpu.model},
            {"cores", d.cpu.cores},
            {"usable_cores", d.cpu.usable_cores},
            {"instructions", instructions},
            {"libtorch_kernels", at::get_cpu_capability()}}},
          {"memory", {{"total_bytes", d.total_memory}, {"available_bytes", d.available_memory}}},
          {"disk", {{"path", d.storage.path}, {"free_bytes", d.storage.free_bytes}}},
          {"threads", {{"computing", d.threads}, {"environment", environment}}},
          {"onednn", {{"fp32", d.onednn_fp32}, {"bf16", d.onednn_bf16}}},
          {"cuda", json_of(d.cuda)},
          {"gflops", {{"fp32", d.fp32.gflops}, {"bf16", d.bf16.gflops}}},
          {"advice", advice},
          {"healthy", d.healthy()}};
}

void line(const std::string& name, const std::string& text) {
  std::cout << fmt::format("{:<14} {}\n", name, text);
}

void print_gpus(const Cuda& cuda) {
  line("CUDA module", cuda.state.module ? cuda.state.module->string() : "none (libexcitor_cuda.so)");
  if (!cuda.problem.empty()) line("gpu", "none: " + cuda.problem);
  for (const Gpu& gpu : cuda.gpus) {
    const GpuProperties& p = gpu.properties;
    line("gpu",
         fmt::format("{}, {:.1f} of {:.1f} GiB free, bf16 {:.0f} TFLOP/s, from main memory {:.1f} GB/s",
                     p.name, p.free_bytes / kGiB, p.total_bytes / kGiB, gpu.bf16_tflops,
                     gpu.from_host_gb_per_s) +
             (gpu.from_first_gb_per_s > 0 ? fmt::format(", from GPU 0 {:.1f} GB/s", gpu.from_first_gb_per_s)
                                          : ""));
  }
  if (!cuda.nccl.empty()) line("NCCL", cuda.nccl);
}

void print_versions() {
  line("excitor", kVersion);
  std::string others;
  for (const auto& [name, version] : kLibraryVersions) {
    if (std::string_view(name) == "LibTorch" || std::string_view(name) == "compiler")
      line(name, version);
    else
      others += fmt::format("{}{} {}", others.empty() ? "" : ", ", name, version);
  }
  line("libraries", others);
}

void print(const Diagnosis& d) {
  print_versions();
  line("cpu", fmt::format("{}, {} of {} cores usable", d.cpu.model, d.cpu.usable_cores, d.cpu.cores));
  std::string there, absent;
  for (const auto& [name, has] : d.cpu.instructions) (has ? there : absent) += " " + name;
  line("instructions",
       fmt::format("has{}; has not{}; LibTorch takes its {} kernels", there.empty() ? " none" : there,
                   absent.empty() ? " none" : absent, at::get_cpu_capability()));
  line("oneDNN", fmt::format("multiplies fp32: {}; bf16: {}", d.onednn_fp32 ? "yes" : "no",
                             d.onednn_bf16 ? "yes" : "no, bf16 goes through fp32 and gains no time"));
  line("products", fmt::format("fp32 {:.0f} GFLOP/s, bf16 {:.0f} GFLOP/s (1024 x 1024, now)", d.fp32.gflops,
                               d.bf16.gflops));
  line("memory",
       fmt::format("{:.1f} GiB, {:.1f} GiB available", d.total_memory / kGiB, d.available_memory / kGiB));
  line("disk", fmt::format("{:.1f} GiB free in {}", d.storage.free_bytes / kGiB, d.storage.path));
  std::string set;
  for (const auto& [name, value] : d.environment)
    if (value) set += fmt::format("; {}={}", name, *value);
  line("threads", fmt::format("{}{}", d.threads, set));
  print_gpus(d.cuda);
  for (const Advice& a : d.advice)
    line(a.essential ? "BROKEN" : "advice", fmt::format("{}\n{:<14} mend it: {}", a.what, "", a.command));
  line("verdict", !d.healthy()       ? "cannot compute before that is mended"
                  : d.advice.empty() ? "all is well"
                                     : "it works; the advice above makes it better");
}

}  // namespace

void add_doctor_command(CLI::App& app, CommandResult& result) {
  auto* command =
      app.add_subcommand("doctor", "Versions, machine, speed; what is missing and how to mend it");
  auto json = std::make_shared<bool>(false);
  command->add_flag("--json", *json, "One JSON object instead of the text");
  command->footer("Example: excitor doctor");
  command->callback([json, &result] {
    const Diagnosis diagnosis = diagnose();
    if (*json)
      std::cout << json_of(diagnosis).dump(-1, ' ', false, Json::error_handler_t::replace) << "\n";
    else
      print(diagnosis);
    result.exit_code = diagnosis.healthy() ? 0 : 1;
  });
}

}  // namespace excitor
