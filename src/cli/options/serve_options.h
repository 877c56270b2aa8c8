// The options of `mach serve` and `mach probe`, part of the option table.
#pragma once

#include <array>

#include "cli/options/prefix_options.h"
#include "cli/options/shared_options.h"
#include "server/http/url.h"

namespace mach::cli {

inline constexpr Choice<ReasoningField> kReasoningFields[] = {
    {"both", ReasoningField::kBoth},
    {"reasoning_content", ReasoningField::kReasoningContent},
    {"reasoning", ReasoningField::kReasoning},
    {"none", ReasoningField::kNone},
    {"inline", ReasoningField::kInline}};

inline constexpr Choice<bool> kWhileLoading[] = {{"hold", true}, {"reject", false}};

inline void ReadHost(const OptionValue& value, ServeOptions& options) {
  options.host = server::WithoutBrackets(value.texts.back());
}

inline constexpr auto kServeRequests = std::to_array<OptionOf<ServeOptions>>({
    {{.name = "alias",
      .value = "NAME",
      .type = OptionType::kText,
      .group = "Model",
      .help = "A further name that clients may use for the model. Repeatable.",
      .repeatable = true},
     Into<&ServeOptions::aliases>},
    {{.name = "strict-model",
      .type = OptionType::kFlag,
      .group = "Model",
      .help = "Refuse requests that name another model, instead of answering with this one."},
     Into<&ServeOptions::strict_model>},
    {{.name = "host",
      .value = "ADDRESS",
      .type = OptionType::kText,
      .group = "Server",
      .help = "Address to listen on. Beyond this machine a key is needed.",
      .default_value = "127.0.0.1"},
     ReadHost},
    {{.name = "port",
      .value = "PORT",
      .type = OptionType::kInteger,
      .group = "Server",
      .help = "Port to listen on; 0 takes any free one and prints it.",
      .default_value = "8080",
      .minimum = 0,
      .maximum = 65535},
     Into<&ServeOptions::port>},
    {{.name = "max-queue",
      .value = "N",
      .type = OptionType::kInteger,
      .group = "Server",
      .help = "Requests that may wait; further ones are answered with status 429.",
      .default_value = "64",
      .minimum = 0,
      .maximum = 100000},
     Into<&ServeOptions::max_queue>},
    {{.name = "max-queue-wait",
      .value = "SECONDS",
      .type = OptionType::kInteger,
      .group = "Server",
      .help = "Longest wait for a turn, then status 429.",
      .default_value = "0",
      .default_help = "without a limit",
      .minimum = 0,
      .maximum = 86400},
     Into<&ServeOptions::max_queue_wait_s>},
    {{.name = "while-loading",
      .value = "WHAT",
      .type = OptionType::kChoice,
      .group = "Server",
      .help = "Requests that come before the model is there: hold them, or reject them with status "
              "503.",
      .default_value = "hold",
      .choices = kNamesOf<kWhileLoading>},
     OneOf<kWhileLoading, &ServeOptions::hold_while_loading>},
    {{.name = "hold-timeout",
      .value = "SECONDS",
      .type = OptionType::kInteger,
      .group = "Server",
      .help = "Longest time to hold a request while loading, then status 503.",
      .default_value = "600",
      .minimum = 1,
      .maximum = 86400},
     Into<&ServeOptions::hold_timeout_s>},
    {{.name = "drain-timeout",
      .value = "SECONDS",
      .type = OptionType::kInteger,
      .group = "Server",
      .help = "Time for answers under way after the first SIGTERM or SIGINT. The second one ends "
              "the server at once.",
      .default_value = "30",
      .minimum = 0,
      .maximum = 86400},
     Into<&ServeOptions::drain_timeout_s>},
    {{.name = "max-body-mb",
      .value = "MB",
      .type = OptionType::kInteger,
      .group = "Server",
      .help = "Largest request body, in MiB.",
      .default_value = "32",
      .minimum = 1,
      .maximum = 1024},
     Into<&ServeOptions::max_body_mb>},
});
inline constexpr auto kServeClients = std::to_array<OptionOf<ServeOptions>>({
    {{.name = "reasoning-field",
      .value = "WHICH",
      .type = OptionType::kChoice,
      .group = "Server",
      .help = "Where answers carry the model's reasoning; inline leaves it in the content.",
      .default_value = "both",
      .choices = kNamesOf<kReasoningFields>},
     OneOf<kReasoningFields, &ServeOptions::reasoning_field>},
    {{.name = "api-key-file",
      .value = "FILE",
      .type = OptionType::kPath,
      .group = "Security",
      .help = "Keys that clients must send, one a line. The file must be readable by you alone.",
      .excludes = "insecure-no-auth"},
     Into<&ServeOptions::api_key_file>},
    {{.name = "insecure-no-auth",
      .type = OptionType::kFlag,
      .group = "Security",
      .help = "Listen beyond this machine without a key."},
     Into<&ServeOptions::insecure_no_auth>},
    {{.name = "allow-host",
      .value = "NAME",
      .type = OptionType::kText,
      .group = "Security",
      .help =
          "A Host name to accept, besides this machine's and the address of --host. Repeatable.",
      .repeatable = true},
     Into<&ServeOptions::allow_hosts>},
    {{.name = "allow-origin",
      .value = "ORIGIN",
      .type = OptionType::kText,
      .group = "Security",
      .help = "An origin whose pages may use the server, such as https://app.example or "
              "moz-extension://*. Repeatable.",
      .repeatable = true},
     Into<&ServeOptions::allow_origins>},
});
inline constexpr auto kServe =
    Join(In<&ServeOptions::model, kModelOptions>(), kServeRequests,
         In<&ServeOptions::model, kRequestOptions>(), kServeClients,
         In<&ServeOptions::model, kExpertOptions>(), In<&ServeOptions::draft, kDraftOptions>(),
         In<&ServeOptions::prefix, kPrefixOptions>(), In<&ServeOptions::model, kComputeOptions>(),
         In<&ServeOptions::log, kLogOptions>());

inline constexpr Example kServeExamples[] = {
    {"mach serve models/mach-tiny --no-streaming --port 8080",
     "Serves on http://127.0.0.1:8080/v1. 'make serve' installs what is missing, builds, and runs "
     "this.",
     Runs::kUntilStopped},
    {"mach serve models/mach-tiny --no-streaming --port 0", "Takes a free port and prints it.",
     Runs::kUntilStopped},
    {"mach export-sidecar models/mach-tiny && mach serve models/mach-tiny --streaming --wired-gb 1 "
     "--port 0",
     "Writes the experts once, then keeps a bank of them in memory, within 1 GiB for all.",
     Runs::kUntilStopped},
    {"(umask 077 && openssl rand -hex 24 > /tmp/mach-keys) && mach serve models/mach-tiny "
     "--no-streaming --host 0.0.0.0 --port 0 --api-key-file /tmp/mach-keys",
     "Serves the network, to clients with a key.", Runs::kUntilStopped},
};

inline constexpr auto kProbe = std::to_array<OptionOf<ProbeCommandOptions>>({
    {{.name = "url",
      .value = "URL",
      .type = OptionType::kText,
      .group = "Server",
      .help = "Base URL of the server.",
      .default_value = "http://127.0.0.1:8080/v1"},
     Into<&ProbeCommandOptions::url>},
    {{.name = "api-key-file",
      .value = "FILE",
      .type = OptionType::kPath,
      .group = "Server",
      .help = "File whose first key is sent."},
     Into<&ProbeCommandOptions::api_key_file>},
    {{.name = "requests",
      .value = "N",
      .type = OptionType::kInteger,
      .group = "Work",
      .help = "Requests to drive it with, one after the other.",
      .default_value = "3",
      .minimum = 1,
      .maximum = 1000},
     Into<&ProbeCommandOptions::requests>},
    {{.name = "max-tokens",
      .value = "N",
      .type = OptionType::kInteger,
      .group = "Work",
      .help = "Tokens of each answer.",
      .default_value = "64",
      .minimum = 1,
      .maximum = 100000},
     Into<&ProbeCommandOptions::max_tokens>},
    {{.name = "json", .type = OptionType::kFlag, .group = "Output", .help = "Print a JSON object."},
     Into<&ProbeCommandOptions::json>},
});

inline constexpr Example kProbeExamples[] = {
    {"mach probe --url http://127.0.0.1:8080/v1", "Judges a running server.", Runs::kBesideServer},
    {"mach probe --requests 1 --json", "The same after one request, as JSON.", Runs::kBesideServer},
};

}  // namespace mach::cli
