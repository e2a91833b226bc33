#include "team.h"

#include <sched.h>
#include <unistd.h>

#include <atomic>
#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <mutex>
#include <system_error>
#include <thread>

namespace seqlm {

namespace {

// How long a waiting thread leaves what is another's to that one, and how long it looks before it goes to sleep, in
// microseconds. It does not give way by sched_yield: that costs a thread its turns for
// milliseconds, where others want to run.
constexpr double before_taking_over = 5;
constexpr double before_sleeping = 50;

using Clock = std::chrono::steady_clock;

inline void pause() {
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

// The number of a phase, which is never used again in the process, and how many members it has; 0 between two tasks.
struct Stamp {
    std::uint64_t both;

    Stamp(std::uint64_t phase, int members) : both(phase << 16 | static_cast<std::uint64_t>(members)) {}
    explicit Stamp(std::uint64_t value) : both(value) {}
    std::uint64_t phase() const { return both >> 16; }
    int members() const { return static_cast<int>(both & 0xffff); }
};

class Team {
public:
    void run(int members, std::size_t phases, int most_threads, Task task, const void* context) {
        const std::lock_guard<std::mutex> one_after_the_other(calls_);
        const int wanted = members < most_threads ? members : most_threads;
        while (workers_ < wanted - 1 && begin_thread()) {}
        const int together = workers_ + 1 < wanted ? workers_ + 1 : wanted;
        if (together == 1) {
            for (std::size_t phase = 0; phase < phases; ++phase)
                for (int i = 0; i < members; ++i) task(context, Member{i, members}, phase);
            return;
        }
        task_ = task;
        context_ = context;
        first_ = end_;
        end_ = first_ + phases;
        together_.store(together, std::memory_order_relaxed);
        finished_.store(0, std::memory_order_relaxed);
        show(Stamp(first_, members));
        places_.take(0);
        for (;;) {
            const Stamp now(stamp_.load(std::memory_order_acquire));
            if (now.members() == 0) return;
            if (!take_own(now, 0)) await_change(now, 0);
        }
    }

private:
    struct alignas(64) Thread {
        std::mutex mutex;
        std::condition_variable wake;
        std::atomic<bool> sleeps{false};
    };

    struct alignas(64) Begun {
        std::atomic<std::uint64_t> phase{0};
    };

    // Whether there is one more; the system may let there be none.
    bool begin_thread() {
        const int index = workers_ + 1;
        try {
            std::thread([this, index] { work(index); }).detach();
            ++workers_;  // only now that there is one
            return true;
        } catch (const std::system_error&) {
            return false;
        }
    }

    void work(int index) {
        for (;;) {
            const Stamp now(stamp_.load(std::memory_order_acquire));
            if (!take_own(now, index)) await_change(now, index);
        }
    }

    // Does what falls to a thread in a phase, of what is still to do. Whether there was anything.
    bool take_own(Stamp now, int index) {
        const int together = together_.load(std::memory_order_relaxed);
        if (index >= together || now.members() == 0) return false;
        if (index) places_.take(index);
        bool any = false;
        for (int i = index; i < now.members(); i += together) any |= take(now, i);
        return any;
    }

    // Does what falls to another thread, if there is something that it has not begun.
    bool take_any(Stamp now) {
        for (int i = now.members(); i-- > 0;)
            if (take(now, i)) return true;
        return false;
    }

    // Does what falls to a member, unless somebody else has begun it or the phase is over.
    bool take(Stamp now, int index) {
        std::atomic<std::uint64_t>& begun = begun_[static_cast<std::size_t>(index)].phase;
        std::uint64_t last = begun.load(std::memory_order_relaxed);
        if (last >= now.phase() || !begun.compare_exchange_strong(last, now.phase(), std::memory_order_acq_rel))
            return false;
        // The task cannot end before this is done, so it is the one that the stamp is of.
        task_(context_, Member{index, now.members()}, static_cast<std::size_t>(now.phase() - first_));
        if (finished_.fetch_add(1, std::memory_order_acq_rel) + 1 == now.members()) {
            finished_.store(0, std::memory_order_relaxed);
            const std::uint64_t next = now.phase() + 1;
            show(Stamp(next, next == end_ ? 0 : now.members()));
        }
        return true;
    }

    // Begins a phase, or ends the task, and wakes who sleeps and has to know.
    void show(Stamp stamp) {
        stamp_.store(stamp.both);
        const int together = stamp.members() ? together_.load(std::memory_order_relaxed) : 1;
        for (int i = 0; i < together; ++i) {
            Thread& thread = threads_[static_cast<std::size_t>(i)];
            if (!thread.sleeps.load()) continue;
            const std::lock_guard<std::mutex> lock(thread.mutex);
            thread.wake.notify_one();
        }
    }

    // Waits until there is another stamp, or something of this one to take over.
    void await_change(Stamp seen, int index) {
        const auto began = Clock::now();
        for (bool offered = false;;) {
            for (int looks = 0; looks < 16; ++looks) {
                if (stamp_.load(std::memory_order_acquire) != seen.both) return;
                pause();
            }
            const double waited = std::chrono::duration<double, std::micro>(Clock::now() - began).count();
            if (!offered && waited > before_taking_over) {
                offered = true;
                if (take_any(seen)) return;
            }
            if (waited > before_sleeping) break;
        }
        Thread& thread = threads_[static_cast<std::size_t>(index)];
        std::unique_lock<std::mutex> lock(thread.mutex);
        thread.sleeps.store(true);
        thread.wake.wait(lock, [&] { return stamp_.load() != seen.both; });
        thread.sleeps.store(false);
    }

    std::mutex calls_;
    int workers_ = 0;               // threads but for the calling one
    Thread threads_[most_members];  // of which the calling one is the first
    Begun begun_[most_members];     // the last phase that somebody has begun, of each member
    Task task_ = nullptr;
    const void* context_ = nullptr;
    std::uint64_t first_ = 1, end_ = 1;  // phases of the task
    std::atomic<int> together_{1};
    Places places_;
    alignas(64) std::atomic<std::uint64_t> stamp_{Stamp(1, 0).both};
    alignas(64) std::atomic<int> finished_{0};  // of the members in this phase
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
int most_threads = 1;
constexpr std::size_t phases_that_a_call_is_worth = 25;

}  // namespace

int useful_members(int members, std::size_t multiplications, std::size_t phases) {
    if (phases < phases_that_a_call_is_worth) phases = phases_that_a_call_is_worth;
    const std::size_t useful = multiplications / (least_multiplications * phases);
    return useful < static_cast<std::size_t>(members) ? static_cast<int>(useful ? useful : 1) : members;
}

void set_least_multiplications(std::size_t least) { least_multiplications = least; }

void set_threads(int threads) { most_threads = threads; }

void run_in_team(int members, std::size_t phases, Task task, const void* context) {
    team().run(members, phases, most_threads, task, context);
}

}  // namespace seqlm
