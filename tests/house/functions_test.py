"""functions.py finds each function, its name and its lines."""

import sys
import unittest

from functions import functions


def found(code):
    return [tuple(f) for f in functions(code)]


class Functions(unittest.TestCase):
    def test_a_line_is_one(self):
        self.assertEqual(found("int f() { return 1; }"), [("f", 1, 1)])

    def test_head_and_braces_count(self):
        self.assertEqual(found("\n\nstatic int\nf(int a,\n  int b) {\n  g();\n}\n"), [("f", 3, 5)])

    def test_in_namespaces_and_classes(self):
        code = (
            "namespace a::b {\nclass A final : public B {\npublic:\n  int f() const {\n  }\n};\n}"
        )
        self.assertEqual(found(code), [("f", 4, 2)])

    def test_behind_a_macro(self):
        self.assertEqual(found("LINK(elf)\n\nnamespace a {\nint f() {\n}\n}"), [("f", 4, 2)])

    def test_in_a_nameless_namespace_and_extern_c(self):
        self.assertEqual(found('namespace {\nextern "C" {\nvoid f() {\n}\n}\n}'), [("f", 3, 2)])

    def test_qualified_names_and_destructors(self):
        self.assertEqual(
            found("Result<int> A::f(int a) {}\nA::~A() {}"), [("A::f", 1, 1), ("A::~A", 2, 1)]
        )

    def test_operators(self):
        self.assertEqual(
            found("bool A::operator==(const A &a) const {\n}"), [("A::operator==", 1, 2)]
        )

    def test_templates(self):
        self.assertEqual(found("template <typename T>\nT f(T a) {\n}"), [("f", 1, 3)])

    def test_constructors_with_members_in_braces(self):
        code = "A::A(int a) : a{a}, b(a), c{\n  {a}} {\n  f();\n}\nvoid g() {\n}"
        self.assertEqual(found(code), [("A::A", 1, 4), ("g", 5, 2)])

    def test_tests_have_their_names(self):
        self.assertEqual(found("TEST_P(Suite, Name) {\n}"), [("Suite.Name", 1, 2)])

    def test_blocks_and_lambdas_are_their_functions(self):
        code = "void f() {\n  if (a) {\n  }\n  auto g = [&](int a) {\n  };\n}\nvoid h() {\n}"
        self.assertEqual(found(code), [("f", 1, 6), ("h", 7, 2)])

    def test_values_are_none(self):
        self.assertEqual(
            found("const int a[] = {\n1,\n2};\nstd::vector<A> b{\nf(1)};\nenum E { A };"), []
        )

    def test_a_value_with_calls_is_none(self):
        self.assertEqual(found("static const std::map<int, A> a = {\n{1, f(2)},\n};\nint b;"), [])

    def test_braces_in_text_do_not_count(self):
        self.assertEqual(
            found("void f() {\n  g(\"}\", '{'); // }\n}\nvoid h() {}"), [("f", 1, 3), ("h", 4, 1)]
        )

    def test_c_functions_that_return_a_struct(self):
        self.assertEqual(found("struct A f(int a) {\n}"), [("f", 1, 2)])

    def test_trailing_types(self):
        self.assertEqual(found("auto f() -> std::vector<int> {\n}"), [("f", 1, 2)])


if __name__ == "__main__":
    unittest.main(argv=sys.argv[:1])
