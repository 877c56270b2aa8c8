#include "engine/chat_templates.h"

#include <gtest/gtest.h>

#include "io/testing/memory_file_system.h"
#include "json/parse.h"

namespace mach::engine {
namespace {

using Files = std::vector<std::pair<std::string, std::string>>;

// "PLAIN|WITH_TOOLS", or the error.
std::string Read(const Files& files, const std::string& config = "{}") {
  io::MemoryFileSystem fs;
  for (const auto& [name, text] : files) fs.Put("m/" + name, text);
  const auto found = ReadChatTemplates(fs, "m", *json::Parse(config));
  if (!found) return found.error().message;
  return found->plain + "|" + found->with_tools + (found->wants_tools ? "!" : "");
}

TEST(ChatTemplates, EachPlaceAndForm) {
  EXPECT_EQ(Read({}, R"({"chat_template":"a"})"), "a|");
  EXPECT_EQ(Read({}, R"({"chat_template":[{"name":"tool_use","template":"t"},
                         {"name":"default","template":"d"}]})"),
            "d|t");
  EXPECT_EQ(Read({}, R"({"chat_template":{"default":"d","tool_use":"t","rag":"r"}})"), "d|t");
  EXPECT_EQ(Read({}, R"({"chat_template":[{"name":"tool_use","template":"t"}]})"), "t|!");
  EXPECT_EQ(Read({{"chat_template.json", R"({"chat_template":"j"})"}}), "j|");
  EXPECT_EQ(Read({{"chat_template.json", R"({"chat_template":{"default":"d","tool_use":"t"}})"}}),
            "d|t");
  EXPECT_EQ(Read({{"additional_chat_templates/tool_use.jinja", "t"},
                  {"additional_chat_templates/notes.txt", "x"}},
                 R"({"chat_template":"d"})"),
            "d|t");
}

TEST(ChatTemplates, AFileOfItsOwnWins) {
  const std::string config = R"({"chat_template":{"default":"d","tool_use":"t"}})";
  EXPECT_EQ(Read({{"chat_template.jinja", "f"}, {"chat_template.json", "{"}}, config), "f|");
  EXPECT_EQ(Read({{"chat_template.json", R"({"chat_template":"j"})"}}, config), "j|");
  EXPECT_EQ(Read({{"chat_template.jinja", "f"}, {"additional_chat_templates/tool_use.jinja", "u"}}),
            "f|u");
}

TEST(ChatTemplates, ErrorsNameWhatIsThere) {
  EXPECT_NE(Read({}).find("no chat_template.jinja, no chat_template.json"), std::string::npos);
  EXPECT_NE(Read({}, R"({"chat_template":{"rag":"r","b":"x"}})")
                .find("named 'b', 'rag', expected one named 'default' or 'tool_use'"),
            std::string::npos);
  EXPECT_NE(Read({}, R"({"chat_template":7})").find("m/tokenizer_config.json: 'chat_template' is"),
            std::string::npos);
  EXPECT_NE(Read({}, R"({"chat_template":[{"name":"default"}]})").find("entry 0"),
            std::string::npos);
  EXPECT_NE(Read({}, R"({"chat_template":{"default":[]}})").find("has 'default' of the kind array"),
            std::string::npos);
  EXPECT_NE(Read({{"chat_template.json", "{"}}).find("m/chat_template.json"), std::string::npos);
  EXPECT_NE(Read({{"chat_template.json", "{}"}}).find("'chat_template' is missing"),
            std::string::npos);
}

}  // namespace
}  // namespace mach::engine
