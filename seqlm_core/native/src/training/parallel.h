// Work that the threads of a team share.
//
// Included by compiled_for.h, in the namespace of one instruction set.

// A thread's part of `size`, cut at multiples of `unit`.
SEQLM_INLINE Range part_of(std::size_t size, const Member& member, std::size_t unit = 1) {
    return part_of(size, static_cast<std::size_t>(member.index), static_cast<std::size_t>(member.members), unit);
}

// Calls work(member) in each of `threads` threads.
template <class Work>
SEQLM_INLINE void in_parallel(int threads, const Work& work) {
    run_in_team(
        threads, [](const void* context, const Member& member) { (*static_cast<const Work*>(context))(member); }, &work
    );
}
