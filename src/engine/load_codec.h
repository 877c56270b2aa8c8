// The tokenizer and the chat template of a checkpoint.
#pragma once

#include <memory>

#include "base/clock.h"
#include "base/result.h"
#include "dialog/codec.h"
#include "io/checkpoint.h"

namespace mach::engine {

// Reads and checks tokenizer.json, tokenizer_config.json and the template, and renders one
// conversation, so that a template that cannot serve is known before the weights are read. Takes
// some tenths of a second. Errors name the directory and the file. clock outlives the codec.
Result<std::shared_ptr<const dialog::Codec>> LoadCodec(const io::Checkpoint& checkpoint,
                                                       const Clock& clock);

}  // namespace mach::engine
