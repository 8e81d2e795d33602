#include "aegis/gateway/form_data.h"

#include <gtest/gtest.h>

#include <string>

namespace aegis::gateway {
namespace {

// "name=content" of each part, "name<file type>" of files; "malformed" at the end if it is.
std::string Parts(std::string_view body, std::string_view boundary = "B") {
  FormDataReader reader(body, boundary);
  FormDataReader::Part part;
  std::string out;
  while (true) {
    switch (reader.Next(&part)) {
      case FormDataReader::Step::kEnd:
        return out;
      case FormDataReader::Step::kMalformed:
        return out + "malformed";
      case FormDataReader::Step::kPart:
        break;
    }
    out += std::string(part.name);
    if (part.is_file) {
      out += "<" + std::string(part.filename) + " " + std::string(part.content_type) + ">";
    }
    out += "=" + std::string(part.content) + ";";
  }
}

std::string One(const std::string& fields, const std::string& content = "1") {
  return "--B\r\n" + fields + "\r\n\r\n" + content + "\r\n--B--\r\n";
}
constexpr const char* kName = R"(Content-Disposition: form-data; name="a")";

TEST(FormDataTest, ReadsWhatClientsSend) {
  EXPECT_EQ(Parts("--B--\r\n"), "");
  EXPECT_EQ(Parts("--B--"), "");
  EXPECT_EQ(Parts(One(kName)), "a=1;");
  EXPECT_EQ(Parts(One(kName, "")), "a=;");
  EXPECT_EQ(Parts(One(kName, "x\r\ny\n-- z")), "a=x\r\ny\n-- z;");
  EXPECT_EQ(Parts("--B\r\ncontent-disposition:form-data;name=\"a\"\r\n\r\n1\r\n"
                  "--B\r\nContent-Disposition: form-data; name=\"f\"; filename=\"x.pdf\"\r\n"
                  "Content-Type: application/pdf\r\n\r\n%PDF\r\n--B--"),
            "a=1;f<x.pdf application/pdf>=%PDF;");
  EXPECT_EQ(Parts(One(std::string(kName) + "; filename=\"\"\r\nContent-Type: "
                                           "application/octet-stream",
                      "")),
            "a< application/octet-stream>=;");
  EXPECT_EQ(Parts(One(std::string(kName) + "\r\nContent-Transfer-Encoding: binary\r\n"
                                           "Content-Length: 1")),
            "a=1;");
}

TEST(FormDataTest, WhatReadersTakeApartInSeveralWaysIsRefused) {
  const std::string name = kName;
  const std::string good = One(name);
  const std::string cases[] = {
      "",
      "x" + good,
      "\r\n" + good,
      "preamble\r\n" + good,
      good + "x",
      good + good,
      good + "\r\n",
      "--B\n" + name + "\n\n1\n--B--\n",
      "--B \r\n" + name + "\r\n\r\n1\r\n--B--\r\n",
      "--B\r\n" + name + "\r\n\r\n1\r\n--B",
      "--B\r\n" + name + "\r\n\r\n1\r\n--B\r\n",
      "--B\r\n" + name + "\r\n\r\n1\r\n--B-\r\n",
      "--B\r\n" + name + "\r\n\r\n1\n--B--\r\n",
      "--B\r\n" + name + "\r\n\r\n--B--\r\n",
      "--B\r\n" + name + "\r\n\r\n1\r\n--Bx\r\n2\r\n--B--\r\n",
      "--B\r\n" + name + "\r\n\r\n1 --B--\r\n2\r\n--B--\r\n",
      "--B\r\n" + name + "\r\n\r\n1\r\n--B \r\n" + name + "\r\n\r\n2\r\n--B--\r\n",
      One(""),
      One("Content-Type: text/plain"),
      One(name + "\r\n" + name),
      One(name + "\r\nContent-Type: text/plain\r\nContent-Type: text/html"),
      One(name + "\r\nX-Other: 1"),
      One(name + "\r\n folded"),
      One("Content-Disposition : form-data; name=\"a\""),
      One("Content-Disposition: attachment; name=\"a\""),
      One("Content-Disposition: form-data"),
      One("Content-Disposition: form-data; name=a"),
      One("Content-Disposition: form-data; name='a'"),
      One("Content-Disposition: form-data; name=\"\""),
      One("Content-Disposition: form-data; name=\"a"),
      One("Content-Disposition: form-data; name=\"a\\\"b\""),
      One("Content-Disposition: form-data; name=\"a%22b\""),
      One("Content-Disposition: form-data; name=\"a;b\""),
      One("Content-Disposition: form-data; name=\"a\xff\""),
      One("Content-Disposition: form-data; name=\"a\"; name=\"b\""),
      One("Content-Disposition: form-data; name=\"a\"; Name=\"b\""),
      One("Content-Disposition: form-data; name=\"a\"; name*=utf-8''b"),
      One("Content-Disposition: form-data; filename=\"f\"; name=\"a\""),
      One("Content-Disposition: form-data; name=\"a\"; filename=\"f\"; filename=\"g\""),
      One("Content-Disposition: form-data; name=\"a\"; filename*=utf-8''g"),
      One("Content-Disposition: form-data; name=\"a\"; filename=\"x;y\""),
      One("Content-Disposition: form-data; name=\"a\"; filename=\"\"", "content"),
      One("Content-Disposition: form-data; name=\"a\" x"),
      One("Content-Disposition: form-data; name=\"_charset_\"", "utf-16"),
      One(name + "\r\nContent-Type: application/octet-stream"),
      One(name + "\r\nContent-Transfer-Encoding: base64", "MQ=="),
      One(name + "\r\nContent-Transfer-Encoding: quoted-printable"),
      One(name + "\r\nContent-Length: 7"),
      One(name + "\r\nContent-Length: +1"),
      One(name + "\r\nContent-Length: 1\r\nContent-Length: 1"),
      One(name + std::string("\r\nContent-Type: text/\0plain", 27)),
      One(std::string(2000, 'a') + ": x"),
  };
  for (const std::string& body : cases) {
    EXPECT_TRUE(Parts(body).ends_with("malformed")) << body << " -> " << Parts(body);
  }
}

TEST(FormDataTest, Boundaries) {
  EXPECT_EQ(FindFormBoundary("multipart/form-data; boundary=abc"), "abc");
  EXPECT_EQ(FindFormBoundary("multipart/form-data;boundary=\"a=b:c\"; charset=utf-8"), "a=b:c");
  EXPECT_EQ(FindFormBoundary("multipart/form-data; Boundary=----WebKitFormBoundaryX"),
            "----WebKitFormBoundaryX");
  for (const std::string bad :
       {"multipart/form-data", "multipart/form-data;", "multipart/form-data; boundary=",
        "multipart/form-data; boundary=a; boundary=b", "multipart/form-data; boundary=a; boundary",
        "multipart/form-data; boundary=\"a b\"", "multipart/form-data; boundary=\"a",
        "multipart/form-data; boundary=a b", "multipart/form-data; boundary*=a",
        "multipart/form-data; boundary*0=a", "multipart/form-data; boundary=a; x=y",
        "multipart/form-data; boundary=\"a;boundary=b\"", "multipart/form-data; boundary=a,b"}) {
    EXPECT_EQ(FindFormBoundary(bad), "") << bad;
  }
  EXPECT_EQ(FindFormBoundary("multipart/form-data; boundary=" + std::string(71, 'a')), "");
}

}  // namespace
}  // namespace aegis::gateway
