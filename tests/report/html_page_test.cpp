#include <excitor/report/html_page.h>

#include <gmock/gmock.h>
#include <nlohmann/json.hpp>

namespace excitor {
namespace {

using testing::HasSubstr;
using testing::Not;

TEST(EscapeHtml, LeavesNothingThatIsRead) {
  EXPECT_EQ(escape_html(R"(<b a="1" c='2'> & é)"), "&lt;b a=&quot;1&quot; c=&#39;2&#39;&gt; &amp; é");
}

TEST(HtmlPage, DataCantEndTheScript) {
  const std::string page = html_page("</title><b>", "", {{"text", "</script><script>alert(1)</script><!--"}});
  EXPECT_THAT(page, HasSubstr("&lt;/title&gt;&lt;b&gt;"));
  EXPECT_THAT(page, HasSubstr(R"(\u003c/script>\u003cscript>alert(1))"));
  EXPECT_THAT(page, Not(HasSubstr("<script>alert")));
  EXPECT_THAT(page, Not(HasSubstr("<!--")));
}

TEST(HtmlPage, InvalidUtf8IsReplaced) {
  EXPECT_THAT(html_page("t", "", {{"text", "a\xff"}}), HasSubstr("a\uFFFD"));
}

TEST(HtmlPage, AsksForNothingOverTheNetwork) {
  const std::string page = html_page("t", "", {});
  EXPECT_THAT(page, HasSubstr("default-src 'none'"));
  for (const char* word : {"src=\"http", "href=\"http", "@import", "url("})
    EXPECT_THAT(page, Not(HasSubstr(word)));
}

}  // namespace
}  // namespace excitor
