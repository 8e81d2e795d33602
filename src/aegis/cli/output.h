// What commands print: aligned tables for people, JSON for programs, colour only on a terminal.
#pragma once

#include <cstdio>
#include <nlohmann/json_fwd.hpp>
#include <string>
#include <string_view>
#include <vector>

#include "aegis/base/result.h"

namespace aegis::cli {

enum class Format { kTable, kJson };

enum class Color { kNone, kRed, kGreen, kYellow, kBold, kDim };

// Whether `stream` is a terminal and NO_COLOR (no-color.org) is not set.
bool UseColor(std::FILE* stream);
// `text` in the colour, or as it is where colours are off.
std::string Paint(std::string_view text, Color color, std::FILE* stream = stdout);

// Control characters and escape sequences made visible: what an agent or tool sent must not drive
// the reader's terminal.
std::string Printable(std::string_view text);

// Rows of cells, printed with the columns aligned by code points.
class Table {
 public:
  explicit Table(std::vector<std::string> header) { rows_.push_back(std::move(header)); }
  void Add(std::vector<std::string> cells) { rows_.push_back(std::move(cells)); }
  // Colours cell `column` of the row added last.
  void PaintLast(size_t column, Color color);
  void Print(std::FILE* stream = stdout) const;
  size_t size() const { return rows_.size() - 1; }

 private:
  struct Mark {
    size_t row, column;
    Color color;
  };
  std::vector<std::vector<std::string>> rows_;
  std::vector<Mark> marks_;
};

// Indented JSON and a newline.
void PrintJson(const nlohmann::json& value, std::FILE* stream = stdout);

// "error: message" on stderr.
void PrintError(const Error& error);

}  // namespace aegis::cli
