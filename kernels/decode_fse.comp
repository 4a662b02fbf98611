#version 450
// Decodes blocks coded with fse.

#define CODER CODER_FSE
#define CELL_BITS 12u
// The table is filled before there are tails.
#define LEAST_SCRATCH 1024u
#define SPREAD(i) scratch[i]
#include "window_state.glsl"
#include "spread.glsl"

uint frequency(uint number) { return run(number).end - run(number).first; }

void put_slot(uint slot, Run owner) {
    uint cell = slot * spread_step(table_log) & (1u << table_log) - 1u;
    table[cell] = owner.symbol << 8 | owner.number;
    count_cell(cell, owner.number);
}

void count_symbols() { put_slots(); }

uvec4 kept_symbols(uint four) {
    return uvec4(table[4u * four], table[4u * four + 1u], table[4u * four + 2u], table[4u * four + 3u]);
}

#ifdef HIGH_CELLS
// Tried (NOTES.md): cells are in the highest 12 bits of entries and lanes. A base is a multiple of 2^bits, so a selection of bits
// makes the next cell. Its number is the high half of a product, by 2^12 + 1: one by 2^12 would be compiled to a shift.
#define BASE_AT 20u
#define CELL_AT 20u
uint cell_number(uint cell) {
    uint number, unused;
    umulExtended(cell, (1u << 12) + 1u, number, unused);
    return number;
}
uint next_cell(uint entry, uint bits) {
    uint base = ~0u << 20 << (entry & 31u);
    return entry & base | bits << 20 & ~base;
}
#else
#define BASE_AT 16u
#define CELL_AT 0u
uint cell_number(uint cell) { return cell; }
uint next_cell(uint entry, uint bits) { return (entry >> 16) + (bits & ~(~0u << (entry & 31u))); }
#endif

// Entries: base << BASE_AT | symbol << 8 | bits.
void put_cell(uint cell, uint kept, uint y) {
    uint bits = table_log - uint(findMSB(y));
    uint base = (y << bits) - (1u << table_log);
    table[cell] = base << BASE_AT | kept & 0xff00u | bits;
}

void fill_table() { spread(); }

uint initial_cell(uint number) { return number << CELL_AT; }

bool has_cell(uint cell) { return cell <= last_cell(); }

uint last_cell() { return (1u << table_log) - 1u << CELL_AT; }

uint take_symbol(inout Window x, inout uint bits) {
    uint entry = table[cell_number(x.cell)];
    x.cell = next_cell(entry, bits);
    bits >>= entry & 31u;
    return entry;
}

uint two_symbols(uint first, uint second) { return first >> 8 & 0xffu | second & 0xff00u; }
