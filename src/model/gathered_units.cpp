#include "gathered_units.h"

#include <exception>
#include <new>

#include <ATen/ops/empty.h>
#include <ATen/ops/from_blob.h>
#include <sys/mman.h>

namespace excitor {
namespace {

/// Memory of a vector [size]. On a CPU it is a mapping of its own, in huge pages where the system has them:
/// it goes back whole when it is dropped, where malloc keeps it and lets small blocks settle in between, and
/// is there with few page faults.
at::Tensor new_memory(int64_t size, const at::TensorOptions& options) {
  if (!options.device().is_cpu()) return at::empty({size}, options);
  const auto bytes = static_cast<size_t>(size) * options.dtype().itemsize();
  void* const memory = ::mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (memory == MAP_FAILED) throw std::bad_alloc();
  ::madvise(memory, bytes, MADV_HUGEPAGE);
  const auto unmap = [bytes](void* address) { ::munmap(address, bytes); };
  return at::for_blob(memory, {size}).deleter(unmap).options(options).make_tensor();
}

}  // namespace

GatheredUnits::GatheredUnits(BaseShare share, std::vector<UnitPart> parts)
    : share_(std::move(share)), parts_(std::move(parts)) {}

GatheredUnits::~GatheredUnits() {
  if (is_broken_) return;
  try {
    drop_all_but(kNone, kNone);
  } catch (const std::exception&) {
    // A gather that nobody needs any more: if the others have ended, so be it.
  }
}

void GatheredUnits::Gathered::wait() {
  if (!pending) return;
  pending->wait();
  pending.reset();
}

at::Tensor GatheredUnits::whole(int64_t unit) {
  if (noted_ && (noted_->empty() || noted_->back() != unit)) noted_->push_back(unit);
  if (unit == current_) return held_.at(unit).whole;
  if (current_ != kNone) followed_[{previous_, current_}] = unit;
  previous_ = std::exchange(current_, unit);
  const int64_t next = expected_next();
  try {
    drop_all_but(unit, next);
    start(unit);
    held_.at(unit).wait();
    start(next);
    spare_.reset();
  } catch (const CommunicationError&) {
    is_broken_ = true;
    throw;
  }
  return held_.at(unit).whole;
}

GatherRoute GatheredUnits::note(const std::function<void()>& pass) {
  noted_.emplace();
  try {
    pass();
  } catch (...) {
    noted_.reset();
    throw;
  }
  return *std::exchange(noted_, std::nullopt);
}

void GatheredUnits::follow(const GatherRoute& route) {
  for (const int64_t unit : route) whole(unit);
}

int64_t GatheredUnits::expected_next() const {
  const auto before = followed_.find({previous_, current_});
  if (before != followed_.end()) return before->second;
  const int64_t next = current_ > previous_ ? current_ + 1 : current_ - 1;
  const bool is_end = next < 0 || next >= static_cast<int64_t>(parts_.size());
  return is_end ? previous_ : next;
}

void GatheredUnits::start(int64_t unit) {
  if (unit == kNone || held_.contains(unit)) return;
  const UnitPart& part = parts_[unit];
  Gathered gathered{.whole = take_memory(part), .pending = nullptr};
  const at::Tensor own = gathered.whole.narrow(0, share_.rank * part.size(), part.size());
  part.write_to(own);
  // As bytes: a communicator need not know every type.
  gathered.pending = share_.communicator().all_gather(gathered.whole.view(at::kByte), own.view(at::kByte));
  held_.emplace(unit, std::move(gathered));
}

at::Tensor GatheredUnits::take_memory(const UnitPart& part) {
  const int64_t size = share_.processes * part.size();
  if (spare_.defined() && spare_.numel() == size) return std::exchange(spare_, {});
  spare_.reset();
  return new_memory(size, part.options());
}

void GatheredUnits::drop_all_but(int64_t unit, int64_t next) {
  for (auto entry = held_.begin(); entry != held_.end();) {
    if (entry->first == unit || entry->first == next) {
      ++entry;
      continue;
    }
    entry->second.wait();  // its memory is written to until then
    spare_ = std::move(entry->second.whole);
    entry = held_.erase(entry);
  }
}

}  // namespace excitor
