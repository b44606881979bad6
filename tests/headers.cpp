// Nothing: what the tests' headers are precompiled with.
int main() { return 0; }
