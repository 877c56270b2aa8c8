#include "dialog/last_turn.h"

#include <gtest/gtest.h>

#include "jinja/template.h"

namespace mach::dialog {
namespace {

// What transformers' apply_chat_template(continue_final_message=True) gives.
TEST(LastTurn, EndsWhereTheTemplateShowsTheContentsEnd) {
  constexpr std::string_view kKeeps =
      "{% for m in messages %}<|{{ m.role }}|>{{ m.content }}<|end|>\n{% endfor %}";
  constexpr std::string_view kTrims =
      "{% for m in messages %}<|{{ m.role }}|>{{ m.content | trim }}<|end|>\n{% endfor %}bye";
  constexpr std::string_view kFirstOnly = "{{ messages[0].content }}";
  const auto ends = [](std::string_view source, std::string_view content) {
    const json::Array messages{json::Object{{"role", "user"}, {"content", "end e"}},
                               json::Object{{"role", "assistant"}, {"content", content}}};
    const auto rendered =
        jinja::Template::Parse(source)->Render({{"messages", MarkLastTurn(messages)}}, {});
    const size_t end = EndOfMarkedTurn(rendered->text);
    return end == std::string::npos ? "nowhere" : rendered->text.substr(0, end);
  };
  EXPECT_EQ(ends(kKeeps, "e"), "<|user|>end e<|end|>\n<|assistant|>e");
  EXPECT_EQ(ends(kKeeps, " e \n"), "<|user|>end e<|end|>\n<|assistant|> e \n");
  EXPECT_EQ(ends(kTrims, " e \n"), "<|user|>end e<|end|>\n<|assistant|>e");
  EXPECT_EQ(ends(kFirstOnly, "e"), "nowhere");
}

}  // namespace
}  // namespace mach::dialog
