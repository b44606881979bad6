/* Stands in for a compiler worker that is linked with LLVM; it is looked at, never run. */
int named_llvm(void);
int main(void) { return named_llvm(); }
