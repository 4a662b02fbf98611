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

uint next_cell(uint entry, uint bits) { return (entry >> 16) + (bits & ~(~0u << (entry & 31u))); }

// Entries: base << 16 | symbol << 8 | bits.
void put_cell(uint cell, uint kept, uint y) {
    uint bits = table_log - uint(findMSB(y));
    uint base = (y << bits) - (1u << table_log);
    table[cell] = base << 16 | kept & 0xff00u | bits;
}

void fill_table() { spread(); }

bool has_cell(uint cell) { return cell <= last_cell(); }

uint last_cell() { return (1u << table_log) - 1u; }

uint take_symbol(inout Window x, inout uint bits) {
    uint entry = table[x.cell];
    x.cell = next_cell(entry, bits);
    bits >>= entry & 31u;
    return entry;
}

uint two_symbols(uint first, uint second) { return first >> 8 & 0xffu | second & 0xff00u; }
