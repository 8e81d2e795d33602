// How much of a request's body is received before its call is judged: all of what policy reads,
// else only enough to see that it is not JSON in disguise.
//
// Threading: value type.
#pragma once

#include <string_view>

#include "aegis/gateway/params.h"

namespace aegis::gateway {

class BodyPlan {
 public:
  void Start(BodyType type) {
    type_ = type;
    judged_ = IsJudged(type);
  }
  BodyType type() const { return type_; }
  // The body must be whole, and within the limit of what is judged.
  bool judged() const { return judged_; }
  // Whether the call can be judged although more of the body may come. `start`: what came so far.
  bool EnoughWith(std::string_view start) {
    if (type_ == BodyType::kUnread) return true;
    if (judged_ || start.empty()) return false;
    switch (LookAtBody(start)) {
      case Looks::kOpaque:
        return true;
      case Looks::kUnknown:
        return false;
      case Looks::kLikeJson:
        // Whatever it is declared as, a tool may read it as JSON; so policy must.
        Start(BodyType::kJson);
        return false;
    }
    return false;
  }

 private:
  BodyType type_ = BodyType::kNone;
  bool judged_ = false;
};

inline constexpr Refusal kBodyTooLargeToJudge{413, "body_too_large",
                                              "the body is larger than the gateway judges"};
inline constexpr Refusal kTooManyBodies{503, "overloaded",
                                        "too many request bodies are being received; try again"};
inline constexpr Refusal kBodyTooSlow{408, "request_timeout",
                                      "the body of the request did not arrive in time"};

}  // namespace aegis::gateway
