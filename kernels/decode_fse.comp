#version 450
// Decodes blocks coded with fse.

#define CODER CODER_FSE
#define LEAST 4u
#define PAYLOAD_ACCESS
// As measured (NOTES.md).
#ifdef DOT
#ifndef UNIT
#define UNIT 4u
#endif
#ifndef FAST_TILES
#define FAST_TILES 6
#endif
#endif
#include "window_state.glsl"
#include "cells.glsl"

// A cell's number with its `table_log` bits reversed, at the top of a word: a state keeps it so, with any bits below. And where
// such a cell is in the table.
uint top(uint cell) { return bitfieldReverse(cell); }
uint place(uint top) { return top >> 32u - table_log; }

// Entries: top(y without its highest bit) | symbol << 8 | bits. The bits that a symbol takes, the highest of its next cell, lie in
// the window highest first. So shifted into an entry from above they are that cell's top. A cell's place is its slot.
void put_slot(uint four, uint i, Run owner) {
    uint y = owner.end - owner.first + cell_rank(four, i, owner.first, owner.end);
    uint log_y = uint(findMSB(y));
    table[4u * four + i] = top(y ^ 1u << log_y) | owner.symbol << 8 | table_log - log_y;
}

void fill_table() { put_slots(); }

uint cell_bits() { return table_log; }

uint first_cell(uint cell) { return top(cell); }

// The cell has the seed's highest bits and the window the others, with zeros above them.
bool final_state(Window x, out uint seed) {
    uint bits;
    uint count = left(x, bits);
    seed = x.cell & ~(~0u >> table_log) | bits;
    bool zeros = (count < 33u || x.high >> 31 == 0u) && bits <= ~0u >> table_log;
    return count >= 32u - table_log && count <= 33u && zeros;
}

uint take_symbol(inout Window x, inout uint bits) {
    uint entry = table[place(x.cell)];
    uint count = byte_of(entry, 0u);
#ifdef INT64
    uint64_t both = (uint64_t(bits) << 32 | uint64_t(entry)) >> count;
    x.cell = uint(both);
    bits = uint(both >> 32);
#else
    x.cell = entry >> count | bits << 1u << 31u - count;
    bits >>= count;
#endif
    return entry;
}

uint two_symbols(uint first, uint second) {
#ifdef DOT
    return byte_of(first, 1u) + 256u * byte_of(second, 1u);
#else
    return byte_of(first, 1u) | second & 0xff00u;
#endif
}

uint four_symbols(uint first, uint second) { return first + 65536u * second; }
