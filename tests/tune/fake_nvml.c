/* A management library of one GPU, 0000:0a:00.0, whose clock is what FAKE_NVML_MHZ says. */
#include <stdlib.h>
#include <string.h>

static int device;

int nvmlInit_v2(void) { return 0; }

int nvmlDeviceGetHandleByPciBusId_v2(const char *id, void **handle) {
  if (strcmp(id, "0000:0a:00.0") != 0)
    return 6; /* NVML_ERROR_NOT_FOUND */
  *handle = &device;
  return 0;
}

int nvmlDeviceGetClockInfo(void *handle, int kind, unsigned *megahertz) {
  const char *set = getenv("FAKE_NVML_MHZ");
  if (handle != &device || kind != 1 || !set)
    return 3; /* NVML_ERROR_NOT_SUPPORTED */
  *megahertz = (unsigned)atoi(set);
  return 0;
}
