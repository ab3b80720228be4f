#include <excitor/sweep/worker_pool.h>

#include <poll.h>

#include <algorithm>
#include <cstdlib>
#include <deque>
#include <memory>
#include <optional>

#include <ATen/Parallel.h>
#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include <excitor/dist/worker_process.h>
#include <excitor/util/log.h>
#include <excitor/util/signals.h>

namespace excitor {
namespace {

/// The cores are shared evenly, unless OMP_NUM_THREADS says otherwise.
std::vector<std::string> thread_variables(int64_t processes) {
  if (std::getenv("OMP_NUM_THREADS") != nullptr) return {};
  return {fmt::format("OMP_NUM_THREADS={}", std::max<int64_t>(1, at::get_num_threads() / processes))};
}

void say(const std::optional<PointJob>& job, const std::string& line) {
  const std::string point = job ? fmt::format("point {}: ", job->index + 1) : "";
  log::info(point + line);
}

}  // namespace

/// One of the places, with its process and the point that this works on.
struct WorkerPool::Slot {
  std::unique_ptr<WorkerProcess> process;
  std::optional<PointJob> job;
};

WorkerPool::WorkerPool(const std::vector<PlannedRun>& runs, PoolPlaces places, JobEvents events)
    : runs_(runs),
      places_(std::move(places)),
      events_(std::move(events)),
      slots_(static_cast<size_t>(places_.processes)) {}

WorkerPool::~WorkerPool() = default;

void WorkerPool::run(const std::vector<PointJob>& jobs) {
  waiting_.assign(jobs.begin(), jobs.end());
  while (any_works() || (!waiting_.empty() && !stopped_)) {
    stop_if_asked();
    for (size_t i = 0; i < slots_.size(); ++i) hand_out(i);
    wait_for_news();
    for (Slot& slot : slots_) listen(slot);
  }
}

bool WorkerPool::any_works() const {
  return std::ranges::any_of(slots_, [](const Slot& slot) { return slot.job.has_value(); });
}

void WorkerPool::stop_if_asked() {
  const int signal = StopSignals::requested();
  if (signal == 0 || stopped_) return;
  stopped_ = true;
  for (const Slot& slot : slots_)
    if (slot.job) slot.process->send(signal);
}

void WorkerPool::hand_out(size_t index) {
  Slot& slot = slots_[index];
  if (slot.job || waiting_.empty() || stopped_) return;
  const PointJob job = waiting_.front();
  waiting_.pop_front();
  if (!slot.process)
    slot.process = std::make_unique<WorkerProcess>(
        WorkerRequest{.arguments = {"sweep-worker"}, .variables = thread_variables(places_.processes)});
  events_.begins(job);
  slot.job = job;
  RunConfig config = runs_[job.index].config;
  if (!places_.gpus.empty()) {
    config.distributed.device = "cuda";
    config.distributed.devices = Json::array({places_.gpus.at(index)});
  }
  slot.process->write_line(order_of(std::move(config), job.part).dump());  // its end is seen by listen()
}

void WorkerPool::wait_for_news() const {
  constexpr int kMilliseconds = 200;
  std::vector<pollfd> descriptors;
  for (const Slot& slot : slots_) {
    if (!slot.process) continue;
    for (const LineReader* reader : {&slot.process->answers(), &slot.process->words()})
      if (!reader->at_end())
        descriptors.push_back({.fd = reader->descriptor(), .events = POLLIN, .revents = 0});
  }
  poll(descriptors.data(), descriptors.size(), kMilliseconds);
}

void WorkerPool::listen(Slot& slot) {
  if (!slot.process) return;
  for (const std::string& line : slot.process->words().take()) say(slot.job, line);
  for (const std::string& line : slot.process->answers().take())
    end_job(slot, read_answer(Json::parse(line)));
  if (!slot.process->answers().at_end()) return;
  const std::string how = slot.process->wait();
  for (const std::string& line : slot.process->words().take()) say(slot.job, line);
  end_job(slot, {.end = stopped_ ? PointEnd::stopped : PointEnd::failed,
                 .error = "the process that trained it is gone: " + how,
                 .signal = StopSignals::requested()});
  slot.process.reset();
}

void WorkerPool::end_job(Slot& slot, const PointReport& report) {
  if (!slot.job) return;
  const PointJob job = *slot.job;
  slot.job.reset();
  events_.ends(job, report);
}

}  // namespace excitor
