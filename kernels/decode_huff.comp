#version 450
// Decodes blocks coded with huff.

#define CODER CODER_HUFFMAN
#define STATE uint
#include "decoding.glsl"
#include "plain_state.glsl"

// Entries: length << 8 | symbol. Codes in canonical order are slots of 2^(K - length); a state has its code's bits reversed.
void fill_table() {
    for (uint i = gl_LocalInvocationIndex; i < 1u << table_log; i += gl_WorkGroupSize.x) {
        table[i] = cums[find_slot(bitfieldReverse(i) >> 32u - table_log)] & 0xffffu;
    }
}

uint look_up(uint x) { return table[x & ((1u << table_log) - 1u)]; }

bool take_symbol(inout uint x, uint entry) {
    x >>= entry >> 8;
    return x < 0x10000u;
}
