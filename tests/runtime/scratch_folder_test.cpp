// ScratchFolder: what a process that was ended leaves behind is removed, and nothing else.
#include "runtime/base/tool.h"
#include "tests/runtime/sandbox.h"
#include "tests/runtime/temporary_folder.h"

#include <cstdlib>

namespace nysjit {
namespace {

// Others may put names into a folder for temporary files.
TEST(ScratchFolder, what_is_left_is_removed_and_no_link_followed) {
  const TemporaryFolder folder;
  std::filesystem::create_directories(folder / "temporary");
  std::filesystem::create_directories(folder / "precious");
  writeAll(folder / "precious/file", "mine");
  EXPECT_EQ(inProcess([&]() -> std::string {
              setenv("TMPDIR", (folder / "temporary").c_str(), 1);
              ScratchFolder::setApart();
              Result<ScratchFolder> made = ScratchFolder::create();
              if (!made || !made->write("half", "done"))
                return "nothing was made";
              std::string link = made->name();
              link.replace(link.size() - 6, 6, "linked");
              std::filesystem::create_symlink(folder / "precious", link);
              std::filesystem::create_directories(folder / "temporary/nysjit-another");
              ScratchFolder::removeLeft();
              if (std::filesystem::exists(made->name()))
                return "it is still there";
              return "";
            }),
            "");
  EXPECT_EQ(readAll(folder / "precious/file"), "mine");
  EXPECT_TRUE(std::filesystem::exists(folder / "temporary/nysjit-another"));
}

} // namespace
} // namespace nysjit
