#include "aegis/net/event_loop.h"

#include <sys/eventfd.h>
#include <unistd.h>

#include <boost/asio/io_context.hpp>
#include <boost/asio/posix/basic_stream_descriptor.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/steady_timer.hpp>
#include <chrono>
#include <new>

#include "aegis/base/result.h"

namespace aegis::net {

namespace asio = boost::asio;

namespace {

using Descriptor = asio::posix::basic_stream_descriptor<asio::io_context::executor_type>;

// Room for one pending Asio operation, so that a wait allocates nothing.
struct HandlerMemory {
  static constexpr size_t kBytes = 160;
  alignas(std::max_align_t) std::byte bytes[kBytes];
  bool used = false;
};

template <typename T>
class HandlerAllocator {
 public:
  using value_type = T;
  explicit HandlerAllocator(HandlerMemory* memory) : memory_(memory) {}
  template <typename U>
  HandlerAllocator(const HandlerAllocator<U>& other) : memory_(other.memory()) {}

  T* allocate(size_t count) {
    const size_t bytes = count * sizeof(T);
    if (!memory_->used && bytes <= HandlerMemory::kBytes) {
      memory_->used = true;
      return reinterpret_cast<T*>(memory_->bytes);
    }
    return static_cast<T*>(::operator new(bytes));
  }
  void deallocate(T* pointer, size_t) {
    if (reinterpret_cast<std::byte*>(pointer) == memory_->bytes) {
      memory_->used = false;
    } else {
      ::operator delete(pointer);
    }
  }
  HandlerMemory* memory() const { return memory_; }
  friend bool operator==(const HandlerAllocator& a, const HandlerAllocator& b) {
    return a.memory_ == b.memory_;
  }

 private:
  HandlerMemory* memory_;
};

}  // namespace

struct EventLoop::Impl {
  asio::io_context context{BOOST_ASIO_CONCURRENCY_HINT_UNSAFE};
  asio::basic_waitable_timer<std::chrono::steady_clock,
                             asio::wait_traits<std::chrono::steady_clock>,
                             asio::io_context::executor_type>
      tick_timer{context};
  HandlerMemory deferred_memory;
  // Free list of watch states; they are recycled because connections come and go.
  std::vector<Watch::State*> free_states;
};

struct Watch::State {
  explicit State(EventLoop& owner) : loop(&owner), descriptor(owner.impl().context) {}

  EventLoop* loop;
  Descriptor descriptor;
  Listener* listener = nullptr;
  bool read_armed = false;
  bool write_armed = false;
  bool closed = false;
  HandlerMemory read_memory;
  HandlerMemory write_memory;

  // A closed state may go back only when no handler refers to it any more.
  void ReleaseIfIdle() {
    if (!closed || read_armed || write_armed) return;
    loop->impl().free_states.push_back(this);
  }
};

namespace {

template <bool kRead>
struct WaitHandler {
  Watch::State* state;

  using allocator_type = HandlerAllocator<std::byte>;
  allocator_type get_allocator() const {
    return allocator_type(kRead ? &state->read_memory : &state->write_memory);
  }
  void operator()(const boost::system::error_code&) const {
    (kRead ? state->read_armed : state->write_armed) = false;
    if (state->closed) {
      state->ReleaseIfIdle();
    } else if (kRead) {
      state->listener->OnReadable();
    } else {
      state->listener->OnWritable();
    }
  }
};

struct DeferredHandler {
  EventLoop* loop;
  HandlerMemory* memory;
  void (*run)(EventLoop* loop);

  using allocator_type = HandlerAllocator<std::byte>;
  allocator_type get_allocator() const { return allocator_type(memory); }
  void operator()() const { run(loop); }
};

}  // namespace

bool Watch::Open(EventLoop& loop, FileDescriptor fd, Listener* listener) {
  Close();
  auto& free_states = loop.impl().free_states;
  State* state = nullptr;
  if (free_states.empty()) {
    state = new State(loop);
  } else {
    state = free_states.back();
    free_states.pop_back();
  }
  boost::system::error_code error;
  const int raw = fd.get();
  static_cast<void>(state->descriptor.assign(raw, error));  // what it returns is `error`
  if (error) {
    free_states.push_back(state);
    return false;
  }
  fd.Release();
  state->listener = listener;
  state->closed = false;
  state_ = state;
  fd_ = raw;
  return true;
}

void Watch::WaitReadable() {
  if (state_->read_armed) return;
  state_->read_armed = true;
  state_->descriptor.async_wait(Descriptor::wait_read, WaitHandler<true>{state_});
}

void Watch::WaitWritable() {
  if (state_->write_armed) return;
  state_->write_armed = true;
  state_->descriptor.async_wait(Descriptor::wait_write, WaitHandler<false>{state_});
}

bool Watch::waits_readable() const { return state_ && state_->read_armed; }
bool Watch::waits_writable() const { return state_ && state_->write_armed; }

void Watch::Close() {
  if (!state_) return;
  State* state = std::exchange(state_, nullptr);
  fd_ = -1;
  boost::system::error_code ignored;
  static_cast<void>(state->descriptor.close(ignored));
  state->closed = true;
  state->ReleaseIfIdle();
}

void Timer::Arm(EventLoop& loop, int64_t delay_ms) {
  loop_ = &loop;
  const int64_t now = EventLoop::NowTick();
  deadline_tick_ = now + (delay_ms + EventLoop::kTickMs - 1) / EventLoop::kTickMs + 1;
  // A timer that is looked at before its deadline is moved then; most are re-armed many times
  // before.
  if (link_ && wheel_tick_ <= deadline_tick_) return;
  Unlink();
  loop.Insert(this, deadline_tick_);
}

void Timer::Disarm() {
  deadline_tick_ = 0;
  Unlink();
}

void Timer::Unlink() {
  if (!link_) return;
  *link_ = next_;
  if (next_) next_->link_ = link_;
  link_ = nullptr;
  next_ = nullptr;
  --loop_->timers_;
}

void Deferred::Schedule(EventLoop& loop) {
  if (link_) return;
  next_ = loop.deferred_;
  if (next_) next_->link_ = &next_;
  link_ = &loop.deferred_;
  loop.deferred_ = this;
  if (std::exchange(loop.deferred_posted_, true)) return;
  asio::post(loop.impl().context, DeferredHandler{&loop, &loop.impl().deferred_memory,
                                                  [](EventLoop* owner) { owner->RunDeferred(); }});
}

void Deferred::Cancel() {
  if (!link_) return;
  *link_ = next_;
  if (next_) next_->link_ = link_;
  link_ = nullptr;
  next_ = nullptr;
}

Waker::Waker(EventLoop& loop, Callback callback, void* context)
    : callback_(callback), context_(context) {
  FileDescriptor fd(::eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC));
  AEGIS_CHECK(fd && watch_.Open(loop, std::move(fd), this));
  watch_.WaitReadable();
}

void Waker::Wake() noexcept {
  if (pending_.exchange(true, std::memory_order_acq_rel)) return;
  const uint64_t one = 1;
  [[maybe_unused]] const ssize_t written = ::write(watch_.fd(), &one, sizeof one);
}

void Waker::OnReadable() {
  uint64_t count = 0;
  [[maybe_unused]] const ssize_t got = ::read(watch_.fd(), &count, sizeof count);
  watch_.WaitReadable();
  // From here on a wake writes again; whatever one before announced is seen by the callback.
  pending_.exchange(false, std::memory_order_acq_rel);
  callback_(context_);
}

EventLoop::EventLoop()
    : impl_(std::make_unique<Impl>()), wheel_(std::make_unique<Timer*[]>(kWheelSlots)) {
  last_tick_ = NowTick();
  waker_ = std::make_unique<Waker>(*this, &EventLoop::RunPosted, this);
}

EventLoop::~EventLoop() {
  waker_.reset();
  impl_->tick_timer.cancel();
  // Lets the handlers of closed watches run, which puts their states into the free list.
  impl_->context.restart();
  impl_->context.poll();
  for (Watch::State* state : impl_->free_states) delete state;
}

void EventLoop::Run() {
  impl_->context.restart();
  impl_->context.run();
}

void EventLoop::Stop() {
  Post([this] { impl_->context.stop(); });
}

void EventLoop::Post(std::function<void()> task) {
  {
    std::lock_guard lock(mutex_);
    posted_.push_back(std::move(task));
  }
  waker_->Wake();
}

void EventLoop::RunPosted(void* self) {
  auto* loop = static_cast<EventLoop*>(self);
  std::vector<std::function<void()>> tasks;
  {
    std::lock_guard lock(loop->mutex_);
    tasks.swap(loop->posted_);
  }
  for (auto& task : tasks) task();
}

void EventLoop::RunDeferred() {
  deferred_posted_ = false;
  // Taken out whole: what a callback schedules waits for the next turn.
  Deferred* list = std::exchange(deferred_, nullptr);
  if (list) list->link_ = &list;
  while (list) {
    Deferred* deferred = list;
    deferred->Cancel();
    deferred->callback_(deferred->context_);
  }
}

int64_t EventLoop::NowTick() {
  const auto now = std::chrono::steady_clock::now().time_since_epoch();
  return std::chrono::duration_cast<std::chrono::milliseconds>(now).count() / kTickMs;
}

void EventLoop::Insert(Timer* timer, int64_t tick) {
  if (!ticking_) StartTicking();
  // Not in a slot that this round has visited already.
  tick = std::max(tick, last_tick_ + 1);
  timer->wheel_tick_ = tick;
  Timer** head = &wheel_[static_cast<size_t>(tick) % kWheelSlots];
  timer->next_ = *head;
  if (timer->next_) timer->next_->link_ = &timer->next_;
  timer->link_ = head;
  *head = timer;
  ++timers_;
}

void EventLoop::StartTicking() {
  ticking_ = true;
  last_tick_ = NowTick();
  ScheduleTick();
}

void EventLoop::ScheduleTick() {
  impl_->tick_timer.expires_after(std::chrono::milliseconds(kTickMs));
  impl_->tick_timer.async_wait([this](const boost::system::error_code& error) {
    if (!error) Tick();
  });
}

void EventLoop::Tick() {
  const int64_t now = NowTick();
  // After a long pause each slot needs one visit only.
  if (now - last_tick_ > static_cast<int64_t>(kWheelSlots)) {
    last_tick_ = now - static_cast<int64_t>(kWheelSlots);
  }
  while (last_tick_ < now) {
    ++last_tick_;
    // Taken out whole: callbacks may arm and disarm any timer, also those still in this list.
    Timer* list = nullptr;
    Timer** head = &wheel_[static_cast<size_t>(last_tick_) % kWheelSlots];
    list = *head;
    *head = nullptr;
    if (list) list->link_ = &list;
    while (list) {
      Timer* timer = list;
      timer->Unlink();
      if (timer->deadline_tick_ > now) {
        Insert(timer, timer->deadline_tick_);
      } else {
        timer->deadline_tick_ = 0;
        timer->callback_(timer->context_);
      }
    }
  }
  if (timers_ == 0) {
    ticking_ = false;
  } else {
    ScheduleTick();
  }
}

}  // namespace aegis::net
