/* Stands in for an LLVM library: it has the name. */
int named_llvm(void);
int named_llvm(void) { return 0; }
