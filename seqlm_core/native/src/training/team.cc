#include "team.h"

#include <sched.h>
#include <unistd.h>

#include <atomic>
#include <condition_variable>
#include <mutex>
#include <thread>

namespace seqlm {

namespace {

// How often a waiting thread looks before it gives way to others each time, and before it goes to sleep. The first are
// some 10 microseconds, the second about a millisecond: longer than it takes from one operator to the next.
constexpr int looks_awake = 500;
constexpr int looks_giving_way = 2000;

inline void look_again(int looks) {
    if (looks >= looks_awake) {
        sched_yield();
        return;
    }
#if defined(__x86_64__)
    __builtin_ia32_pause();
#endif
}

// Where each thread of a team was last seen. The system now and then leaves two threads of a team on one processor for
// long, although others have nothing to do, because neither of them ever waits in a way that it knows of.
class Places {
public:
    // To be called by the index-th thread when it begins. It goes elsewhere if an earlier thread is on its processor.
    void take(int index) {
#if defined(__linux__)
        if (index >= most) return;
        const int here = sched_getcpu();
        bool is_taken = false;
        for (int other = 0; other < index; ++other) is_taken |= seen_[other].load(std::memory_order_relaxed) == here;
        seen_[index].store(here, std::memory_order_relaxed);
        if (is_taken) leave(index);
#else
        static_cast<void>(index);
#endif
    }

private:
#if defined(__linux__)
    // Moves the calling thread to a processor on which no earlier thread is, if it may run on one, and then lets it run
    // wherever it might before.
    void leave(int index) {
        cpu_set_t allowed, others;
        if (sched_getaffinity(0, sizeof allowed, &allowed) != 0) return;
        others = allowed;
        for (int other = 0; other < index; ++other) CPU_CLR(seen_[other].load(std::memory_order_relaxed), &others);
        if (CPU_COUNT(&others) == 0 || sched_setaffinity(0, sizeof others, &others) != 0) return;
        seen_[index].store(sched_getcpu(), std::memory_order_relaxed);
        sched_setaffinity(0, sizeof allowed, &allowed);
    }
#endif

    static constexpr int most = 64;  // threads that are looked after
    std::atomic<int> seen_[most] = {};
};

class Team {
public:
    void run(int threads, Task task, const void* context) {
        const std::lock_guard<std::mutex> one_after_the_other(calls_);
        while (static_cast<int>(workers_) < threads - 1) {
            const int index = static_cast<int>(++workers_);
            std::thread([this, index, round = round_.load()] { work(index, round); }).detach();
        }
        task_ = task;
        context_ = context;
        members_ = threads;
        working_.store(static_cast<int>(workers_), std::memory_order_relaxed);
        round_.fetch_add(1);
        if (sleepers_.load() > 0) {
            const std::lock_guard<std::mutex> lock(sleep_);
            wake_.notify_all();
        }
        places_.take(0);
        task(context, Member{0, threads, barrier_});
        for (int looks = 0; working_.load(std::memory_order_acquire) > 0; ++looks) look_again(looks);
    }

private:
    // What the index-th thread does from the first to the last.
    void work(int index, unsigned seen) {
        for (;;) {
            await_round_after(seen);
            ++seen;
            if (index < members_) {
                places_.take(index);
                task_(context_, Member{index, members_, barrier_});
            }
            working_.fetch_sub(1, std::memory_order_release);
        }
    }

    void await_round_after(unsigned seen) {
        for (int looks = 0; looks < looks_awake + looks_giving_way; ++looks) {
            if (round_.load(std::memory_order_acquire) != seen) return;
            look_again(looks);
        }
        std::unique_lock<std::mutex> lock(sleep_);
        sleepers_.fetch_add(1);
        wake_.wait(lock, [&] { return round_.load() != seen; });
        sleepers_.fetch_sub(1);
    }

    std::mutex calls_, sleep_;
    std::condition_variable wake_;
    Task task_ = nullptr;
    const void* context_ = nullptr;
    int members_ = 0;
    std::size_t workers_ = 0;
    Barrier barrier_;
    Places places_;
    alignas(64) std::atomic<unsigned> round_{0};  // raised when there is a task
    alignas(64) std::atomic<int> working_{0};     // workers that have not done with it
    alignas(64) std::atomic<int> sleepers_{0};
};

// The team of this process. It is never deleted, since its threads go on to the end of the process. A child process has
// none of its parent's threads, and gets a team of its own.
Team& team() {
    static std::mutex mutex;
    static Team* current = nullptr;
    static pid_t process = 0;
    const std::lock_guard<std::mutex> lock(mutex);
    if (process != getpid()) {
        current = new Team;
        process = getpid();
    }
    return *current;
}

std::size_t least_multiplications = 1;
constexpr std::size_t meetings_that_a_call_is_worth = 25;

}  // namespace

int useful_threads(int threads, std::size_t multiplications, std::size_t meetings) {
    if (meetings < meetings_that_a_call_is_worth) meetings = meetings_that_a_call_is_worth;
    const std::size_t useful = multiplications / (least_multiplications * meetings);
    return useful < static_cast<std::size_t>(threads) ? static_cast<int>(useful ? useful : 1) : threads;
}

void set_least_multiplications(std::size_t least) { least_multiplications = least; }

void Barrier::wait(int members) {
    if (members == 1) return;
    const int round = __atomic_load_n(&round_, __ATOMIC_RELAXED);
    if (__atomic_add_fetch(&arrived_, 1, __ATOMIC_ACQ_REL) == members) {
        __atomic_store_n(&arrived_, 0, __ATOMIC_RELAXED);
        __atomic_store_n(&round_, round + 1, __ATOMIC_RELEASE);
        return;
    }
    for (int looks = 0; __atomic_load_n(&round_, __ATOMIC_ACQUIRE) == round; ++looks) look_again(looks);
}

void run_in_team(int threads, Task task, const void* context) {
    if (threads == 1) {
        Barrier barrier;
        task(context, Member{0, 1, barrier});
        return;
    }
    team().run(threads, task, context);
}

}  // namespace seqlm
