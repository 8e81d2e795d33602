#include "aegis/net/event_loop.h"

#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <chrono>

#include "aegis/base/result.h"

namespace aegis::net {
namespace {

constexpr uint32_t kReadable = EPOLLIN | EPOLLERR | EPOLLHUP;
constexpr uint32_t kWritable = EPOLLOUT | EPOLLERR | EPOLLHUP;
constexpr size_t kEventsAtOnce = 256;

int64_t NowMs() {
  const auto now = std::chrono::steady_clock::now().time_since_epoch();
  return std::chrono::duration_cast<std::chrono::milliseconds>(now).count();
}

}  // namespace

struct Watch::State {
  EventLoop* loop;
  Listener* listener = nullptr;
  int fd = -1;
  uint32_t interest = 0;    // what the kernel was told to look for
  bool registered = false;  // with the kernel
  bool read_armed = false;
  bool write_armed = false;

  // What the kernel reports beyond the armed waits is switched off only when it comes, and stays
  // switched on otherwise: so most waits need no system call.
  void Look(uint32_t events) {
    if (registered && (interest & events) == events) return;
    Tell(interest | events);
  }
  bool Tell(uint32_t events) {
    epoll_event event{.events = events, .data = {.ptr = this}};
    const int operation = registered ? EPOLL_CTL_MOD : EPOLL_CTL_ADD;
    if (::epoll_ctl(loop->epoll_.get(), operation, fd, &event) != 0) return false;
    registered = true;
    interest = events;
    return true;
  }
  void Forget() {
    if (!registered) return;
    ::epoll_ctl(loop->epoll_.get(), EPOLL_CTL_DEL, fd, nullptr);
    registered = false;
    interest = 0;
  }

  void Dispatch(uint32_t events) {
    const uint32_t wanted =
        (read_armed ? uint32_t{EPOLLIN} : 0) | (write_armed ? uint32_t{EPOLLOUT} : 0);
    if (wanted == 0 && (events & (EPOLLERR | EPOLLHUP)) != 0) {
      // These are reported whether one looks for them or not.
      return Forget();
    }
    if ((events & interest & ~wanted) != 0) Tell(wanted);
    if (write_armed && (events & kWritable) != 0) {
      write_armed = false;
      listener->OnWritable();
      if (listener == nullptr) return;  // closed
      // A socket that takes bytes says so all the time.
      if (!write_armed && (interest & EPOLLOUT) != 0) Tell(interest & ~uint32_t{EPOLLOUT});
    }
    if (read_armed && (events & kReadable) != 0) {
      read_armed = false;
      listener->OnReadable();
    }
  }
};

bool Watch::Open(EventLoop& loop, FileDescriptor fd, Listener* listener) {
  Close();
  State* state = nullptr;
  if (loop.free_states_.empty()) {
    state = new State{.loop = &loop};
  } else {
    state = loop.free_states_.back();
    loop.free_states_.pop_back();
  }
  state->fd = fd.get();
  // Most are read first.
  if (!state->Tell(EPOLLIN)) {
    loop.free_states_.push_back(state);
    return false;
  }
  state->listener = listener;
  state_ = state;
  fd_ = fd.Release();
  return true;
}

void Watch::WaitReadable() {
  if (state_->read_armed) return;
  state_->read_armed = true;
  state_->Look(EPOLLIN);
}

void Watch::WaitWritable() {
  if (state_->write_armed) return;
  state_->write_armed = true;
  state_->Look(EPOLLOUT);
}

bool Watch::waits_readable() const { return state_ && state_->read_armed; }
bool Watch::waits_writable() const { return state_ && state_->write_armed; }

// The descriptor is closed by who drops what this returns.
void Watch::Close() { Release(); }

FileDescriptor Watch::Release() {
  if (!state_) return {};
  State* state = std::exchange(state_, nullptr);
  // Before the descriptor is closed: if another process has it too, the kernel would report it
  // still.
  state->Forget();
  EventLoop& loop = *state->loop;
  *state = State{.loop = &loop};
  // Events that were reported together with the current one may be of this state.
  (loop.dispatching_ ? loop.closed_states_ : loop.free_states_).push_back(state);
  return FileDescriptor(std::exchange(fd_, -1));
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
    : epoll_(::epoll_create1(EPOLL_CLOEXEC)), wheel_(std::make_unique<Timer*[]>(kWheelSlots)) {
  AEGIS_CHECK(epoll_);
  last_tick_ = NowTick();
  waker_ = std::make_unique<Waker>(*this, &EventLoop::RunPosted, this);
}

EventLoop::~EventLoop() {
  waker_.reset();
  for (Watch::State* state : free_states_) delete state;
}

void EventLoop::Run() {
  stopped_ = false;
  std::array<epoll_event, kEventsAtOnce> events;
  while (!stopped_) {
    const int count = ::epoll_wait(epoll_.get(), events.data(), kEventsAtOnce, WaitMs());
    AEGIS_CHECK(count >= 0 || errno == EINTR);
    dispatching_ = true;
    // What is left when it stops is reported again by the next Run.
    for (int i = 0; i < count && !stopped_; ++i) {
      auto* state = static_cast<Watch::State*>(events[static_cast<size_t>(i)].data.ptr);
      state->Dispatch(events[static_cast<size_t>(i)].events);
    }
    dispatching_ = false;
    free_states_.insert(free_states_.end(), closed_states_.begin(), closed_states_.end());
    closed_states_.clear();
    if (stopped_) return;
    RunDeferred();
    if (timers_ > 0) Tick();
  }
}

// How long there is nothing to do but for events.
int EventLoop::WaitMs() const {
  if (deferred_ != nullptr) return 0;
  if (timers_ == 0) return -1;
  return static_cast<int>(std::max<int64_t>(0, (last_tick_ + 1) * kTickMs - NowMs()));
}

void EventLoop::Stop() {
  Post([this] { stopped_ = true; });
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
  // Taken out whole: what a callback schedules waits for the next turn.
  Deferred* list = std::exchange(deferred_, nullptr);
  if (list) list->link_ = &list;
  while (list) {
    Deferred* deferred = list;
    deferred->Cancel();
    deferred->callback_(deferred->context_);
  }
}

int64_t EventLoop::NowTick() { return NowMs() / kTickMs; }

void EventLoop::Insert(Timer* timer, int64_t tick) {
  // The wheel stood still while it was empty.
  if (timers_ == 0) last_tick_ = NowTick();
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
}

}  // namespace aegis::net
