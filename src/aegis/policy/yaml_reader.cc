#include <yaml-cpp/eventhandler.h>
#include <yaml-cpp/exceptions.h>
#include <yaml-cpp/mark.h>
#include <yaml-cpp/parser.h>

#include <algorithm>
#include <istream>
#include <streambuf>
#include <unordered_map>

#include "aegis/base/text.h"
#include "aegis/policy/node_builder.h"

namespace aegis::policy {
namespace {

// Lets yaml-cpp read the text where it is.
class ViewBuffer final : public std::streambuf {
 public:
  explicit ViewBuffer(std::string_view text) {
    char* begin = const_cast<char*>(text.data());  // streambuf's interface; never written through
    setg(begin, begin, begin + text.size());
  }
};

// Leaves yaml-cpp's parser; the mistake has been reported.
struct Stop {};

class EventReader final : public YAML::EventHandler {
 public:
  EventReader(const SourceText& source, const SourceLimits& limits, DocumentSink& sink,
              Diagnostics& diagnostics)
      : source_(source), sink_(sink), builder_(source, limits, diagnostics) {}

  void Report(size_t offset, std::string message) { builder_.Report(offset, std::move(message)); }
  size_t OffsetOf(const YAML::Mark& mark) const {
    if (mark.is_null()) return 0;
    return source_.OffsetOf(static_cast<size_t>(mark.line), static_cast<size_t>(mark.column));
  }

  void OnDocumentStart(const YAML::Mark& mark) override {
    // yaml-cpp takes what follows a finished document for the next one. A misplaced line must not
    // become a document of its own.
    if (documents_++ > 0 && source_.text().substr(OffsetOf(mark), 3) != "---") {
      Report(OffsetOf(mark),
             "the line does not belong to the document above; check its indentation, or begin a "
             "new document with '---'");
      throw Stop{};
    }
    anchors_.clear();
    open_anchors_.clear();
    builder_.StartDocument();
  }
  void OnDocumentEnd() override {
    if (builder_.has_root()) sink_.OnDocument(builder_.tree());
  }

  void OnNull(const YAML::Mark& mark, YAML::anchor_t anchor) override {
    // yaml-cpp marks a value that is left out at what comes after it.
    uint32_t offset = Offset32(mark);
    const std::string_view here = source_.text().substr(offset, 4);
    const bool written = here.starts_with('~') || EqualsIgnoreCase(here, "null");
    if (!written && !builder_.expects_key()) offset = builder_.enclosing_offset().value_or(offset);
    Scalar(offset, anchor, Node::Kind::kNull, true, builder_.expects_key() ? "null" : "", "");
  }
  void OnScalar(const YAML::Mark& mark, const std::string& tag, YAML::anchor_t anchor,
                const std::string& value) override {
    if (tag == "?") {
      PlainScalar plain = ResolvePlainScalar(value);
      if (!plain.problem.empty() && !builder_.expects_key()) {
        // Not fatal: the other mistakes of the file are still worth reporting.
        Report(OffsetOf(mark), "the number '" + value.substr(0, 80) + "' " + plain.problem);
      }
      Scalar(Offset32(mark), anchor, plain.kind, true, value, std::move(plain.text));
      return;
    }
    RefuseTag(mark, tag);
    Scalar(Offset32(mark), anchor, Node::Kind::kString, false, value, value);
  }
  void OnAlias(const YAML::Mark& mark, YAML::anchor_t anchor) override {
    const auto found = anchors_.find(anchor);
    if (found == anchors_.end()) {
      Report(OffsetOf(mark), "the alias stands inside the value that it names");
      throw Stop{};
    }
    if (!builder_.AddShared(found->second, Offset32(mark))) throw Stop{};
  }
  void OnSequenceStart(const YAML::Mark& mark, const std::string& tag, YAML::anchor_t anchor,
                       YAML::EmitterStyle::value) override {
    RefuseTag(mark, tag);
    if (!builder_.OpenList(Offset32(mark))) throw Stop{};
    open_anchors_.push_back(anchor);
  }
  void OnMapStart(const YAML::Mark& mark, const std::string& tag, YAML::anchor_t anchor,
                  YAML::EmitterStyle::value) override {
    RefuseTag(mark, tag);
    if (!builder_.OpenMap(Offset32(mark))) throw Stop{};
    open_anchors_.push_back(anchor);
  }
  void OnSequenceEnd() override { Close(); }
  void OnMapEnd() override { Close(); }

 private:
  uint32_t Offset32(const YAML::Mark& mark) const { return static_cast<uint32_t>(OffsetOf(mark)); }

  void RefuseTag(const YAML::Mark& mark, const std::string& tag) {
    if (tag == "?" || tag == "!" || tag.empty()) return;
    Report(OffsetOf(mark), "tags such as !!str are not used in policies; quote the value instead");
    throw Stop{};
  }
  void Scalar(uint32_t offset, YAML::anchor_t anchor, Node::Kind kind, bool plain,
              std::string_view written, std::string text) {
    const bool key = builder_.expects_key();
    if (key && plain && written == "<<") {
      Report(offset, "merge keys ('<<') are not part of YAML 1.2; use an alias for a whole value");
      throw Stop{};
    }
    const Node* node = builder_.AddScalar(kind, plain, offset, written, std::move(text));
    if (node == nullptr) throw Stop{};
    if (anchor != 0 && !key) anchors_[anchor] = node;
  }
  void Close() {
    const Node* node = builder_.Close();
    if (open_anchors_.back() != 0) anchors_[open_anchors_.back()] = node;
    open_anchors_.pop_back();
  }

  const SourceText& source_;
  DocumentSink& sink_;
  NodeBuilder builder_;
  std::unordered_map<YAML::anchor_t, const Node*> anchors_;
  std::vector<YAML::anchor_t> open_anchors_;
  size_t documents_ = 0;
};

std::string SyntaxMessage(const SourceText& source, const YAML::Exception& error) {
  std::string message = "not valid YAML: " + error.msg;
  const auto line = static_cast<size_t>(std::max(error.mark.line, 0));
  const std::string_view rest = source.text().substr(source.OffsetOf(line, 0));
  const size_t indent = std::min(rest.find_first_not_of(" \t"), rest.size());
  if (rest.substr(0, indent).find('\t') != std::string_view::npos) {
    return message + "; indent with spaces, not tabs";
  }
  const bool structure = error.msg.starts_with("end of ") || error.msg.starts_with("illegal ");
  return structure ? message + "; check indentation, brackets and quotes here and just above"
                   : message;
}

bool ReportAt(const SourceText& source, size_t offset, std::string message,
              Diagnostics& diagnostics) {
  diagnostics.Add({Severity::kError, std::string(source.name()), source.PositionAt(offset),
                   std::move(message)});
  return false;
}

// YAML 1.2.2 §5.1 c-printable without the controls. yaml-cpp ends its input at U+0004, so that a
// control character could hide the rest of a file.
bool CheckControls(const SourceText& source, Diagnostics& diagnostics) {
  const std::string_view text = source.text();
  for (size_t i = 0; i < text.size(); ++i) {
    const auto c = static_cast<uint8_t>(text[i]);
    if (c >= 0x20 && c != 0x7F) continue;
    const bool line_feed_next = i + 1 < text.size() && text[i + 1] == '\n';
    if (c == '\n' || c == '\t' || (c == '\r' && line_feed_next)) continue;
    if (c == '\r') {
      return ReportAt(source, i, "a carriage return without a line feed; end lines with LF or CRLF",
                      diagnostics);
    }
    return ReportAt(source, i,
                    "a control character (0x" + HexEncode(text.substr(i, 1)) +
                        ") is not allowed; write it as an escape in double quotes",
                    diagnostics);
  }
  return true;
}

bool CheckUtf8(const SourceText& source, Diagnostics& diagnostics) {
  const std::string_view text = source.text();
  if (IsValidUtf8(text)) return true;
  size_t line_start = 0;  // the first line that is not UTF-8 is near enough
  while (line_start < text.size()) {
    const size_t end = std::min(text.find('\n', line_start), text.size());
    if (!IsValidUtf8(text.substr(line_start, end - line_start))) break;
    line_start = end + 1;
  }
  return ReportAt(source, line_start, "this line is not UTF-8; save the file as UTF-8",
                  diagnostics);
}

}  // namespace

bool ReadYaml(const SourceText& source, const SourceLimits& limits, DocumentSink& sink,
              Diagnostics& diagnostics) {
  EventReader reader(source, limits, sink, diagnostics);
  try {
    ViewBuffer buffer(source.text());
    std::istream stream(&buffer);
    YAML::Parser parser(stream);
    while (parser.HandleNextDocument(reader)) {
    }
    return true;
  } catch (const Stop&) {
  } catch (const YAML::Exception& error) {
    reader.Report(reader.OffsetOf(error.mark), SyntaxMessage(source, error));
  } catch (const std::exception& error) {
    reader.Report(0, std::string("the file could not be read as YAML: ") + error.what());
  }
  return false;
}

bool ReadSource(const SourceText& source, const SourceLimits& limits, DocumentSink& sink,
                Diagnostics& diagnostics) {
  auto refuse = [&](std::string message) {
    diagnostics.Add({Severity::kError, std::string(source.name()), {}, std::move(message)});
    return false;
  };
  if (source.text().size() > limits.max_file_bytes) {
    return refuse("the file has more than " + std::to_string(limits.max_file_bytes) +
                  " bytes; split it");
  }
  if (!CheckUtf8(source, diagnostics)) return false;
  if (source.name().ends_with(".json")) return ReadJson(source, limits, sink, diagnostics);
  return CheckControls(source, diagnostics) && ReadYaml(source, limits, sink, diagnostics);
}

}  // namespace aegis::policy
