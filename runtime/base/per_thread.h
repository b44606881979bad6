// PerThread<T>: one T a thread, made when it first asks, destroyed when it ends. What C++'s own
// thread_local objects are, but for a lack of memory: the registration of their destructors, and
// the first access in a library that was opened at run time, end the process then. Here there is
// one pointer in static thread storage, which is there as soon as the thread is.
//
// The destroying function must stay mapped as long as there are threads: the library is linked so
// that dlclose leaves it (-z nodelete).
#pragma once
#include <new>
#include <pthread.h>

namespace nysjit {

/// T: a type of its own for each use.
template <typename T> class PerThread {
public:
  /// The calling thread's; null if there is no memory for it.
  static T *get() noexcept {
    if (current)
      return current;
    static const Key key;
    T *made = key.isMade ? new (std::nothrow) T : nullptr;
    if (made && pthread_setspecific(key.key, made) != 0) {
      delete made;
      made = nullptr;
    }
    return current = made;
  }
  /// The same, but makes none.
  static T *existing() noexcept { return current; }

private:
  struct Key {
    Key() : isMade(pthread_key_create(&key, &destroy) == 0) {}
    static void destroy(void *object) {
      current = nullptr;
      delete static_cast<T *>(object);
    }
    pthread_key_t key;
    bool isMade;
  };
  [[gnu::tls_model("initial-exec")]] static inline thread_local T *current = nullptr;
};

} // namespace nysjit
