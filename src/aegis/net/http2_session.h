// The server's side of one HTTP/2 connection (RFC 9113), from bytes to bytes: no socket, no clock.
// libnghttp2 does frames, HPACK and the rules of HTTP messages; this adds limits, flow control that
// follows what the application takes, and streams that the application makes and pools.
//
// Flow control: what arrives is credited to the connection's window at once, to the stream's only
// when the application consumes it. So a stream that is not read holds at most its window, and
// never stops another.
//
// Threading: belongs to one thread. Methods of streams may be called from within OnHead and the
// like; Receive and Produce may not.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "aegis/net/http2_head.h"

struct nghttp2_session;

namespace aegis::net {

class Http2Session;

struct Http2Limits {
  size_t max_head_bytes = 32 * 1024;  // Http2Head::counted_bytes; beyond it the stream is reset
  size_t max_heads_bytes = 1 << 20;   // of all open streams; beyond it new ones are refused
  uint32_t max_streams = 256;         // open at once
  uint32_t stream_window = 256 * 1024;
  uint32_t connection_window = 1024 * 1024;
  size_t high_mark = 256 * 1024;  // of a stream's unsent bytes: OnWritable comes after they passed
  size_t low_mark = 64 * 1024;    // the high one and fell below the low one
  size_t max_continuations = 8;   // frames that one head is spread over
  uint64_t reset_burst = 2000;    // streams that the client may reset, a token bucket
  uint64_t resets_per_second = 500;
  // PING, SETTINGS and the like in a row, with no head and no data between. Not among them: the
  // reset of an open stream, and its first WINDOW_UPDATE after data was sent on it.
  size_t max_idle_frames = 1000;
  size_t max_faults = 100;  // malformed or too large heads and frames for one stream
};

// One request and its answer. The application derives from it; an object may serve one stream after
// another and keeps its memory.
class Http2Stream {
 public:
  static constexpr uint32_t kNoError = 0;
  static constexpr uint32_t kInternalError = 2;
  static constexpr uint32_t kRefusedStream = 7;
  static constexpr uint32_t kCancel = 8;
  static constexpr uint32_t kEnhanceYourCalm = 11;

  Http2Stream() = default;
  Http2Stream(const Http2Stream&) = delete;
  Http2Stream& operator=(const Http2Stream&) = delete;

  const Http2Head& head() const { return head_; }
  bool received_all() const { return received_all_; }
  // Trailer fields came with the request's end. What they say is not kept.
  bool received_trailers() const { return trailers_counted_ > 0; }
  bool head_sent() const { return head_sent_; }
  // Bytes of SendData that have not left the session yet.
  size_t unsent() const { return output_.size() - output_at_; }
  bool congested() const { return congested_; }

  // An interim answer, e.g. 100; before SendHead.
  void SendInterim(int status);
  // The answer, in this order; all is copied. `fields` begin with ":status". `end`: no data
  // follows.
  void SendHead(std::span<const Http2Field> fields, bool end);
  void SendData(std::string_view bytes);
  // Ends the answer after all data; no fields: without trailers.
  void SendTrailers(std::span<const Http2Field> fields);
  // Gives the stream up. OnGone follows.
  void Reset(uint32_t error_code);
  // Lets the client send that many bytes more, which OnData got before.
  void Consume(size_t bytes);

 protected:
  ~Http2Stream() = default;
  // The head is not needed any more: it is empty from now on.
  void ReleaseHead();

 private:
  friend class Http2Session;

  virtual void OnHead() = 0;
  virtual void OnData(std::string_view bytes) = 0;  // valid during the call
  virtual void OnEnd() = 0;                         // the request is whole
  virtual void OnWritable() = 0;
  // Time passes, monotonic; comes about once a second.
  virtual void OnTick(int64_t /*now_ms*/) {}
  // The stream is over: answered (kNoError), reset, or the connection is lost. Nothing else is
  // called afterwards until the object is given out again.
  virtual void OnGone(uint32_t error_code) = 0;

  void Attach(Http2Session* session, int32_t id);

  Http2Session* session_ = nullptr;
  int32_t id_ = 0;
  bool received_all_ = false;
  bool head_sent_ = false;
  bool finishing_ = false;  // no more data will be sent
  bool deferred_ = false;   // nghttp2 waits for data
  bool congested_ = false;  // passed the high mark, not yet below the low one
  bool in_writable_ = false;
  bool may_credit_ = true;  // data was sent since the client's last WINDOW_UPDATE, or none came
  bool shares_ = false;     // takes turns with other streams
  size_t trailers_counted_ = 0;  // of the request
  size_t output_at_ = 0;
  int64_t stalled_ms_ = 0;  // since when there was output that did not move; 0: not seen
  std::string output_;
  Http2Head head_;
  Http2Head trailers_;           // of the answer
  Http2Stream* next_ = nullptr;  // of the session's list
  Http2Stream** link_ = nullptr;
};

class Http2Session {
 public:
  class Application {
   public:
    // The stream of a request that begins; nullptr refuses it.
    virtual Http2Stream* NewStream() = 0;
    // There is output, and it does not come from within Receive or Produce.
    virtual void OnOutput() = 0;

   protected:
    ~Application() = default;
  };

  Http2Session(const Http2Limits& limits, Application& application);
  ~Http2Session();
  Http2Session(const Http2Session&) = delete;
  Http2Session& operator=(const Http2Session&) = delete;

  // Takes what arrived. False: the connection cannot go on; Produce still has what to say to the
  // client.
  bool Receive(std::string_view bytes);
  // Appends what is to be sent until `out` has about `limit` bytes. Nothing appended: there is no
  // more for now.
  void Produce(std::string& out, size_t limit);
  // Neither side has anything to say any more.
  bool over() const;
  // It ends because the client broke the protocol or a limit.
  bool broken() const { return broken_; }

  size_t stream_count() const { return stream_count_; }
  uint64_t streams_begun() const { return streams_begun_; }
  // A head has begun to arrive and is not whole.
  bool receiving_head() const { return receiving_head_; }
  // The client's first SETTINGS have come.
  bool established() const { return established_; }

  // Resets streams whose output the client has not taken for `limit_ms`; to be called now and then.
  void ResetStalled(int64_t now_ms, int64_t limit_ms);

  // Tells every open stream the time.
  void Tick(int64_t now_ms);

  void Ping();
  bool ping_outstanding() const { return ping_outstanding_; }

  // Tells the client to begin no more streams, in two steps so that no request is lost on the way:
  // the second one, when the client has seen the first, is final.
  void BeginDrain();
  // The second step, which comes by itself when the client answers a PING that goes with the first.
  void FinishDrain();
  bool draining() const { return draining_; }
  void Terminate(uint32_t error_code);
  // Tells every stream that is open that it is gone; nothing may be received or produced any more.
  void Abandon();

  struct Callbacks;  // of nghttp2

 private:
  friend class Http2Stream;
  friend struct Callbacks;

  void Link(Http2Stream* stream);
  void Detach(Http2Stream* stream, uint32_t error_code);
  void OutputChanged();
  void CountIdleFrame();
  void CountFault();
  int GiveHeadUp(int32_t id, uint32_t error_code);
  void RunWritable();

  const Http2Limits& limits_;
  Application& application_;
  nghttp2_session* session_ = nullptr;
  Http2Stream* streams_ = nullptr;
  size_t stream_count_ = 0;
  uint64_t streams_begun_ = 0;
  size_t heads_bytes_ = 0;  // counted, of all open streams
  size_t received_ = 0;     // bytes to be credited to the connection's window
  size_t idle_frames_ = 0;
  size_t faults_ = 0;
  bool busy_ = false;  // in Receive or Produce
  bool receiving_head_ = false;
  bool established_ = false;
  bool ping_outstanding_ = false;
  bool draining_ = false;
  bool drain_final_ = false;
  bool failed_ = false;
  bool broken_ = false;
  std::string* out_ = nullptr;  // of Produce
  size_t out_limit_ = 0;
  std::vector<Http2Stream*> writable_;
};

}  // namespace aegis::net
