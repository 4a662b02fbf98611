#version 450
// Decodes blocks coded with huff.

#define CODER CODER_HUFFMAN
#define LEAST 16u
#define PAYLOAD_ACCESS readonly
// Slot i is at i + i / 64: the low bits of slots are the first bits of codes, and lanes that have the same code would meet in
// a bank of the memory.
#define TABLE_WORDS ((1u << MAX_TABLE_LOG) + (1u << MAX_TABLE_LOG) / 64u)
#include "window_state.glsl"

// Entries: symbol << 24 | length. Codes in canonical order are slots of 2^(K - length); windows have their codes' bits reversed.
// The table is that of MAX_TABLE_LOG bits whatever the block's, so that masks are constants.
void put_slot(uint four, uint i, Run owner) {
    uint slot = 4u * four + i;
    uint entry = owner.symbol << 24 | table_log - uint(findMSB(owner.end - owner.first));
    for (uint at = bitfieldReverse(slot) >> 32u - table_log; at < 1u << MAX_TABLE_LOG; at += 1u << table_log) {
        table[at + at / 64u] = entry;
    }
}

void fill_table() { put_slots(); }

uint cell_bits() { return 0u; }

uint first_cell(uint cell) { return 0u; }

bool final_state(Window x, out uint seed) { return left(x, seed) == 32u; }

uint take_symbol(inout Window x, inout uint bits) {
    uint slot = bits & (1u << MAX_TABLE_LOG) - 1u;
    uint entry = table[slot + slot / 64u];
    bits >>= entry & 31u;
    return entry;
}

uint two_symbols(uint first, uint second) { return byte_of(first, 3u) + 256u * byte_of(second, 3u); }

uint four_symbols(uint first, uint second) { return first + 65536u * second; }
