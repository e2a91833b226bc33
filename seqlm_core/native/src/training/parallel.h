// Work that the members of a task share.
//
// Included by compiled_for.h, in the namespace of one instruction set.

// A member's part of `size`, cut at multiples of `unit`.
SEQLM_INLINE Range part_of(std::size_t size, const Member& member, std::size_t unit = 1) {
    return part_of(size, static_cast<std::size_t>(member.index), static_cast<std::size_t>(member.members), unit);
}

// How members share work: its sequences among groups of them, all else among the members of a group. The groups need
// not wait for each other, and hardly touch the same memory, which may take long to come from another processor.
struct Division {
    std::size_t groups, shares;

    // As many groups as there can be with at least `fewest` sequences each.
    SEQLM_INLINE static Division of(std::size_t members, std::size_t sequences, std::size_t fewest) {
        std::size_t groups = members;
        while (groups > 1 && (members % groups || sequences / groups < fewest)) --groups;
        return {groups, members / groups};
    }

    std::size_t group_of(const Member& member) const { return static_cast<std::size_t>(member.index) / shares; }
    std::size_t share_of(const Member& member) const { return static_cast<std::size_t>(member.index) % shares; }
};

// Fewer sequences would not fill a tile of vectors.
constexpr std::size_t fewest_sequences = 6;

// Weights of so many numbers are small: a member packs them sooner than it gets them from another.
constexpr std::size_t small_weights = 1 << 17;

// The phases of a task that takes turns, and may have to prepare something before the first.
struct Turns {
    bool prepares;  // in a phase of its own, or at the beginning of the first turn
    std::size_t count;

    std::size_t phases() const { return count + (prepares ? 1 : 0); }
    bool is_one(std::size_t phase) const { return phase > 0 || !prepares; }
    std::size_t number(std::size_t phase) const { return phase - (prepares ? 1 : 0); }
};

// Calls work(member, phase) for each of so many members and phases.
template <class Work>
SEQLM_INLINE void in_phases(int members, std::size_t phases, const Work& work) {
    run_in_team(
        members, phases,
        [](const void* context, const Member& member, std::size_t phase) {
            (*static_cast<const Work*>(context))(member, phase);
        },
        &work
    );
}
