// The cells that there are: their names, which Python uses too, and their formulas.

#pragma once

#include <cstddef>
#include <cstring>

#include "gru.h"
#include "lstm.h"
#include "rnn.h"

namespace seqlm {

enum class CellKind { rnn_tanh, rnn_relu, gru, lstm };

// What can be said of a cell without its formula.
struct CellFacts {
    CellKind kind;
    const char* name;
    std::size_t gates;
    bool has_memory;

    template <class Formula>
    static constexpr CellFacts of(CellKind kind, const char* name) {
        return {kind, name, static_cast<std::size_t>(Formula::gates), Formula::has_memory};
    }
};

// In the order of the kinds.
constexpr CellFacts all_cells[] = {
    CellFacts::of<Rnn<OfFloat, false>>(CellKind::rnn_tanh, "rnn_tanh"),
    CellFacts::of<Rnn<OfFloat, true>>(CellKind::rnn_relu, "rnn_relu"),
    CellFacts::of<Gru<OfFloat>>(CellKind::gru, "gru"),
    CellFacts::of<Lstm<OfFloat>>(CellKind::lstm, "lstm"),
};

constexpr const CellFacts& facts_of(CellKind kind) { return all_cells[static_cast<std::size_t>(kind)]; }

constexpr std::size_t gates_of(CellKind kind) { return facts_of(kind).gates; }

// The cell of a name; null where there is none.
inline const CellFacts* cell_named(const char* name) {
    for (const CellFacts& cell : all_cells)
        if (std::strcmp(cell.name, name) == 0) return &cell;
    return nullptr;
}

}  // namespace seqlm
