#include "aegis/tool/action_map.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <random>

#include "aegis/base/text.h"
#include "aegis/tool/loose_name.h"

namespace aegis::tool {
namespace {

using MatchKind = ActionMap::Match::Kind;

Spec SpecOf(std::initializer_list<std::pair<const char*, const char*>> routes,
            Unmapped unmapped = Unmapped::kRefuse) {
  Spec spec;
  spec.unmapped = unmapped;
  for (const auto& [method, path] : routes) {
    spec.actions.push_back({std::string(method) + " " + path, method, path, {}, kJudgedBodies});
  }
  return spec;
}

// "name a=b", or why there is none.
std::string Found(const ActionMap& map, std::string_view method, std::string_view path) {
  ActionMap::Match match;
  map.Find(method, path, &match);
  switch (match.kind) {
    case MatchKind::kNone:
      return "none";
    case MatchKind::kOtherMethod:
      return "other method";
    case MatchKind::kDoubtful:
      return "doubtful";
    case MatchKind::kFound:
      break;
  }
  std::string out = match.action->name();
  for (size_t i = 0; i < match.action->variable_count(); ++i) {
    out += " " + match.action->variable(i).name + "=" + std::string(match.variables[i]);
  }
  return out;
}

TEST(ActionMapTest, TheNarrowestTemplateCounts) {
  const ActionMap map(SpecOf({{"GET", "/users"},
                              {"GET", "/users/{id}"},
                              {"GET", "/users/me"},
                              {"POST", "/users"},
                              {"GET", "/users/{id}/notes/{note}"},
                              {"GET", "/users/me/{what...}"},
                              {"GET", "/files/{path...}"},
                              {"DELETE", "/trash/**"},
                              {"GET", "/"}}));
  const struct {
    const char *method, *path, *found;
  } cases[] = {
      {"GET", "/", "GET /"},
      {"GET", "/users", "GET /users"},
      {"POST", "/users", "POST /users"},
      {"GET", "/users/7", "GET /users/{id} id=7"},
      {"GET", "/users/me", "GET /users/me"},
      {"GET", "/users/7/notes/x y", "GET /users/{id}/notes/{note} id=7 note=x y"},
      {"GET", "/users/me/notes/1", "GET /users/me/{what...} what=notes/1"},
      {"GET", "/users/7/other", "none"},
      {"GET", "/files/a", "GET /files/{path...} path=a"},
      {"GET", "/files/a/b/", "GET /files/{path...} path=a/b/"},
      {"GET", "/files", "none"},
      {"GET", "/files/", "none"},
      {"DELETE", "/trash/a/b", "DELETE /trash/**"},
      {"GET", "/trash/a/b", "other method"},
      {"DELETE", "/", "other method"},
      {"PUT", "/users", "other method"},
      {"GET", "/users/", "doubtful"},
      {"GET", "/USERS", "doubtful"},
      {"GET", "/users/ME", "doubtful"},
      {"GET",
       "/u\xc5\xbf"
       "ers/7",
       "doubtful"},
      {"GET", "/users/7/", "doubtful"},
      {"GET", "/user", "none"},
      {"get", "/users", "other method"},
  };
  for (const auto& c : cases) EXPECT_EQ(Found(map, c.method, c.path), c.found) << c.path;
}

TEST(ActionMapTest, ASlashAtTheEndBelongsToTheTemplate) {
  const ActionMap map(SpecOf({{"GET", "/a/"}, {"GET", "/b/{x}/"}}));
  EXPECT_EQ(Found(map, "GET", "/a/"), "GET /a/");
  EXPECT_EQ(Found(map, "GET", "/a"), "doubtful");
  EXPECT_EQ(Found(map, "GET", "/b/1/"), "GET /b/{x}/ x=1");
  EXPECT_EQ(Found(map, "GET", "/b/1"), "doubtful");
}

TEST(ActionMapTest, PathsOfAnyLengthAreSearched) {
  const ActionMap map(SpecOf({{"GET", "/a/{rest...}"}, {"GET", "/{x}/{y}"}}));
  std::string path = "/a";
  for (int i = 0; i < 5000; ++i) path += "/b";
  EXPECT_EQ(Found(map, "GET", path), "GET /a/{rest...} rest=" + path.substr(3));
  path[1] = 'c';
  EXPECT_EQ(Found(map, "GET", path), "none");
}

TEST(ActionMapTest, WithoutActionsTheFirstSegmentIsTheAction) {
  EXPECT_EQ(ActionMap(Spec()).unmapped(), Unmapped::kSegment);
  EXPECT_EQ(ActionMap::RefusingAll().unmapped(), Unmapped::kRefuse);
  EXPECT_EQ(Found(ActionMap::RefusingAll(), "GET", "/a"), "none");
}

// A template against a path, by the words of path_template.h alone.
bool SlowMatch(const PathTemplate& path, std::string_view text) {
  const bool slash = text.size() > 1 && text.ends_with('/');
  std::vector<std::string_view> parts;
  if (text != "/") parts = Split(text.substr(1, text.size() - 1 - slash), '/');
  for (size_t i = 0; i < path.segments.size(); ++i) {
    if (i >= parts.size()) return false;
    if (path.segments[i].kind == PathTemplate::Kind::kRest) return true;
    if (path.segments[i].kind == PathTemplate::Kind::kLiteral && parts[i] != path.segments[i].text)
      return false;
  }
  return parts.size() == path.segments.size() && slash == path.slash;
}

// Among random maps without conflicts: what is found is what the slow search finds, and no other
// template that matches is narrower.
TEST(ActionMapTest, FindsWhatTheSlowSearchFinds) {
  std::mt19937 random(7);
  const auto pick = [&](auto... words) {
    const std::string_view list[] = {words...};
    return list[random() % std::size(list)];
  };
  int found = 0;
  for (int round = 0; round < 3000; ++round) {
    Spec spec;
    std::vector<PathTemplate> paths;
    for (int i = 0; i < 6; ++i) {
      std::string text;
      for (size_t j = 0, n = 1 + random() % 4; j < n; ++j) {
        const std::string_view part = pick("a", "b", "c", "{v}", "{v}", "**");
        text += "/";
        text += part == "{v}" ? "{v" + std::to_string(j) + "}" : std::string(part);
        if (part == "**") break;
      }
      PathTemplate path;
      ASSERT_EQ(ParsePathTemplate(text, &path), "");
      bool conflict = false;
      for (const PathTemplate& other : paths) {
        const Overlap overlap = Compare(path, other);
        conflict = conflict || overlap == Overlap::kSame || overlap == Overlap::kAmbiguous;
      }
      if (conflict) continue;
      spec.actions.push_back({"x" + std::to_string(i), "GET", text, {}, kJudgedBodies});
      paths.push_back(path);
    }
    const ActionMap map(spec);
    for (int i = 0; i < 10; ++i) {
      std::string text;
      for (size_t j = 0, n = 1 + random() % 5; j < n; ++j) {
        text.append("/").append(pick("a", "b", "c", "d"));
      }
      const Spec& known = spec;
      size_t best = known.actions.size();
      for (size_t k = 0; k < paths.size(); ++k) {
        if (!SlowMatch(paths[k], text)) continue;
        if (best == known.actions.size() || Compare(paths[k], paths[best]) == Overlap::kFirst)
          best = k;
      }
      ActionMap::Match match;
      map.Find("GET", text, &match);
      if (best == known.actions.size()) {
        EXPECT_EQ(match.kind, MatchKind::kNone) << text;
        continue;
      }
      ASSERT_EQ(match.kind, MatchKind::kFound) << text;
      EXPECT_EQ(match.action->name(), known.actions[best].name) << text;
      ++found;
    }
  }
  EXPECT_GT(found, 5000);
}

TEST(PathTemplateTest, Overlaps) {
  const struct {
    const char *a, *b;
    Overlap overlap;
  } cases[] = {
      {"/a", "/b", Overlap::kNone},
      {"/a", "/a/b", Overlap::kNone},
      {"/a", "/A/", Overlap::kSame},
      {"/{x}", "/{y}", Overlap::kSame},
      {"/a", "/{x}", Overlap::kFirst},
      {"/{x}", "/a", Overlap::kSecond},
      {"/a/{x}", "/{y}/b", Overlap::kAmbiguous},
      {"/**", "/{p...}", Overlap::kSame},
      {"/a/{x}", "/a/**", Overlap::kFirst},
      {"/a/**", "/a", Overlap::kNone},
      {"/{x}/b/**", "/a/**", Overlap::kAmbiguous},
      {"/a/b/**", "/a/**", Overlap::kFirst},
      {"/", "/**", Overlap::kNone},
  };
  for (const auto& c : cases) {
    PathTemplate a, b;
    ASSERT_EQ(ParsePathTemplate(c.a, &a) + ParsePathTemplate(c.b, &b), "");
    EXPECT_EQ(Compare(a, b), c.overlap) << c.a << " " << c.b;
  }
}

TEST(MappedActionTest, SaysWhatAFieldIs) {
  Action action{"x", "POST", "/c/{id}", {}, kJudgedBodies};
  action.params = {{"customer", "id", Place::kPath, Type::kInteger, false},
                   {"limit", "limit", Place::kQuery, Type::kInteger, false},
                   {"page", "p", Place::kQuery, Type::kAny, false},
                   {"amount", "amount", Place::kAnywhere, Type::kNumber, false},
                   {"key", "idempotency-key", Place::kHeader, Type::kAny, false}};
  PathTemplate path;
  ASSERT_EQ(ParsePathTemplate(action.path, &path), "");
  const MappedAction mapped(action, path);
  ASSERT_EQ(mapped.variable_count(), 1u);
  EXPECT_EQ(mapped.variable(0).name, "customer");
  EXPECT_EQ(mapped.from_headers().size(), 1u);
  using Field = MappedAction::Field;
  const struct {
    Place place;
    const char* name;
    Field field;
    const char* param;
  } cases[] = {
      {Place::kQuery, "limit", Field::kDeclared, "limit"},
      {Place::kQuery, "Limit", Field::kRefused, ""},
      {Place::kBody, "limit", Field::kRefused, ""},
      {Place::kQuery, "p", Field::kDeclared, "page"},
      {Place::kQuery, "page", Field::kRefused, ""},
      {Place::kBody, "page", Field::kRefused, ""},
      {Place::kBody, "p", Field::kPlain, ""},
      {Place::kQuery, "id", Field::kPlain, ""},
      {Place::kBody, "id", Field::kPlain, ""},
      {Place::kBody, "customer", Field::kRefused, ""},
      {Place::kBody, "amount", Field::kDeclared, "amount"},
      {Place::kQuery, "amount", Field::kDeclared, "amount"},
      {Place::kQuery, "AMOUNT", Field::kRefused, ""},
      {Place::kQuery, "key", Field::kRefused, ""},
      {Place::kQuery, "other", Field::kPlain, ""},
  };
  for (const auto& c : cases) {
    const Param* param = nullptr;
    EXPECT_EQ(mapped.Find(c.place, c.name, LooseName(c.name), &param), c.field) << c.name;
    if (c.field == Field::kDeclared) {
      ASSERT_NE(param, nullptr);
      EXPECT_EQ(param->name, c.param);
    }
  }
}

TEST(LooseNameTest, IsThatOfTheLoosestReader) {
  EXPECT_EQ(LooseName("  A.b C"), "a_b_c");
  EXPECT_EQ(LooseName("\xc5\xbf\xe2\x84\xaa"), "sk");
  EXPECT_EQ(CompareFolded("ABC", "abc"), 0);
  EXPECT_LT(CompareFolded("AB", "abc"), 0);
  EXPECT_GT(CompareFolded("abd", "abc"), 0);
}

}  // namespace
}  // namespace aegis::tool
