// One event loop for one thread: readiness of descriptors, timers, and messages from other threads.
//
// It is epoll(7)'s, level-triggered. A descriptor stays registered for what was waited for last, so
// that waiting for the same once more is no system call. Callbacks are objects with virtual methods
// or plain function pointers: nothing is allocated per wait once warm.
//
// Threading: an EventLoop and all that is attached to it belong to the thread that calls Run (or to
// the thread that builds and destroys them while Run is not running); Post, Stop and Waker::Wake
// may be called from any thread.
#pragma once

#include <atomic>
#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>
#include <vector>

#include "aegis/base/file.h"

namespace aegis::net {

class EventLoop;

// Watches one descriptor and owns it. Waits are one-shot and level-triggered: a wait that is armed
// when the descriptor is ready already fires soon. Arming an armed wait does nothing.
class Watch {
 public:
  class Listener {
   public:
    // Also called when the peer is gone or the descriptor failed; the next I/O call tells.
    virtual void OnReadable() = 0;
    virtual void OnWritable() = 0;

   protected:
    ~Listener() = default;
  };

  Watch() = default;
  ~Watch() { Close(); }
  Watch(const Watch&) = delete;
  Watch& operator=(const Watch&) = delete;

  // Takes over `fd`, which must not block. False when it cannot be polled (then it is closed).
  // `listener` must stay until Close.
  bool Open(EventLoop& loop, FileDescriptor fd, Listener* listener);
  bool is_open() const { return state_ != nullptr; }
  int fd() const { return fd_; }

  void WaitReadable();
  void WaitWritable();
  bool waits_readable() const;
  bool waits_writable() const;
  // Closes the descriptor; the listener is not called any more. May be called by the listener.
  void Close();
  // As Close, but the descriptor stays open and is the caller's; empty when none was open.
  FileDescriptor Release();

  struct State;

 private:
  State* state_ = nullptr;
  int fd_ = -1;
};

// A timer of about 50 ms resolution, for time-outs: arming and disarming is a few stores.
class Timer {
 public:
  using Callback = void (*)(void* context);
  Timer(Callback callback, void* context) : callback_(callback), context_(context) {}
  ~Timer() { Disarm(); }
  Timer(const Timer&) = delete;
  Timer& operator=(const Timer&) = delete;

  // Calls back once, `delay_ms` (> 0) or up to 100 ms more from now; replaces an earlier arming.
  void Arm(EventLoop& loop, int64_t delay_ms);
  void Disarm();
  bool armed() const { return deadline_tick_ != 0; }

 private:
  friend class EventLoop;
  void Unlink();

  Callback callback_;
  void* context_;
  EventLoop* loop_ = nullptr;
  Timer* next_ = nullptr;
  Timer** link_ = nullptr;     // the pointer that points here; null: not in the wheel
  int64_t deadline_tick_ = 0;  // 0: not armed
  int64_t wheel_tick_ = 0;     // when the wheel looks at it; never later than the deadline
};

// Work that waits until the events at hand are handled, so that what many of them add up to is done
// once: e.g. writing all answers of a turn at once.
class Deferred {
 public:
  using Callback = void (*)(void* context);
  Deferred(Callback callback, void* context) : callback_(callback), context_(context) {}
  ~Deferred() { Cancel(); }
  Deferred(const Deferred&) = delete;
  Deferred& operator=(const Deferred&) = delete;

  // Calls back once, soon, from the loop; scheduling again before that changes nothing.
  void Schedule(EventLoop& loop);
  void Cancel();
  bool scheduled() const { return link_ != nullptr; }

 private:
  friend class EventLoop;

  Callback callback_;
  void* context_;
  Deferred* next_ = nullptr;
  Deferred** link_ = nullptr;  // the pointer that points here; null: not scheduled
};

// Wakes a loop from any thread. Wakes that come before the callback ran are merged into one.
class Waker final : public Watch::Listener {
 public:
  using Callback = void (*)(void* context);
  Waker(EventLoop& loop, Callback callback, void* context);
  void Wake() noexcept;

 private:
  void OnReadable() override;
  void OnWritable() override {}

  Callback callback_;
  void* context_;
  Watch watch_;
  std::atomic<bool> pending_{false};
};

class EventLoop {
 public:
  EventLoop();
  ~EventLoop();
  EventLoop(const EventLoop&) = delete;
  EventLoop& operator=(const EventLoop&) = delete;

  // Works until Stop. May be called again after it returned.
  void Run();
  // Lets Run return soon.
  void Stop();
  // Runs `task` on the loop's thread, after what was posted before it. For rare work: it locks and
  // allocates. Tasks that were not run when the loop is destroyed are dropped.
  void Post(std::function<void()> task);

 private:
  friend class Watch;
  friend class Timer;
  friend class Deferred;
  static constexpr int64_t kTickMs = 50;
  static constexpr size_t kWheelSlots = 256;

  static void RunPosted(void* self);
  void RunDeferred();
  void Insert(Timer* timer, int64_t tick);
  void Tick();
  int WaitMs() const;
  static int64_t NowTick();

  FileDescriptor epoll_;
  // Of watches; they are recycled because connections come and go.
  std::vector<Watch::State*> free_states_, closed_states_;
  bool dispatching_ = false;  // events that were reported together
  bool stopped_ = false;
  std::unique_ptr<Timer*[]> wheel_;
  size_t timers_ = 0;             // in the wheel
  int64_t last_tick_ = 0;         // slots up to this one were visited
  Deferred* deferred_ = nullptr;  // newest first
  std::mutex mutex_;
  std::vector<std::function<void()>> posted_;
  std::unique_ptr<Waker> waker_;
};

}  // namespace aegis::net
