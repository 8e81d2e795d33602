// What a tool's map costs a call: no allocation once the arena is warm.
#include <gtest/gtest.h>

#include "aegis/base/allocation_testing.h"
#include "aegis/gateway/tool_call.h"
#include "aegis/tool/spec.h"

namespace aegis::gateway {
namespace {

TEST(ToolMapAllocationTest, AMappedCallAllocatesNothingWhenWarm) {
  std::vector<tool::Mistake> mistakes;
  const auto spec = tool::ReadSpec(
      R"({"name":"pay","base_url":"http://h","hosts":["pay.internal"],"actions":[
          {"name":"charge","method":"POST","path":"/v1/customers/{id}/charges",
           "params":{"customer":{"in":"path","name":"id","type":"integer"},
                     "page":{"in":"query","name":"p","type":"integer"},
                     "amount":{"type":"number"},"key":{"in":"header","name":"x-key"},
                     "region":{"in":"cookie"}}}]})",
      &mistakes);
  ASSERT_TRUE(spec) << spec.error().message;
  State state;
  state.tools["pay"].actions = std::make_shared<tool::ActionMap>(*spec);
  state.tool_hosts["pay.internal"] = "pay";
  net::HeaderField fields[] = {{"content-type", "application/json"},
                               {"content-length", "12"},
                               {"x-key", "k"},
                               {"cookie", "a=b; region=eu"}};
  net::RequestHead head;
  net::Http1Error error;
  ASSERT_TRUE(net::MakeRequestHead("POST", "/v1/customers/7/charges?p=2", "PAY.internal:80", fields,
                                   {}, &head, &error));
  Arena arena;
  std::string storage;
  const auto read = [&] {
    arena.Reset();
    Refusal refusal;
    const std::string_view tool = FindHostTool(&state, head.host, &refusal);
    Route route = FindToolRoute(tool, {}, head.path, &storage);
    tool::ActionMap::Match match;
    refusal = ResolveAction(&state, head.method, &route, &match);
    const BodyType type = ClassifyBody(head, BodiesOf(match), &refusal);
    const auto params =
        BuildParams({type, R"({"amount":1})", head.query, head.fields, &match}, arena, &refusal);
    return params.size();
  };
  ASSERT_EQ(read(), 5u);
  const size_t before = CountedAllocations();
  for (int i = 0; i < 100; ++i) read();
  EXPECT_EQ(CountedAllocations(), before);
}

}  // namespace
}  // namespace aegis::gateway
