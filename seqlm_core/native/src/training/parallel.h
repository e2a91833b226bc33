// Work that the threads of a team share.
//
// Included by compiled_for.h, in the namespace of one instruction set.

// A thread's part of `size`, cut at multiples of `unit`.
SEQLM_INLINE Range part_of(std::size_t size, const Member& member, std::size_t unit = 1) {
    return part_of(size, static_cast<std::size_t>(member.index), static_cast<std::size_t>(member.members), unit);
}

// How threads share work: its sequences among groups of threads, all else among the threads of a group. The groups need
// not wait for each other, and hardly touch the same memory, which may take long to come from another processor.
struct Division {
    std::size_t groups, shares;

    // As many groups as there can be with at least `fewest` sequences each.
    SEQLM_INLINE static Division of(std::size_t threads, std::size_t sequences, std::size_t fewest) {
        std::size_t groups = threads;
        while (groups > 1 && (threads % groups || sequences / groups < fewest)) --groups;
        return {groups, threads / groups};
    }

    std::size_t group_of(const Member& member) const { return static_cast<std::size_t>(member.index) / shares; }
    std::size_t share_of(const Member& member) const { return static_cast<std::size_t>(member.index) % shares; }
};

// Weights of so many numbers are small: a thread packs them sooner than it gets them from another.
constexpr std::size_t small_weights = 1 << 17;

// Calls work(member) in each of `threads` threads.
template <class Work>
SEQLM_INLINE void in_parallel(int threads, const Work& work) {
    run_in_team(
        threads, [](const void* context, const Member& member) { (*static_cast<const Work*>(context))(member); }, &work
    );
}
