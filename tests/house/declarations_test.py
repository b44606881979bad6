"""declarations.py finds what declares several names, and nothing else."""

import sys
import unittest

from declarations import occurrences


def count(code):
    return len(list(occurrences(code)))


class Found(unittest.TestCase):
    def finds_one(self, code):
        self.assertEqual(count(code), 1, code)

    def test_two_names(self):
        self.finds_one("int a, b;")

    def test_members(self):
        self.finds_one("struct Point {\n  double x, y;\n};")
        self.finds_one("class Point {\npublic:\n  double x = 0, y = 0;\n};")

    def test_in_a_function(self):
        self.finds_one("void f() {\n  g(1, 2);\n  int64_t rows = 1, columns = 2;\n}")

    def test_after_a_block(self):
        self.finds_one("void f() {\n  if (x) {\n    g();\n  }\n  int a, b;\n}")

    def test_pointers_and_references(self):
        self.finds_one('const char *a = "x", *b;')
        self.finds_one("auto &a = x, &b = y;")

    def test_types_with_template_arguments(self):
        self.finds_one("std::map<int, std::vector<int>> a, b;")
        self.finds_one("static const std::pair<int, int> a{1, 2}, b{3, 4};")

    def test_arrays_and_function_types(self):
        self.finds_one("float a[4], b[4];")
        self.finds_one("std::function<int(int, int)> a, b;")

    def test_behind_attributes(self):
        self.finds_one("[[maybe_unused]] int a, b;")
        self.finds_one("alignas(64) float a[4], b[4];")

    def test_over_lines_and_comments(self):
        self.finds_one("int a, // the first; and\n    b;")

    def test_each(self):
        self.assertEqual(count("int a, b; float c; int d, e, f;"), 2)


class NotFound(unittest.TestCase):
    def finds_none(self, code):
        self.assertEqual(count(code), 0, code)

    def test_one_name(self):
        self.finds_none("int a; int b;")

    def test_heads_of_for(self):
        self.finds_none("void f() {\n  for (int i = 0, n = 9; i < n; ++i)\n    g(i, n);\n}")

    def test_calls_and_parameters(self):
        self.finds_none("f(a, b);")
        self.finds_none("int f(int a, int b);")
        self.finds_none("Type value(a, b);")

    def test_assignments(self):
        self.finds_none("void f() { a = 1, b = 2; }")
        self.finds_none("void f() { x.a = 1, x.b = 2; }")

    def test_templates(self):
        self.finds_none("template <typename A, typename B> struct Pair;")
        self.finds_none("template <typename A, typename B> A f(B b);")
        self.finds_none("std::pair<int, int> a;")

    def test_enums(self):
        self.finds_none("enum class Kind { First, Second };")

    def test_lists(self):
        self.finds_none("std::vector<int> a = {1, 2};\nint b[] = {3, 4};\nPoint c{5, 6};")

    def test_heads_of_classes(self):
        self.finds_none("class A : public B, public C {};")
        self.finds_none("struct A final : B, C<D, E> {\n  int f;\n};")

    def test_constructors(self):
        self.finds_none("A::A(int a, int b) : a(a), b(b) { f(a, b); }")

    def test_lambdas(self):
        self.finds_none("auto f = [a, b](int c, int d) { return a; };")

    def test_returns(self):
        self.finds_none("int f() { return a, b; }")

    def test_structured_bindings(self):
        self.finds_none("void f() { auto [a, b] = g(); }")

    def test_text(self):
        self.finds_none('// int a, b;\n/* int a, b; */\nf("int a, b;");')
        self.finds_none("#define AB int a, b;\n#define CD \\\n  int c, d;\nint e;")
        self.finds_none('auto text = R"(\n  int a, b;\n)";')


if __name__ == "__main__":
    unittest.main(argv=sys.argv[:1])
