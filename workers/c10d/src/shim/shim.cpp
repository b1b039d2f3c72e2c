// c10d's TCPStore and ProcessGroupGloo behind five C functions. No exception leaves them: what one says is kept for
// agoge_c10d_last_error() of the same thread.

#include <torch/version.h>
// gloo/declarations.h says why no other version will do.
static_assert(
    TORCH_VERSION_MAJOR == 2 && TORCH_VERSION_MINOR == 11 && TORCH_VERSION_PATCH == 0,
    "the declarations of gloo here fit torch 2.11.0 only; hack/setup installs it");

#include <ATen/ATen.h>
#include <torch/csrc/distributed/c10d/ProcessGroupGloo.hpp>
#include <torch/csrc/distributed/c10d/TCPStore.hpp>

#include <cstdlib>

namespace {

// c10d's flight recorder keeps the groups of a process in one map, which two groups of one process change at once without
// a lock: that ends in a crash. Nobody here reads it. Set before main, when there is no other thread yet.
[[maybe_unused]] const int unrecorded = setenv("TORCH_FR_BUFFER_SIZE", "0", 0);

thread_local std::string last_error;

struct Group {
  c10::intrusive_ptr<c10d::TCPStore> store;
  c10::intrusive_ptr<c10d::ProcessGroupGloo> gloo;
};

template <typename Work>
int guarded(Work&& work) noexcept {
  try {
    work();
    return 0;
  } catch (const c10::Error& error) {
    last_error = error.what_without_backtrace();
  } catch (const std::exception& error) {
    last_error = error.what();
  } catch (...) {
    last_error = "an exception that is none of the standard library's";
  }
  return 1;
}

at::Tensor over(void* data, int64_t length, int kind) {
  const at::ScalarType kinds[] = {at::kFloat, at::kDouble, at::kByte};
  return at::from_blob(data, {length}, at::TensorOptions().dtype(kinds[kind]));
}

} // namespace

extern "C" {

const char* agoge_c10d_last_error() {
  return last_error.c_str();
}

// Meets the other ranks. `address` (may be null) is this machine's own name or address towards them, `interface` (may be
// null) the network interface; by default both are found from the machine's name. Null on failure.
void* agoge_c10d_join(
    const char* host,
    uint16_t port,
    int rank,
    int world,
    int64_t timeout_ms,
    const char* address,
    const char* interface) {
  auto group = std::make_unique<Group>();
  const int failed = guarded([&] {
    const std::chrono::milliseconds timeout(timeout_ms);
    c10d::TCPStoreOptions store;
    store.port = port;
    store.isServer = rank == 0;
    store.numWorkers = static_cast<std::size_t>(world);
    store.timeout = timeout;
    group->store = c10::make_intrusive<c10d::TCPStore>(host, store);
    auto options = c10d::ProcessGroupGloo::Options::create(timeout);
    options->devices.push_back(
        interface   ? c10d::ProcessGroupGloo::createDeviceForInterface(interface)
            : address ? c10d::ProcessGroupGloo::createDeviceForHostname(address)
                      : c10d::ProcessGroupGloo::createDefaultDevice());
    group->gloo = c10::make_intrusive<c10d::ProcessGroupGloo>(group->store, rank, world, options);
  });
  return failed ? nullptr : group.release();
}

// In place over all ranks. kind: 0 float, 1 double, 2 byte; operation: 0 sum, 1 maximum.
int agoge_c10d_all_reduce(void* group, void* data, int64_t length, int kind, int operation, int64_t timeout_ms) {
  return guarded([&] {
    std::vector<at::Tensor> tensors{over(data, length, kind)};
    c10d::AllreduceOptions options;
    options.reduceOp = operation == 0 ? c10d::ReduceOp::SUM : c10d::ReduceOp::MAX;
    options.timeout = std::chrono::milliseconds(timeout_ms);
    static_cast<Group*>(group)->gloo->allreduce(tensors, options)->wait();
  });
}

// Rank `root`'s values on all ranks, in place.
int agoge_c10d_broadcast(void* group, void* data, int64_t length, int kind, int root, int64_t timeout_ms) {
  return guarded([&] {
    std::vector<at::Tensor> tensors{over(data, length, kind)};
    c10d::BroadcastOptions options;
    options.rootRank = root;
    options.timeout = std::chrono::milliseconds(timeout_ms);
    static_cast<Group*>(group)->gloo->broadcast(tensors, options)->wait();
  });
}

void agoge_c10d_leave(void* group) {
  guarded([&] { delete static_cast<Group*>(group); });
}

} // extern "C"
