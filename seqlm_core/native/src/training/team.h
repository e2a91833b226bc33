// Threads that compute together.
//
// Included by compiled_for.h, in the namespace of one instruction set.

// Where all threads of a team wait for each other. They wait awake for a while, since the others are about to come.
class Barrier {
public:
    void wait(int members) {
        if (members == 1) return;
        const int round = __atomic_load_n(&round_, __ATOMIC_RELAXED);
        if (__atomic_add_fetch(&arrived_, 1, __ATOMIC_ACQ_REL) == members) {
            __atomic_store_n(&arrived_, 0, __ATOMIC_RELAXED);
            __atomic_store_n(&round_, round + 1, __ATOMIC_RELEASE);
            return;
        }
        for (int tries = 0; __atomic_load_n(&round_, __ATOMIC_ACQUIRE) == round; ++tries) {
            if (tries > 2000) sched_yield();  // there may be more threads than processors
#if defined(__x86_64__)
            else __builtin_ia32_pause();
#endif
        }
    }

private:
    alignas(64) int arrived_ = 0;
    alignas(64) int round_ = 0;
};

struct Member {
    int index, members;
    Barrier& barrier;

    void wait() const { barrier.wait(members); }
    Range part(std::size_t size, std::size_t unit = 1) const { return part_of(size, index, members, unit); }
};

// Calls work(member) in each of `threads` threads.
template <class Work>
SEQLM_INLINE void in_parallel(int threads, const Work& work) {
    Barrier barrier;
    if (threads == 1) {
        work(Member{0, 1, barrier});
        return;
    }
#pragma omp parallel num_threads(threads)
    work(Member{omp_get_thread_num(), omp_get_num_threads(), barrier});
}
