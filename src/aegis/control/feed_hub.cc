#include "aegis/control/feed_hub.h"

#include <algorithm>
#include <charconv>

#include "aegis/base/text.h"
#include "aegis/control/problem.h"

namespace aegis::control {

FeedHub::FeedHub() : timer_([this] { RunTimer(); }) {}

FeedHub::~FeedHub() { Stop(); }

net::HttpResponse FeedHub::Render(const Feed& feed, const Poll& poll) {
  if (!feed.content) return ProblemAnswer(404, poll.missing_reason, poll.missing_detail);
  const Content& content = *feed.content;
  net::HttpResponse response;
  response.headers.Set("ETag", content.etag);
  response.headers.Set("Cache-Control", "no-cache");
  // Stock OPA looks at the type of a 304 too, to see whether long polling goes on.
  response.headers.Set("Content-Type",
                       poll.content_type.empty() ? content.content_type : poll.content_type);
  if (EtagMatches(poll.if_none_match, content.etag)) {
    response.status = 304;
  } else {
    response.body = *content.body;
  }
  return response;
}

void FeedHub::Publish(const std::string& name, Content content) {
  std::vector<Answer> answers;
  {
    const std::lock_guard lock(mutex_);
    Feed& feed = feeds_[name];
    feed.content = std::move(content);
    for (auto waiter = feed.waiters.begin(); waiter != feed.waiters.end();) {
      if (EtagMatches(waiter->poll.if_none_match, feed.content->etag)) {
        ++waiter;
        continue;
      }
      answers.push_back({std::move(waiter->respond), Render(feed, waiter->poll)});
      waiter = feed.waiters.erase(waiter);
      --waiting_;
    }
  }
  for (Answer& answer : answers) answer.respond(std::move(answer.response));
}

void FeedHub::Serve(const std::string& name, Poll poll, net::Responder respond) {
  net::HttpResponse response;
  {
    const std::lock_guard lock(mutex_);
    Feed& feed = feeds_[name];
    const bool nothing_new = !feed.content || EtagMatches(poll.if_none_match, feed.content->etag);
    if (nothing_new && poll.wait.count() > 0) {
      if (stopping_) {
        response = ProblemAnswer(503, "stopping", "the control plane is stopping; try again");
      } else if (waiting_ >= kMaxWaiters) {
        response = ProblemAnswer(503, "too_many_waiting",
                                 "too many requests wait for a change; try again");
      } else {
        const auto wait = std::min<std::chrono::milliseconds>(poll.wait, kMaxWait);
        feed.waiters.push_back(
            {std::move(poll), std::chrono::steady_clock::now() + wait, std::move(respond)});
        ++waiting_;
        changed_.notify_one();
        return;
      }
    } else {
      response = Render(feed, poll);
    }
  }
  respond(std::move(response));
}

void FeedHub::RunTimer() {
  std::unique_lock lock(mutex_);
  while (!stopping_) {
    const Time now = std::chrono::steady_clock::now();
    Time next = Time::max();
    std::vector<Answer> answers;
    for (auto& [name, feed] : feeds_) {
      for (auto waiter = feed.waiters.begin(); waiter != feed.waiters.end();) {
        if (waiter->deadline > now) {
          next = std::min(next, waiter->deadline);
          ++waiter;
          continue;
        }
        answers.push_back({std::move(waiter->respond), Render(feed, waiter->poll)});
        waiter = feed.waiters.erase(waiter);
        --waiting_;
      }
    }
    if (!answers.empty()) {
      lock.unlock();
      for (Answer& answer : answers) answer.respond(std::move(answer.response));
      lock.lock();
      continue;  // the lists may have changed
    }
    if (next == Time::max()) {
      changed_.wait(lock);
    } else {
      changed_.wait_until(lock, next);
    }
  }
}

void FeedHub::Stop() {
  std::vector<Answer> answers;
  {
    const std::lock_guard lock(mutex_);
    stopping_ = true;
    for (auto& [name, feed] : feeds_) {
      for (Waiter& waiter : feed.waiters) {
        answers.push_back(
            {std::move(waiter.respond),
             ProblemAnswer(503, "stopping", "the control plane is stopping; try again")});
      }
      feed.waiters.clear();
    }
    waiting_ = 0;
    changed_.notify_all();
  }
  for (Answer& answer : answers) answer.respond(std::move(answer.response));
  if (timer_.joinable()) timer_.join();
}

size_t FeedHub::waiting() const {
  const std::lock_guard lock(mutex_);
  return waiting_;
}

std::string FeedHub::Etag(const std::string& name) const {
  const std::lock_guard lock(mutex_);
  const auto feed = feeds_.find(name);
  return feed == feeds_.end() || !feed->second.content ? "" : feed->second.content->etag;
}

bool EtagMatches(std::string_view if_none_match, std::string_view etag) {
  for (std::string_view candidate : Split(if_none_match, ',')) {
    candidate = Trim(candidate);
    if (candidate == "*") return true;
    if (candidate.starts_with("W/")) candidate.remove_prefix(2);
    if (!candidate.empty() && candidate == etag) return true;
  }
  return false;
}

namespace {

std::optional<std::chrono::seconds> ParseSeconds(std::string_view text) {
  int64_t seconds = 0;
  const auto parsed = std::from_chars(text.data(), text.data() + text.size(), seconds);
  if (parsed.ec != std::errc() || parsed.ptr != text.data() + text.size() || seconds < 0) return {};
  return std::min<std::chrono::seconds>(std::chrono::seconds(seconds), FeedHub::kMaxWait);
}

}  // namespace

std::optional<std::chrono::seconds> RequestedWait(const net::HttpRequest& request, bool* bad) {
  *bad = false;
  if (const std::string wait = request.QueryParam("wait"); !wait.empty()) {
    const auto seconds = ParseSeconds(wait);
    *bad = !seconds.has_value();
    return seconds;
  }
  for (const std::string_view preference : Split(request.headers.Get("Prefer"), ',')) {
    for (std::string_view part : Split(preference, ';')) {
      part = Trim(part);
      if (part.size() > 5 && EqualsIgnoreCase(part.substr(0, 5), "wait=")) {
        return ParseSeconds(part.substr(5));
      }
    }
  }
  return {};
}

}  // namespace aegis::control
