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
#define FAST_TILES 4u
#endif
#endif
// The table is filled before there are tails.
#define LEAST_SCRATCH 1024u
#define SPREAD(i) scratch[i]
#include "window_state.glsl"
#include "spread.glsl"

uint frequency(uint number) { return run(number).end - run(number).first; }

// A cell's number with its `table_log` bits reversed, at the top of a word: a state keeps it so, with any bits below. And where
// such a cell is in the table.
uint top(uint cell) { return bitfieldReverse(cell); }
uint place(uint top) { return top >> 32u - table_log; }

void put_slot(uint slot, Run owner) {
    uint cell = slot * spread_step(table_log) & (1u << table_log) - 1u;
    table[place(top(cell))] = owner.symbol << 8 | owner.number;
    count_cell(cell, owner.number);
}

void count_symbols() { put_slots(); }

uvec4 kept_symbols(uint four) {
    uvec4 kept;
    [[unroll]] for (uint i = 0u; i < 4u; i++) kept[i] = table[place(top(4u * four + i))];
    return kept;
}

// Entries: top(y without its highest bit) | symbol << 8 | bits. The bits that a symbol takes, the highest of its next cell, lie in
// the window highest first. So shifted into an entry from above they are that cell's top.
void put_cell(uint cell, uint kept, uint y) {
    uint log_y = uint(findMSB(y));
    table[place(top(cell))] = top(y ^ 1u << log_y) | kept & 0xff00u | table_log - log_y;
}

void fill_table() { spread(); }

uint cell_bits() { return table_log; }

uint first_cell(uint cell) { return top(cell); }

bool is_last_cell(uint cell) { return place(cell) == (1u << table_log) - 1u; }

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
