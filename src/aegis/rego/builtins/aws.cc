// providers.aws.sign_req: AWS Signature Version 4 for an HTTP request, as OPA makes it
// (https://docs.aws.amazon.com/general/latest/gr/sigv4_signing.html).
#include <algorithm>
#include <map>
#include <string>

#include "absl/time/time.h"
#include "aegis/base/text.h"
#include "aegis/crypto/digest.h"
#include "aegis/rego/builtins/operands.h"
#include "aegis/rego/builtins/text.h"
#include "aegis/rego/builtins/unicode.h"
#include "aegis/rego/builtins/uri.h"
#include "aegis/rego/edit.h"
#include "aegis/rego/table.h"

namespace aegis::rego {
namespace {

// Of http.send, whose requests these are.
constexpr std::string_view kRequestMembers[] = {
    "method",
    "url",
    "body",
    "enable_redirect",
    "force_json_decode",
    "force_yaml_decode",
    "headers",
    "raw_body",
    "tls_use_system_certs",
    "tls_ca_cert",
    "tls_ca_cert_file",
    "tls_ca_cert_env_variable",
    "tls_client_cert",
    "tls_client_cert_file",
    "tls_client_cert_env_variable",
    "tls_client_key",
    "tls_client_key_file",
    "tls_client_key_env_variable",
    "tls_insecure_skip_verify",
    "tls_server_name",
    "timeout",
    "cache",
    "force_cache",
    "force_cache_duration_seconds",
    "raise_error",
    "caching_mode",
    "max_retry_attempts",
    "cache_ignored_headers",
};
constexpr std::string_view kConfigMembers[] = {"aws_access_key", "aws_region",
                                               "aws_secret_access_key", "aws_service"};
// Proxies may change these.
constexpr std::string_view kUnsignedHeaders[] = {"authorization", "user-agent", "x-amzn-trace-id"};

template <size_t size>
bool IsOneOf(std::string_view text, const std::string_view (&all)[size]) {
  return std::find(std::begin(all), std::end(all), text) != std::end(all);
}

bool CheckConfig(BuiltinContext& context, Value config) {
  for (const std::string_view problem : {"missing required", "invalid values for required"}) {
    SetBuilder wrong(context.arena());
    bool good = true;
    for (const std::string_view name : kConfigMembers) {
      const Value value = config.Get(name);
      if (problem[0] == 'm' ? !value.is_undefined() : value.is_string()) continue;
      wrong.Add(MakeStringView(name));
      good = false;
    }
    if (good) continue;
    std::string message = "operand 2 " + std::string(problem) + " AWS config parameters(s): ";
    AppendRegoText(message, wrong.Build());
    context.TypeError(message);
    return false;
  }
  return true;
}

bool CheckRequest(BuiltinContext& context, Value request) {
  SetBuilder invalid(context.arena()), missing(context.arena());
  bool all_known = true, complete = true;
  for (const Member& member : request.members()) {
    if (member.key.is_string() && IsOneOf(member.key.string_value(), kRequestMembers)) continue;
    invalid.Add(member.key);
    all_known = false;
  }
  for (const std::string_view name : {"method", "url"}) {
    if (!request.Get(name).is_undefined()) continue;
    missing.Add(MakeStringView(name));
    complete = false;
  }
  if (all_known && complete) return true;
  std::string message = all_known ? "operand 1 missing required request parameters(s): "
                                  : "operand 1 invalid request parameters(s): ";
  AppendRegoText(message, all_known ? missing.Build() : invalid.Build());
  context.TypeError(message);
  return false;
}

struct Request {
  std::string_view method, body;
  Uri url;
  std::map<std::string, std::string> headers;  // by name as written
};

struct Signed {
  std::string authorization;
  std::map<std::string, std::string> headers;  // to be added
};

std::string ToLower(std::string_view text) {
  std::string out;
  for (const uint32_t rune : Runes(text)) AppendRune(out, LowerRune(rune));
  return out;
}

std::string Mac(std::string_view key, std::string_view text) {
  return crypto::Hmac(crypto::HashFunction::kSha256, key, text);
}

Signed Sign(const Request& request, Value config, int64_t time_ns, bool sign_body) {
  const auto setting = [&](std::string_view name) {
    return std::string(config.Get(name).string_value());
  };
  const absl::Time time = absl::FromUnixNanos(time_ns);
  const std::string date = absl::FormatTime("%Y%m%d", time, absl::UTCTimeZone());
  const std::string moment = absl::FormatTime("%Y%m%dT%H%M%SZ", time, absl::UTCTimeZone());
  const std::string service = setting("aws_service"), region = setting("aws_region");
  const std::string content =
      sign_body ? crypto::Sha256Hex(request.body) : std::string("UNSIGNED-PAYLOAD");
  Signed out;
  out.headers = {{"host", request.url.host}, {"x-amz-date", moment}};
  if (service == "s3" || service == "glacier") out.headers["x-amz-content-sha256"] = content;
  if (std::string token = setting("aws_session_token"); !token.empty()) {
    out.headers["x-amz-security-token"] = std::move(token);
  }
  std::map<std::string, std::string> to_sign = out.headers;
  for (const auto& [name, value] : request.headers) {
    std::string lower = ToLower(name);
    if (!IsOneOf(lower, kUnsignedHeaders)) to_sign[std::move(lower)] = value;
  }
  std::string canonical = std::string(request.method) + "\n" + UriPathText(request.url) + "\n" +
                          request.url.raw_query + "\n";
  std::string names;
  for (const auto& [name, value] : to_sign) {
    canonical += name + ":" + value + "\n";
    if (!names.empty()) names += ';';
    names += name;
  }
  canonical += "\n" + names + "\n" + content;
  const std::string scope = date + "/" + region + "/" + service + "/aws4_request";
  const std::string text =
      "AWS4-HMAC-SHA256\n" + moment + "\n" + scope + "\n" + crypto::Sha256Hex(canonical);
  std::string key = Mac("AWS4" + setting("aws_secret_access_key"), date);
  for (const std::string_view part :
       {std::string_view(region), std::string_view(service), std::string_view("aws4_request")}) {
    key = Mac(key, part);
  }
  out.authorization = "AWS4-HMAC-SHA256 Credential=" + setting("aws_access_key") + "/" + scope +
                      ",SignedHeaders=" + names + ",Signature=" + HexEncode(Mac(key, text));
  return out;
}

Value SignRequest(BuiltinContext& context, const Value* args) {
  AEGIS_TYPED_ARG(0, is_object, "object");
  AEGIS_TYPED_ARG(1, is_object, "object");
  if (!CheckConfig(context, args[1])) return Value();
  AEGIS_TYPED_ARG(2, is_number, "number");
  const std::optional<int64_t> time_ns = args[2].AsInt64();
  if (!time_ns) {
    return context.TypeError("operand 3 could not convert time_ns value into a unix timestamp");
  }
  if (!CheckRequest(context, args[0])) return Value();
  const Value headers = args[0].Get("headers");
  if (!headers.is_undefined() && !headers.is_object()) {
    return context.TypeError("operand 1 headers must be object");
  }
  const Value method = args[0].Get("method"), url = args[0].Get("url");
  if (!method.is_string() || !url.is_string()) {
    return context.TypeError("operand 1 invalid values for required request parameters(s)");
  }
  if (!context.Charge(internal::Weight(args[0]))) return Value();
  Request request;
  if (!ParseUri(url.string_value(), request.url)) return context.Error("the URL cannot be parsed");
  request.method = method.string_value();
  std::string body_json;
  if (const Value raw = args[0].Get("raw_body"); !raw.is_undefined()) {
    request.body = raw.string_value();
  } else if (const Value body = args[0].Get("body"); !body.is_undefined()) {
    internal::AppendGoJson(body, body_json);
    request.body = body_json;
  }
  for (const Member& member : headers.members()) {
    request.headers[std::string(member.key.string_value())] = member.value.string_value();
  }
  const Value disable = args[1].Get("disable_payload_signing");
  if (!disable.is_undefined() && !disable.is_bool()) {
    return context.TypeError("operand 2 invalid value for 'disable_payload_signing' in AWS config");
  }
  const Signed made = Sign(request, args[1], *time_ns, !disable.is_true());
  ObjectBuilder all(context.arena(), request.headers.size() + made.headers.size() + 1);
  for (const auto& [name, value] : request.headers) {
    all.Add(String(context, name), String(context, value));
  }
  all.Add("Authorization", String(context, made.authorization));
  for (const auto& [name, value] : made.headers) {
    all.Add(String(context, name), String(context, value));
  }
  ObjectBuilder out(context.arena(), args[0].size() + 1);
  for (const Member& member : args[0].members()) out.Add(member.key, member.value);
  out.Add("headers", all.Build());
  return out.Build();
}

constexpr Builtin kBuiltins[] = {
    {"providers.aws.sign_req", 3, SignRequest},
};

}  // namespace

std::span<const Builtin> AwsBuiltins() { return kBuiltins; }

}  // namespace aegis::rego
