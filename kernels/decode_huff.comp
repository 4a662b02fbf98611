#version 450
// Decodes blocks coded with huff.

#define CODER CODER_HUFFMAN
#define CELL_BITS 0u
// Slot i is at i + i / 64: the low bits of slots are the first bits of codes, and lanes that have the same code would meet in
// a bank of the memory.
#define TABLE_WORDS ((1u << MAX_TABLE_LOG) + (1u << MAX_TABLE_LOG) / 64u)
#include "window_state.glsl"

// Entries: symbol << 24 | length. Codes in canonical order are slots of 2^(K - length); windows have their codes' bits reversed.
void fill_table() {
    for (uint i = gl_LocalInvocationIndex; i < 1u << table_log; i += gl_WorkGroupSize.x) {
        uint code = CUMS(find_slot(bitfieldReverse(i) >> 32u - table_log));
        table[i + i / 64u] = code << 24 | code >> 8 & 0xffu;
    }
}

bool has_cell(uint cell) { return true; }

uint last_cell() { return 0u; }

uint take_symbol(inout Window x, inout uint bits) {
    // slot + slot / 64, as the high half of a product: multiplications are what the loop has least of.
    uint place, unused;
    umulExtended(bits * (1u << 32u - table_log), (1u << table_log) + (1u << table_log) / 64u, place, unused);
    uint entry = table[place];
    bits >>= entry & 31u;
    return entry;
}

uint two_symbols(uint first, uint second) { return first >> 24 | second >> 24 << 8; }
