#include "aegis/cli/output.h"

#include <unistd.h>

#include <algorithm>
#include <cstdlib>
#include <nlohmann/json.hpp>

namespace aegis::cli {
namespace {

const char* Escape(Color color) {
  switch (color) {
    case Color::kNone:
      return "";
    case Color::kRed:
      return "\x1b[31m";
    case Color::kGreen:
      return "\x1b[32m";
    case Color::kYellow:
      return "\x1b[33m";
    case Color::kBold:
      return "\x1b[1m";
    case Color::kDim:
      return "\x1b[2m";
  }
  return "";
}

size_t Width(std::string_view text) {
  return static_cast<size_t>(std::count_if(text.begin(), text.end(), [](char c) {
    return (static_cast<unsigned char>(c) & 0xc0) != 0x80;
  }));
}

}  // namespace

bool UseColor(std::FILE* stream) {
  const char* no_color = std::getenv("NO_COLOR");
  if (no_color != nullptr && *no_color != '\0') return false;
  return ::isatty(::fileno(stream)) == 1;
}

std::string Paint(std::string_view text, Color color, std::FILE* stream) {
  if (color == Color::kNone || !UseColor(stream)) return std::string(text);
  return std::string(Escape(color)).append(text).append("\x1b[0m");
}

std::string Printable(std::string_view text) {
  static constexpr char kHex[] = "0123456789abcdef";
  std::string out;
  out.reserve(text.size());
  for (size_t i = 0; i < text.size(); ++i) {
    const auto c = static_cast<unsigned char>(text[i]);
    // C1 controls are two bytes in UTF-8: c2 80 to c2 9f.
    const bool c1 =
        c == 0xc2 && i + 1 < text.size() && static_cast<unsigned char>(text[i + 1]) < 0xa0;
    if (c < 0x20 || c == 0x7f || c1) {
      out.append("\\x").push_back(kHex[c >> 4]);
      out.push_back(kHex[c & 15]);
      if (c1) {
        const auto next = static_cast<unsigned char>(text[++i]);
        out.append("\\x").push_back(kHex[next >> 4]);
        out.push_back(kHex[next & 15]);
      }
    } else {
      out.push_back(text[i]);
    }
  }
  return out;
}

void Table::PaintLast(size_t column, Color color) {
  marks_.push_back({rows_.size() - 1, column, color});
}

void Table::Print(std::FILE* stream) const {
  std::vector<size_t> widths;
  std::vector<std::vector<std::string>> shown = rows_;
  for (auto& row : shown) {
    for (size_t i = 0; i < row.size(); ++i) {
      row[i] = Printable(row[i]);
      if (i >= widths.size()) widths.push_back(0);
      widths[i] = std::max(widths[i], Width(row[i]));
    }
  }
  for (size_t r = 0; r < shown.size(); ++r) {
    std::string line;
    for (size_t i = 0; i < shown[r].size(); ++i) {
      Color color = r == 0 ? Color::kBold : Color::kNone;
      for (const Mark& mark : marks_)
        if (mark.row == r && mark.column == i) color = mark.color;
      line.append(Paint(shown[r][i], color, stream));
      if (i + 1 < shown[r].size()) line.append(widths[i] - Width(shown[r][i]) + 2, ' ');
    }
    std::fprintf(stream, "%s\n", line.c_str());
  }
}

void PrintJson(const nlohmann::json& value, std::FILE* stream) {
  std::fprintf(stream, "%s\n",
               value.dump(2, ' ', false, nlohmann::json::error_handler_t::replace).c_str());
}

void PrintError(const Error& error) {
  std::fprintf(stderr, "%s %s\n", Paint("error:", Color::kRed, stderr).c_str(),
               Printable(error.message).c_str());
}

}  // namespace aegis::cli
