#version 450
// Encodes blocks with rans.

#define CODER CODER_RANS
#define STATE uint
#define ENTRY uvec4
#include "encoding.glsl"

#ifndef REPLICAS
#define REPLICAS 1u
#endif
// Entries of normalise.comp, taken apart: m; the state that is too large, f << (32 - K); s << 1 | a; cum << 16 | 2^K - f.
shared uvec4 table[256u * REPLICAS];

void fill_table(uint first) {
    for (uint i = gl_LocalInvocationIndex; i < 256u; i += gl_WorkGroupSize.x) {
        uint fields = entries[first + 2u * i + 1u];
        uint f = fields >> 20;
        uint cum = fields >> 8 & 0xfffu;
        uvec4 entry = uvec4(entries[first + 2u * i], f << (32u - table_log), fields >> 3 & 30u | fields & 1u,
                         cum << 16 | (1u << table_log) - f);
        for (uint r = 0u; r < REPLICAS; r++) table[i * REPLICAS + r] = entry;
    }
}

uint seeded_state(uint seed) { return 0x10000u | seed; }

uvec4 look_up(uint symbol) { return table[symbol * REPLICAS + INVOCATION % REPLICAS]; }

bool put_symbol(inout uint x, uvec4 entry) { return x >= entry.y; }

uint give_word(inout uint x) {
    uint word = x & 0xffffu;
    x >>= 16;
    return word;
}

void finish_symbol(inout uint x, uvec4 entry) {
    uint high, low;
    umulExtended(x + (entry.z & 1u), entry.x, high, low);
    uint quotient = high >> (entry.z >> 1);
    x += (entry.w >> 16) + quotient * (entry.w & 0xffffu);
}

uint initial_word(uint x) { return x; }
