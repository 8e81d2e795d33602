// Small text helpers that the standard library lacks.
#pragma once

#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace aegis {

// Lower-case hexadecimal of the bytes of `bytes`.
std::string HexEncode(std::string_view bytes);
// The bytes, or nothing when `text` is not an even number of hexadecimal digits.
std::optional<std::string> HexDecode(std::string_view text);

// Whether `text` is UTF-8 (RFC 3629: shortest form, no surrogates, at most U+10FFFF).
bool IsValidUtf8(std::string_view text);
// With U+FFFD for each byte that is not part of a UTF-8 character.
std::string ReplaceBadUtf8(std::string_view text);

// Pieces between separators; "a,,b" has three, "" has one.
std::vector<std::string_view> Split(std::string_view text, char separator);
// Without leading and trailing spaces and tabs.
std::string_view Trim(std::string_view text);
// ASCII letters only.
bool EqualsIgnoreCase(std::string_view a, std::string_view b);

// The candidate with the smallest edit distance (Damerau-Levenshtein, adjacent swaps) to `word`, if
// that is at most a third of the word's length rounded up; for "did you mean".
std::optional<std::string_view> NearestSpelling(std::string_view word,
                                                std::span<const std::string_view> candidates);

// Whether `text` matches `pattern`, in which '*' stands for any run of bytes and all else for
// itself. Linear in size(text) times the number of stars; no recursion.
bool MatchesWildcard(std::string_view pattern, std::string_view text);

}  // namespace aegis
