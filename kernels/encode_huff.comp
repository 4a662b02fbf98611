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

Bits look_up(inout Lane x, uint symbols, uint count) {
    uint first = count > 0u ? table[symbols & 0xffu] : 0u;
    uint second = count > 1u ? table[symbols >> 8 & 0xffu] : 0u;
    return Bits(first >> 8 | second >> 8 << (first & 31u), first + second & 31u);
}

uint high_half(Lane x, uint number) { return number; }

#include "window_streams.glsl"
