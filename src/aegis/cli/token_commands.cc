// aegis token issue|inspect.
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <ctime>
#include <iostream>

#include "aegis/base/clock.h"
#include "aegis/cli/commands.h"
#include "aegis/cli/context.h"
#include "aegis/crypto/base64.h"

namespace aegis::cli {

using nlohmann::json;

namespace {

// "15m" -> 900. Units s, m, h.
Result<int64_t> ParseDuration(const std::string& text) {
  int64_t number = 0;
  size_t i = 0;
  for (;
       i < text.size() && std::isdigit(static_cast<unsigned char>(text[i])) && number < 100'000'000;
       ++i)
    number = number * 10 + (text[i] - '0');
  const std::string unit = text.substr(i);
  const int64_t factor = unit == "s" || unit.empty() ? 1
                         : unit == "m"               ? 60
                         : unit == "h"               ? 3600
                                                     : 0;
  if (i == 0 || factor == 0 || number == 0)
    return Fail(Code::kInvalidArgument, "bad_duration",
                "--ttl " + text + ": write e.g. 90s, 15m or 1h");
  return number * factor;
}

// "user:alice" or "agent:planner-agent".
Result<json> ParseChain(const std::vector<std::string>& links) {
  json chain = json::array();
  for (const std::string& link : links) {
    const size_t colon = link.find(':');
    const std::string type = link.substr(0, colon);
    if (colon == std::string::npos || (type != "user" && type != "agent") ||
        colon + 1 == link.size())
      return Fail(
          Code::kInvalidArgument, "bad_chain",
          "--behalf-of " + link + ": write user:NAME or agent:NAME, the one who started first");
    chain.push_back({{"type", type}, {"id", link.substr(colon + 1)}});
  }
  return chain;
}

// One of the first two parts of a compact JWS as JSON; discarded when it is not.
json DecodePart(std::string_view text) {
  const auto bytes = crypto::Base64UrlDecode(text);
  return bytes ? json::parse(*bytes, nullptr, /*allow_exceptions=*/false) : json();
}

Result<int> Inspect(Context& context, std::string token) {
  if (token == "-") std::getline(std::cin, token);
  while (!token.empty() && std::isspace(static_cast<unsigned char>(token.back()))) token.pop_back();
  const size_t first = token.find('.');
  const size_t second = first == std::string::npos ? first : token.find('.', first + 1);
  const auto fail = [] {
    return Fail(Code::kInvalidArgument, "not_a_token",
                "this is not a compact JWS (three parts between dots)");
  };
  if (second == std::string::npos) return fail();
  const json header = DecodePart(std::string_view(token).substr(0, first));
  const json claims = DecodePart(std::string_view(token).substr(first + 1, second - first - 1));
  if (!header.is_object() || !claims.is_object()) return fail();
  const json shown = {{"header", header}, {"claims", claims}};
  if (context.format() == Format::kJson) {
    PrintJson(shown);
    return kExitOk;
  }
  const auto text = [](const json& object, const char* key) -> std::string {
    if (!object.contains(key)) return "-";
    return object[key].is_string() ? object[key].get<std::string>() : object[key].dump();
  };
  const auto time = [&](const char* key) -> std::string {
    if (!claims.contains(key) || !claims[key].is_number_integer()) return "-";
    return FormatRfc3339Millis(claims[key].get<int64_t>() * 1'000'000'000);
  };
  Table table({"CLAIM", "VALUE"});
  table.Add({"algorithm", text(header, "alg")});
  table.Add({"key", text(header, "kid")});
  for (const char* key : {"iss", "aud", "sub", "org", "tenant", "agent", "scope", "jti"})
    table.Add({key, text(claims, key)});
  std::vector<std::string> chain;
  for (const json* act = &claims;
       act->contains("act") && (*act)["act"].is_object() && chain.size() < 16;) {
    act = &(*act)["act"];
    chain.push_back(text(*act, "sub"));
  }
  std::string behalf;
  for (auto link = chain.rbegin(); link != chain.rend(); ++link)
    behalf += (behalf.empty() ? "" : " -> ") + *link;
  table.Add({"on behalf of", behalf.empty() ? "-" : behalf});
  table.Add({"issued", time("iat")});
  table.Add({"expires", time("exp")});
  table.Print();
  if (claims.contains("exp") && claims["exp"].is_number_integer() &&
      claims["exp"].get<int64_t>() <= Clock::System().UnixSeconds())
    std::printf("%s\n", Paint("expired", Color::kRed).c_str());
  std::printf("The signature is not checked here: a gateway does that.\n");
  return kExitOk;
}

}  // namespace

void AddTokenCommands(CLI::App& root, Context& context) {
  CLI::App* token = root.add_subcommand("token", "Agent tokens");
  token->require_subcommand(1);

  struct IssueFlags {
    std::string agent, ttl = "15m";
    std::vector<std::string> chain;
  };
  auto flags = std::make_shared<IssueFlags>();
  CLI::App* issue = token->add_subcommand("issue", "A short-lived token for a registered agent");
  issue->add_option("AGENT", flags->agent, "The agent that will call")->required();
  issue->add_option("--ttl", flags->ttl, "Life, e.g. 90s, 15m, 1h")->capture_default_str();
  issue->add_option(
      "--behalf-of", flags->chain,
      "user:NAME or agent:NAME behind the call; repeat from the one who started to the last");
  context.SetAction(issue, [&context, flags]() -> Result<int> {
    AEGIS_TRY(const int64_t ttl, ParseDuration(flags->ttl));
    AEGIS_TRY(const json chain, ParseChain(flags->chain));
    AEGIS_TRY(ControlClient client, ControlClient::Connect(context));
    json body = {{"ttl_seconds", ttl}};
    if (!chain.empty()) body["chain"] = chain;
    AEGIS_TRY(
        const json answer,
        client.Call("POST", "/api/v1/agents/" + EncodeSegment(flags->agent) + "/tokens", &body));
    if (context.format() == Format::kJson) {
      PrintJson(answer);
      return kExitOk;
    }
    // The bare token on stdout, so that $(aegis token issue NAME) works; the rest only for a
    // person.
    std::printf("%s\n", answer.value("token", "").c_str());
    if (::isatty(STDOUT_FILENO) == 1)
      std::fprintf(stderr, "expires %s; send it as: Authorization: Bearer <token>\n",
                   answer.value("expires_at", "").c_str());
    return kExitOk;
  });

  auto text = std::make_shared<std::string>();
  CLI::App* inspect =
      token->add_subcommand("inspect", "Show what a token says, without checking it");
  inspect->add_option("TOKEN", *text, "The token, or - to read it from standard input")->required();
  context.SetAction(inspect, [&context, text] { return Inspect(context, *text); });
}

}  // namespace aegis::cli
