#version 450
// Decodes blocks coded with huff.

#define CODER CODER_HUFFMAN
#define CELL_BITS 0u
// Slot i is at i + i / 64: the low bits of slots are the first bits of codes, and lanes that have the same code would meet in
// a bank of the memory.
#define TABLE_WORDS ((1u << MAX_TABLE_LOG) + (1u << MAX_TABLE_LOG) / 64u)
#include "window_state.glsl"

// Entries: symbol << 24 | length. Codes in canonical order are slots of 2^(K - length); windows have their codes' bits reversed.
// The table is that of MAX_TABLE_LOG bits whatever the block's: shifts by constants are multiplications.
void put_slot(uint slot, Run owner) {
    uint entry = owner.symbol << 24 | table_log - uint(findMSB(owner.end - owner.first));
    for (uint i = bitfieldReverse(slot) >> 32u - table_log; i < 1u << MAX_TABLE_LOG; i += 1u << table_log) {
        table[i + i / 64u] = entry;
    }
}

void fill_table() { put_slots(); }

bool has_cell(uint cell) { return true; }

uint last_cell() { return 0u; }

uint take_symbol(inout Window x, inout uint bits) {
    // slot + slot / 64, as the high half of a product: multiplications are what the loop has least of.
    uint place, unused;
    umulExtended(bits * (1u << 32u - MAX_TABLE_LOG), TABLE_WORDS, place, unused);
    uint entry = table[place];
    bits >>= entry & 31u;
    return entry;
}

uint two_symbols(uint first, uint second) { return first >> 24 | second >> 24 << 8; }
