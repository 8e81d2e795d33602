#include "aegis/net/http2_session.h"

#include <nghttp2/nghttp2.h>

#include <algorithm>
#include <array>
#include <memory>
#include <utility>

#include "aegis/base/result.h"

namespace aegis::net {
namespace {

constexpr size_t kFieldOverhead = 32;
constexpr size_t kKeptOutput = 4 * 1024;  // bytes that an idle stream object may hold
constexpr size_t kFrameBytes = 16 * 1024;
constexpr size_t kMaxOutboundAcks = 256;    // PING and SETTINGS that wait to be acknowledged
constexpr size_t kMaxSettingsEntries = 32;  // in one frame

// The fields as nghttp2 takes them. It copies the text, unless told that it stays.
class NameValues {
 public:
  void Add(std::string_view name, std::string_view value, uint8_t flags) {
    const nghttp2_nv nv{reinterpret_cast<uint8_t*>(const_cast<char*>(name.data())),
                        reinterpret_cast<uint8_t*>(const_cast<char*>(value.data())), name.size(),
                        value.size(), flags};
    if (size_ < few_.size()) {
      few_[size_] = nv;
    } else {
      if (many_.empty()) many_.assign(few_.begin(), few_.end());
      many_.push_back(nv);
    }
    ++size_;
  }
  const nghttp2_nv* data() const { return many_.empty() ? few_.data() : many_.data(); }
  size_t size() const { return size_; }

 private:
  std::array<nghttp2_nv, 16> few_;
  std::vector<nghttp2_nv> many_;
  size_t size_ = 0;
};

std::string_view View(const uint8_t* data, size_t size) {
  return {reinterpret_cast<const char*>(data), size};
}

}  // namespace

// What nghttp2 calls. A stream that the application refused or that is gone has no user data.
struct Http2Session::Callbacks {
  static Http2Session& Self(void* user_data) { return *static_cast<Http2Session*>(user_data); }
  static Http2Stream* StreamOf(nghttp2_session* session, int32_t id) {
    return static_cast<Http2Stream*>(nghttp2_session_get_stream_user_data(session, id));
  }

  static int OnBeginHeaders(nghttp2_session* session, const nghttp2_frame* frame, void* user_data) {
    Http2Session& self = Self(user_data);
    self.receiving_head_ = true;
    if (frame->headers.cat != NGHTTP2_HCAT_REQUEST) return 0;
    const int32_t id = frame->hd.stream_id;
    Http2Stream* stream = self.application_.NewStream();
    if (stream == nullptr) {
      return self.GiveHeadUp(id, NGHTTP2_REFUSED_STREAM);
    }
    stream->Attach(&self, id);
    self.Link(stream);
    nghttp2_session_set_stream_user_data(session, id, stream);
    return 0;
  }

  static int OnHeader(nghttp2_session* session, const nghttp2_frame* frame, const uint8_t* name,
                      size_t name_size, const uint8_t* value, size_t value_size, uint8_t,
                      void* user_data) {
    Http2Session& self = Self(user_data);
    Http2Stream* stream = StreamOf(session, frame->hd.stream_id);
    if (stream == nullptr) return 0;
    const size_t counted = name_size + value_size + kFieldOverhead;
    const bool trailer = frame->headers.cat != NGHTTP2_HCAT_REQUEST;
    const size_t before = trailer ? stream->trailers_counted_ : stream->head_.counted_bytes();
    if (before + counted > self.limits_.max_head_bytes) {
      self.CountFault();
      return self.GiveHeadUp(frame->hd.stream_id, NGHTTP2_ENHANCE_YOUR_CALM);
    }
    if (trailer) {
      stream->trailers_counted_ += counted;
      return 0;
    }
    if (self.heads_bytes_ + counted > self.limits_.max_heads_bytes) {
      return self.GiveHeadUp(frame->hd.stream_id, NGHTTP2_REFUSED_STREAM);
    }
    self.heads_bytes_ += counted;
    stream->head_.Add(View(name, name_size), View(value, value_size));
    return 0;
  }

  static int OnFrame(nghttp2_session* session, const nghttp2_frame* frame, void* user_data) {
    Http2Session& self = Self(user_data);
    switch (frame->hd.type) {
      case NGHTTP2_HEADERS: {
        self.receiving_head_ = false;
        self.idle_frames_ = 0;
        Http2Stream* stream = StreamOf(session, frame->hd.stream_id);
        if (stream == nullptr) return 0;
        if (frame->headers.cat == NGHTTP2_HCAT_REQUEST) {
          ++self.streams_begun_;
          stream->received_all_ = (frame->hd.flags & NGHTTP2_FLAG_END_STREAM) != 0;
          stream->OnHead();
        }
        return EndIfLast(frame, stream);
      }
      case NGHTTP2_DATA: {
        if (frame->hd.length == 0) self.CountIdleFrame();
        if ((frame->hd.flags & NGHTTP2_FLAG_END_STREAM) == 0) return 0;
        return EndIfLast(frame, StreamOf(session, frame->hd.stream_id));
      }
      case NGHTTP2_PING:
        if ((frame->hd.flags & NGHTTP2_FLAG_ACK) != 0) {
          self.ping_outstanding_ = false;
          if (self.draining_) self.FinishDrain();
        }
        break;
      case NGHTTP2_SETTINGS:
        self.established_ = true;
        break;
      case NGHTTP2_RST_STREAM:
        // Many calls may be given up at once; how many, nghttp2 limits itself (reset_burst).
        if (StreamOf(session, frame->hd.stream_id) != nullptr) return 0;
        break;
      case NGHTTP2_WINDOW_UPDATE: {
        const int32_t id = frame->hd.stream_id;
        Http2Stream* stream = id == 0 ? nullptr : StreamOf(session, id);
        if (stream != nullptr && std::exchange(stream->may_credit_, false)) return 0;
        break;
      }
      default:
        break;
    }
    self.CountIdleFrame();
    return 0;
  }

  static int EndIfLast(const nghttp2_frame* frame, Http2Stream* stream) {
    if (stream == nullptr || (frame->hd.flags & NGHTTP2_FLAG_END_STREAM) == 0) return 0;
    stream->received_all_ = true;
    stream->OnEnd();
    return 0;
  }

  // A field that is no field (RFC 9113 section 8.2.1). nghttp2 would leave it out, so that others
  // could read another request than was judged.
  static int OnInvalidHeader(nghttp2_session*, const nghttp2_frame* frame, const uint8_t*, size_t,
                             const uint8_t*, size_t, uint8_t, void* user_data) {
    Http2Session& self = Self(user_data);
    self.CountFault();
    return self.GiveHeadUp(frame->hd.stream_id, NGHTTP2_PROTOCOL_ERROR);
  }

  static int OnInvalidFrame(nghttp2_session*, const nghttp2_frame*, int, void* user_data) {
    Http2Session& self = Self(user_data);
    self.receiving_head_ = false;
    self.CountFault();
    return 0;
  }

  static int OnData(nghttp2_session* session, uint8_t, int32_t id, const uint8_t* data, size_t size,
                    void* user_data) {
    Http2Session& self = Self(user_data);
    self.received_ += size;
    self.idle_frames_ = 0;
    if (Http2Stream* stream = StreamOf(session, id)) stream->OnData(View(data, size));
    return 0;
  }

  static int OnStreamClose(nghttp2_session* session, int32_t id, uint32_t error_code,
                           void* user_data) {
    if (Http2Stream* stream = StreamOf(session, id)) {
      nghttp2_session_set_stream_user_data(session, id, nullptr);
      Self(user_data).Detach(stream, error_code);
    }
    return 0;
  }

  static int OnFrameSent(nghttp2_session* session, const nghttp2_frame* frame, void* user_data) {
    Http2Session& self = Self(user_data);
    if (frame->hd.type == NGHTTP2_GOAWAY && frame->goaway.error_code != NGHTTP2_NO_ERROR) {
      self.broken_ = true;
    }
    if (frame->hd.type != NGHTTP2_HEADERS && frame->hd.type != NGHTTP2_DATA) return 0;
    self.idle_frames_ = 0;
    if ((frame->hd.flags & NGHTTP2_FLAG_END_STREAM) == 0) return 0;
    // The answer is whole: the client need not send the rest of its request.
    Http2Stream* stream = StreamOf(session, frame->hd.stream_id);
    if (stream != nullptr && !stream->received_all_) {
      nghttp2_submit_rst_stream(session, NGHTTP2_FLAG_NONE, frame->hd.stream_id, NGHTTP2_NO_ERROR);
    }
    return 0;
  }

  static ssize_t ReadData(nghttp2_session* session, int32_t id, uint8_t*, size_t length,
                          uint32_t* flags, nghttp2_data_source* source, void*) {
    auto* stream = static_cast<Http2Stream*>(source->ptr);
    const size_t size = std::min(length, stream->unsent());
    if (size == 0 && !stream->finishing_) {
      stream->deferred_ = true;
      return NGHTTP2_ERR_DEFERRED;
    }
    *flags |= NGHTTP2_DATA_FLAG_NO_COPY;
    if (size == stream->unsent() && stream->finishing_) {
      *flags |= NGHTTP2_DATA_FLAG_EOF;
      const Http2Head& trailers = stream->trailers_;
      if (trailers.size() > 0) {
        *flags |= NGHTTP2_DATA_FLAG_NO_END_STREAM;
        NameValues fields;
        for (size_t i = 0; i < trailers.size(); ++i) {
          // The text belongs to the stream, which outlives the frame.
          fields.Add(trailers[i].name, trailers[i].value,
                     NGHTTP2_NV_FLAG_NO_COPY_NAME | NGHTTP2_NV_FLAG_NO_COPY_VALUE);
        }
        if (nghttp2_submit_trailer(session, id, fields.data(), fields.size()) != 0) {
          return NGHTTP2_ERR_TEMPORAL_CALLBACK_FAILURE;
        }
      }
    }
    return static_cast<ssize_t>(size);
  }

  static int SendData(nghttp2_session*, nghttp2_frame*, const uint8_t* frame_head, size_t length,
                      nghttp2_data_source* source, void* user_data) {
    Http2Session& self = Self(user_data);
    auto* stream = static_cast<Http2Stream*>(source->ptr);
    constexpr size_t kFrameHead = 9;
    self.out_->append(View(frame_head, kFrameHead));
    self.out_->append(stream->output_, stream->output_at_, length);
    stream->output_at_ += length;
    stream->stalled_ms_ = 0;
    stream->may_credit_ = true;
    if (stream->output_at_ == stream->output_.size()) {
      stream->output_.clear();
      stream->output_at_ = 0;
    }
    if (stream->congested_ && stream->unsent() < self.limits_.low_mark) {
      stream->congested_ = false;
      if (!std::exchange(stream->in_writable_, true)) self.writable_.push_back(stream);
    }
    return self.out_->size() >= self.out_limit_ ? NGHTTP2_ERR_PAUSE : 0;
  }

  static const nghttp2_session_callbacks* Table() {
    static const nghttp2_session_callbacks* const table = [] {
      nghttp2_session_callbacks* made = nullptr;
      AEGIS_CHECK(nghttp2_session_callbacks_new(&made) == 0);
      nghttp2_session_callbacks_set_on_begin_headers_callback(made, OnBeginHeaders);
      nghttp2_session_callbacks_set_on_header_callback(made, OnHeader);
      nghttp2_session_callbacks_set_on_invalid_header_callback(made, OnInvalidHeader);
      nghttp2_session_callbacks_set_on_frame_recv_callback(made, OnFrame);
      nghttp2_session_callbacks_set_on_invalid_frame_recv_callback(made, OnInvalidFrame);
      nghttp2_session_callbacks_set_on_data_chunk_recv_callback(made, OnData);
      nghttp2_session_callbacks_set_on_stream_close_callback(made, OnStreamClose);
      nghttp2_session_callbacks_set_on_frame_send_callback(made, OnFrameSent);
      nghttp2_session_callbacks_set_send_data_callback(made, SendData);
      return made;
    }();
    return table;
  }
};

void Http2Stream::Attach(Http2Session* session, int32_t id) {
  session_ = session;
  id_ = id;
  received_all_ = head_sent_ = finishing_ = deferred_ = congested_ = in_writable_ = shares_ = false;
  may_credit_ = true;
  trailers_counted_ = 0;
  output_at_ = 0;
  stalled_ms_ = 0;
  output_.clear();
  head_.Clear();
  trailers_.Clear();
}

void Http2Stream::SendInterim(int status) {
  if (session_ == nullptr || head_sent_) return;
  const std::string text = std::to_string(status);
  NameValues values;
  values.Add(":status", text, NGHTTP2_NV_FLAG_NONE);
  nghttp2_submit_headers(session_->session_, NGHTTP2_FLAG_NONE, id_, nullptr, values.data(),
                         values.size(), nullptr);
  session_->OutputChanged();
}

void Http2Stream::SendHead(std::span<const Http2Field> fields, bool end) {
  if (session_ == nullptr || head_sent_) return;
  head_sent_ = true;
  finishing_ = end;
  NameValues values;
  for (const Http2Field& field : fields) values.Add(field.name, field.value, NGHTTP2_NV_FLAG_NONE);
  nghttp2_data_provider data;
  data.source.ptr = this;
  data.read_callback = Http2Session::Callbacks::ReadData;
  if (nghttp2_submit_response(session_->session_, id_, values.data(), values.size(),
                              end ? nullptr : &data) != 0) {
    return Reset(kInternalError);
  }
  session_->OutputChanged();
}

void Http2Stream::SendData(std::string_view bytes) {
  if (session_ == nullptr || finishing_ || bytes.empty()) return;
  // What was sent is dropped from the front once that is most of it.
  if (output_at_ > kKeptOutput && output_at_ > output_.size() / 2) {
    output_.erase(0, output_at_);
    output_at_ = 0;
  }
  output_.append(bytes);
  if (unsent() > session_->limits_.high_mark) congested_ = true;
  if (unsent() > kFrameBytes && !std::exchange(shares_, true)) {
    // Without this nghttp2 sends all that a stream has before it turns to the next.
    const nghttp2_extpri incremental{NGHTTP2_EXTPRI_DEFAULT_URGENCY, 1};
    nghttp2_session_change_extpri_stream_priority(session_->session_, id_, &incremental, 1);
  }
  if (std::exchange(deferred_, false)) nghttp2_session_resume_data(session_->session_, id_);
  session_->OutputChanged();
}

void Http2Stream::SendTrailers(std::span<const Http2Field> fields) {
  if (session_ == nullptr || finishing_) return;
  finishing_ = true;
  for (const Http2Field& field : fields) trailers_.Add(field.name, field.value);
  if (std::exchange(deferred_, false)) nghttp2_session_resume_data(session_->session_, id_);
  session_->OutputChanged();
}

void Http2Stream::Reset(uint32_t error_code) {
  if (session_ == nullptr) return;
  finishing_ = true;
  nghttp2_submit_rst_stream(session_->session_, NGHTTP2_FLAG_NONE, id_, error_code);
  session_->OutputChanged();
}

void Http2Stream::Consume(size_t bytes) {
  // Nobody sends more on a stream that was sent to its end.
  if (session_ == nullptr || received_all_ || bytes == 0) return;
  nghttp2_session_consume_stream(session_->session_, id_, bytes);
  session_->OutputChanged();
}

void Http2Stream::ReleaseHead() {
  if (session_ != nullptr) session_->heads_bytes_ -= head_.counted_bytes();
  head_.Clear();
}

Http2Session::Http2Session(const Http2Limits& limits, Application& application)
    : limits_(limits), application_(application) {
  nghttp2_option* option = nullptr;
  AEGIS_CHECK(nghttp2_option_new(&option) == 0);
  nghttp2_option_set_no_auto_window_update(option, 1);
  nghttp2_option_set_no_closed_streams(option, 1);
  nghttp2_option_set_max_outbound_ack(option, kMaxOutboundAcks);
  nghttp2_option_set_max_settings(option, kMaxSettingsEntries);
  nghttp2_option_set_stream_reset_rate_limit(option, limits.reset_burst, limits.resets_per_second);
  nghttp2_option_set_max_continuations(option, limits.max_continuations);
  const int made = nghttp2_session_server_new2(&session_, Callbacks::Table(), this, option);
  nghttp2_option_del(option);
  AEGIS_CHECK(made == 0);
  const std::array<nghttp2_settings_entry, 4> settings = {{
      {NGHTTP2_SETTINGS_MAX_CONCURRENT_STREAMS, limits.max_streams},
      {NGHTTP2_SETTINGS_INITIAL_WINDOW_SIZE, limits.stream_window},
      {NGHTTP2_SETTINGS_MAX_HEADER_LIST_SIZE, static_cast<uint32_t>(limits.max_head_bytes)},
      {NGHTTP2_SETTINGS_NO_RFC7540_PRIORITIES, 1},
  }};
  AEGIS_CHECK(
      nghttp2_submit_settings(session_, NGHTTP2_FLAG_NONE, settings.data(), settings.size()) == 0);
  nghttp2_session_set_local_window_size(session_, NGHTTP2_FLAG_NONE, 0,
                                        static_cast<int32_t>(limits.connection_window));
}

Http2Session::~Http2Session() {
  Abandon();
  nghttp2_session_del(session_);
}

void Http2Session::Abandon() {
  busy_ = true;
  while (streams_ != nullptr) {
    nghttp2_session_set_stream_user_data(session_, streams_->id_, nullptr);
    Detach(streams_, Http2Stream::kCancel);
  }
}

bool Http2Session::Receive(std::string_view bytes) {
  busy_ = true;
  const ssize_t taken = nghttp2_session_mem_recv(
      session_, reinterpret_cast<const uint8_t*>(bytes.data()), bytes.size());
  if (taken < 0) {
    failed_ = broken_ = true;
    Terminate(taken == NGHTTP2_ERR_FLOODED ? NGHTTP2_ENHANCE_YOUR_CALM : NGHTTP2_PROTOCOL_ERROR);
  } else if (received_ > 0) {
    nghttp2_session_consume_connection(session_, std::exchange(received_, 0));
  }
  RunWritable();
  busy_ = false;
  return !failed_;
}

void Http2Session::Produce(std::string& out, size_t limit) {
  busy_ = true;
  out_ = &out;
  out_limit_ = limit;
  for (;;) {
    while (out.size() < limit) {
      const uint8_t* data = nullptr;
      const ssize_t size = nghttp2_session_mem_send(session_, &data);
      if (size < 0) failed_ = true;
      if (size <= 0) break;
      out.append(View(data, static_cast<size_t>(size)));
    }
    if (writable_.empty()) break;
    RunWritable();
  }
  out_ = nullptr;
  busy_ = false;
}

bool Http2Session::over() const {
  return failed_ ||
         (nghttp2_session_want_read(session_) == 0 && nghttp2_session_want_write(session_) == 0);
}

void Http2Session::ResetStalled(int64_t now_ms, int64_t limit_ms) {
  for (Http2Stream* stream = streams_; stream != nullptr; stream = stream->next_) {
    if (stream->unsent() == 0) continue;
    if (stream->stalled_ms_ == 0) {
      stream->stalled_ms_ = now_ms;
    } else if (now_ms - stream->stalled_ms_ >= limit_ms) {
      stream->stalled_ms_ = now_ms;
      stream->Reset(Http2Stream::kCancel);
    }
  }
}

void Http2Session::Tick(int64_t now_ms) {
  // Nothing that a stream may do takes it out of the list before it is produced.
  for (Http2Stream* stream = streams_; stream != nullptr; stream = stream->next_) {
    stream->OnTick(now_ms);
  }
}

void Http2Session::Ping() {
  ping_outstanding_ = true;
  nghttp2_submit_ping(session_, NGHTTP2_FLAG_NONE, nullptr);
  OutputChanged();
}

void Http2Session::BeginDrain() {
  if (std::exchange(draining_, true)) return;
  nghttp2_submit_shutdown_notice(session_);
  Ping();
}

void Http2Session::FinishDrain() {
  if (std::exchange(drain_final_, true)) return;
  nghttp2_submit_goaway(session_, NGHTTP2_FLAG_NONE,
                        nghttp2_session_get_last_proc_stream_id(session_), NGHTTP2_NO_ERROR,
                        nullptr, 0);
  OutputChanged();
}

void Http2Session::Terminate(uint32_t error_code) {
  nghttp2_session_terminate_session(session_, error_code);
  OutputChanged();
}

void Http2Session::Link(Http2Stream* stream) {
  stream->next_ = streams_;
  if (streams_ != nullptr) streams_->link_ = &stream->next_;
  stream->link_ = &streams_;
  streams_ = stream;
  ++stream_count_;
}

void Http2Session::Detach(Http2Stream* stream, uint32_t error_code) {
  *stream->link_ = stream->next_;
  if (stream->next_ != nullptr) stream->next_->link_ = stream->link_;
  stream->next_ = nullptr;
  stream->link_ = nullptr;
  stream->session_ = nullptr;
  --stream_count_;
  heads_bytes_ -= stream->head_.counted_bytes();
  if (std::exchange(stream->in_writable_, false)) std::erase(writable_, stream);
  if (stream->output_.capacity() > kKeptOutput) std::string().swap(stream->output_);
  stream->output_at_ = 0;
  stream->output_.clear();
  stream->OnGone(error_code);
}

void Http2Session::OutputChanged() {
  if (!busy_) application_.OnOutput();
}

void Http2Session::CountIdleFrame() {
  if (++idle_frames_ > limits_.max_idle_frames) Terminate(NGHTTP2_ENHANCE_YOUR_CALM);
}

void Http2Session::CountFault() {
  if (++faults_ > limits_.max_faults) Terminate(NGHTTP2_ENHANCE_YOUR_CALM);
}

// A reset also stops the rest of the block from being handed over: a few bytes of it can stand for
// many.
int Http2Session::GiveHeadUp(int32_t id, uint32_t error_code) {
  receiving_head_ = false;
  nghttp2_submit_rst_stream(session_, NGHTTP2_FLAG_NONE, id, error_code);
  return NGHTTP2_ERR_TEMPORAL_CALLBACK_FAILURE;
}

void Http2Session::RunWritable() {
  while (!writable_.empty()) {
    Http2Stream* stream = writable_.back();
    writable_.pop_back();
    stream->in_writable_ = false;
    stream->OnWritable();
  }
}

}  // namespace aegis::net
