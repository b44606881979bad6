// Nothing: what headers.h is precompiled with.
