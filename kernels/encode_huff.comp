#version 450
// Encodes blocks with huff.

#define CODER CODER_HUFFMAN
#define MOST_INITIAL 48u
#include "windows.glsl"

struct Lane {
    Window window;
};
#define STATE Lane
#include "encoding.glsl"

// code << 8 | length, the code with its bits reversed.
shared uint table[256];

void fill_table(uint first) {
    for (uint i = gl_LocalInvocationIndex; i < 256u; i += gl_WorkGroupSize.x) table[i] = entries[first + i];
}

Lane seeded_state(uint seed) { return Lane(Window(seed, 0u, 32u)); }

Bits look_up(inout Lane x, uint quad, uint first, uint count) {
    uint low = count > 0u ? table[symbol(quad, first)] : 0u;
    uint high = count > 1u ? table[symbol(quad, first + 1u)] : 0u;
    return Bits(low >> 8 | high >> 8 << (low & 31u), low + high & 31u);
}

uint high_half(Lane x, uint number) { return number; }

#include "window_streams.glsl"
