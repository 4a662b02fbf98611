#version 450
// Encodes blocks with huff.

#define CODER CODER_HUFFMAN
#define LEAST 16u
#define MARGIN 0u
#include "windows.glsl"

struct Lane {
    Window window;
};
#define STATE Lane
#include "encoding.glsl"

// The code, its bits reversed, at the top of a word, and its length in the low 5 bits.
shared uint table[256];

void fill_table(uint first) {
    for (uint i = gl_LocalInvocationIndex; i < 256u; i += gl_WorkGroupSize.x) {
        uint entry = entries[first + i];
        table[i] = entry >> 8 << (32u - entry & 31u) | entry & 31u;
    }
}

Lane seeded_state(uint seed, uint quad, uint first, uint count) { return Lane(Window(seed, 0u, 32u)); }

Bits look_up(inout Lane x, uint quad, uint first, uint count) {
    // Loaded in any case: SwiftShader takes minutes and gigabytes to compile loads that are conditional.
    uint low = table[symbol(quad, first)];
    uint high = table[symbol(quad, first + 1u)];
    low = count > 0u ? low : 0u;
    high = count > 1u ? high : 0u;
    return Bits(high | low >> (high & 31u), low + high & 31u);
}

uint cell(Lane x) { return 0u; }

uint cell_bits() { return 0u; }

uint cost(uint symbol) { return (table[symbol] & 31u) << COST_LOG; }

#include "window_streams.glsl"
