// Threads that compute together.
//
// They are not OpenMP's, of which each has to do its part, so that all wait for one that sleeps or in whose place the
// system runs something else. Here those who have nothing to do take over what such a thread has not begun. So they can
// go to sleep soon, and leave their processors to whoever wants to run.

#pragma once

#include <cstddef>

namespace seqlm {

// One of those that a task is divided among. They are not the threads: a thread may do what falls to several of them,
// and the results do not depend on who does what.
struct Member {
    int index, members;
};

// The most members that a task can have.
constexpr int most_members = 1024;

// What falls to a member in a phase.
using Task = void (*)(const void* context, const Member& member, std::size_t phase);

// Runs task(context, member, phase) for each of so many members and phases, and returns when all is done. A phase begins
// when all members have done with the one before. The calling thread takes part; without others it does everything.
// Calls from several threads are served one after the other. A task must not throw.
void run_in_team(int members, std::size_t phases, Task task, const void* context);

// How many of so many members are of use to a task of so many multiplications, with so many phases: each should have a
// least number of them in a phase, or meeting takes longer, and more from others on its processor, than it helps. A call
// itself is worth some phases, since the threads have to come, and to get from each other what an earlier call has made.
int useful_members(int members, std::size_t multiplications, std::size_t phases = 0);

// Sets that number, at least 1.
void set_least_multiplications(std::size_t least);

// Sets how many threads compute, at least 1, however many members a task has. Not to be called while tasks run.
void set_threads(int threads);

}  // namespace seqlm
