#version 450
// Encodes blocks with huff.

#define CODER CODER_HUFFMAN
#define STATE uint
#define ENTRY uint
#include "encoding.glsl"

// code << 8 | length, the code with its bits reversed.
shared uint table[256];

void fill_table(uint first) {
    for (uint i = gl_LocalInvocationIndex; i < 256u; i += gl_WorkGroupSize.x) table[i] = entries[first + i];
}

uint seeded_state(uint seed) { return 0x10000u | seed; }

uint look_up(uint symbol) { return table[symbol]; }

bool put_symbol(inout uint x, uint entry) { return x >> 32u - (entry & 0xffu) != 0u; }

uint give_word(inout uint x) {
    uint word = x & 0xffffu;
    x >>= 16;
    return word;
}

void finish_symbol(inout uint x, uint entry) { x = x << (entry & 0xffu) | entry >> 8; }

uint initial_word(uint x) { return x; }
