#include "harness/core/black_box.h"

#include <algorithm>
#include <cstring>

namespace assay {
namespace {

BlackBox own_box;
BlackBox* box = &own_box;

void enter(Phase phase, std::string_view what, int launches) {
  store_text(box->what, what);
  box->launches = launches;
  box->phase = phase;
  ++box->steps;
}

void leave() {
  box->phase = Phase::between;
  ++box->steps;
}

}  // namespace

BlackBox& black_box() { return *box; }
void use_black_box(BlackBox& other) { box = &other; }

void store_text(char* to, std::size_t size, std::string_view text) {
  const std::size_t length = std::min(text.size(), size - 1);
  std::memcpy(to, text.data(), length);
  to[length] = 0;
}

void begin_stages() {
  store_text(box->family, "");
  box->launched = false;
  enter(Phase::between, "", 1);
}

void note_progress() { ++box->steps; }

HostStage::HostStage(std::string_view what) { enter(Phase::host, what, 1); }
HostStage::~HostStage() { leave(); }

KernelStage::KernelStage(std::string_view what, int launches) {
  box->launched = true;
  enter(Phase::kernel, what, launches);
}

KernelStage::KernelStage(std::string_view what, std::string_view family, std::uint64_t seed) {
  store_text(box->family, family);
  box->seed = seed;
  box->launched = true;
  enter(Phase::kernel, what, 1);
}

KernelStage::~KernelStage() { leave(); }

}  // namespace assay
