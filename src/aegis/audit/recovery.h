// What a journal does with the files that it finds. Rules: docs/formats/audit-segment.md.
#pragma once

#include <string>

#include "aegis/audit/env.h"
#include "aegis/audit/journal.h"

namespace aegis::audit {

// Checks headers, seals and the newest segment, cuts off a torn tail, seals the newest segment, and
// removes what an interrupted creation left. The folder must be locked. Changes nothing when it
// returns an error other than one of Env.
// Errors: journal_corrupt, journal_producer, journal_version, and those of Env.
Result<Journal::Recovery> RecoverFolder(Env& env, const std::string& folder,
                                        const std::string& producer);

// Ends a segment at `offset`: writes the end frame, cuts the file behind it and syncs.
Status Seal(File& file, uint32_t salt, uint64_t offset, uint64_t next_sequence);

}  // namespace aegis::audit
