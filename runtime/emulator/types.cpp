// Names and sizes of PTX's types and state spaces.
#include "runtime/emulator/syntax.h"

namespace nysjit::emulator {

namespace {
struct TypeRow {
  Type type;
  const char *name;
  uint32_t bytes;
};
constexpr TypeRow typeTable[] = {
    {Type::Pred, "pred", 0},   {Type::B8, "b8", 1},     {Type::B16, "b16", 2},
    {Type::B32, "b32", 4},     {Type::B64, "b64", 8},   {Type::B128, "b128", 16},
    {Type::U8, "u8", 1},       {Type::U16, "u16", 2},   {Type::U32, "u32", 4},
    {Type::U64, "u64", 8},     {Type::S8, "s8", 1},     {Type::S16, "s16", 2},
    {Type::S32, "s32", 4},     {Type::S64, "s64", 8},   {Type::F16, "f16", 2},
    {Type::F16x2, "f16x2", 4}, {Type::BF16, "bf16", 2}, {Type::BF16x2, "bf16x2", 4},
    {Type::TF32, "tf32", 4},   {Type::F32, "f32", 4},   {Type::F64, "f64", 8},
};
} // namespace

Type typeNamed(std::string_view name) {
  for (const TypeRow &row : typeTable)
    if (name == row.name)
      return row.type;
  return Type::None;
}

const char *typeName(Type type) {
  for (const TypeRow &row : typeTable)
    if (row.type == type)
      return row.name;
  return "none";
}

uint32_t typeBytes(Type type) {
  for (const TypeRow &row : typeTable)
    if (row.type == type)
      return row.bytes;
  return 0;
}

bool isSigned(Type type) {
  return type == Type::S8 || type == Type::S16 || type == Type::S32 || type == Type::S64;
}
bool isFloat(Type type) { return type >= Type::F16; }

const char *spaceName(Space space) {
  constexpr const char *names[] = {"generic", "global", "shared", "local", "param", "const"};
  return names[size_t(space)];
}

} // namespace nysjit::emulator
