// Threads that compute together.
//
// They are not OpenMP's. Its threads either hold their processors while they wait, and then everything else that wants
// to run takes many times as long, or they sleep, and then it takes longer to wake them than to compute what there is
// to do. These wait awake, but give way to whoever wants to run, and go to sleep when nothing comes for a while.

#pragma once

#include <cstddef>

namespace seqlm {

// Where all threads of a team wait for each other.
class Barrier {
public:
    void wait(int members);

private:
    alignas(64) int arrived_ = 0;
    alignas(64) int round_ = 0;
};

// One of the threads that run a task.
struct Member {
    int index, members;
    Barrier& barrier;

    void wait() const { barrier.wait(members); }
};

using Task = void (*)(const void* context, const Member& member);

// Runs task(context, member) in each of `threads` threads, of which the calling one is the first, and returns when all
// are done. Calls from several threads are served one after the other. Throws std::system_error where there can be no
// more threads. A task must not throw.
void run_in_team(int threads, Task task, const void* context);

// How many of so many threads are of use to a call of so many multiplications, in which they meet so often: each should
// have a least number of them from one meeting to the next, or meeting takes longer, and more from others on its
// processor, than it helps. A call itself is worth some meetings, since the threads have to come, and to get from each
// other what an earlier call has made.
int useful_threads(int threads, std::size_t multiplications, std::size_t meetings = 0);

// Sets that number, at least 1.
void set_least_multiplications(std::size_t least);

}  // namespace seqlm
