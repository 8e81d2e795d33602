#include "aegis/telemetry/sampler.h"

#include <gtest/gtest.h>

#include <cmath>
#include <string>

namespace aegis::telemetry {
namespace {

TraceContext Context(std::string_view last_digits, bool sampled) {
  TraceContext context;
  context.trace_id.fill('1');
  context.span_id.fill('2');
  std::copy(last_digits.begin(), last_digits.end(), context.trace_id.end() - last_digits.size());
  context.flags = sampled ? TraceContext::kSampled : 0;
  return context;
}

TEST(SamplerTest, NamesAndTheirMeaning) {
  struct Case {
    const char* name;
    bool root, unsampled_child, sampled_child;
  };
  for (const Case& c :
       {Case{"always_on", true, true, true}, Case{"always_off", false, false, false},
        Case{"parentbased_always_on", true, false, true},
        Case{"parentbased_always_off", false, false, true}, Case{"traceidratio", true, true, true},
        Case{"parentbased_traceidratio", true, false, true}}) {
    const auto sampler = Sampler::FromName(c.name, 1);
    ASSERT_TRUE(sampler) << c.name;
    const TraceContext off = Context("ffffffffffffffff", false);
    const TraceContext on = Context("ffffffffffffffff", true);
    EXPECT_EQ(sampler->Samples(off, false), c.root) << c.name;
    EXPECT_EQ(sampler->Samples(off, true), c.unsampled_child) << c.name;
    EXPECT_EQ(sampler->Samples(on, true), c.sampled_child) << c.name;
  }
  for (const char* name : {"", "parentbased_", "jaeger_remote", "Always_On"}) {
    EXPECT_FALSE(Sampler::FromName(name, 1)) << name;
  }
  for (const double ratio : {-0.1, 1.1, std::nan("")}) {
    EXPECT_FALSE(Sampler::FromName("traceidratio", ratio)) << ratio;
  }
}

TEST(SamplerTest, TheDefaultIsThatOfTheSdk) {
  EXPECT_TRUE(Sampler().Samples(Context("0", false), false));
  EXPECT_FALSE(Sampler().Samples(Context("0", false), true));
}

// The trace id alone decides, so that all who use the ratio keep the same traces.
TEST(SamplerTest, RatioIsOfTheLastHalfOfTheTraceId) {
  const auto half = Sampler::FromName("traceidratio", 0.5);
  EXPECT_TRUE(half->Samples(Context("7fffffffffffffff", false), false));
  EXPECT_FALSE(half->Samples(Context("8000000000000000", false), false));
  const auto none = Sampler::FromName("traceidratio", 0);
  EXPECT_FALSE(none->Samples(Context("0000000000000000", false), false));

  TraceIdSource ids;
  const auto tenth = Sampler::FromName("traceidratio", 0.1);
  int kept = 0;
  for (int i = 0; i < 20'000; ++i) kept += tenth->Samples(ids.NewTrace(), false) ? 1 : 0;
  EXPECT_NEAR(kept, 2'000, 300);  // seven standard deviations
}

}  // namespace
}  // namespace aegis::telemetry
