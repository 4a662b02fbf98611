#version 450
// Encodes blocks with rans.
//
// variant: subgroup32.16bit SUBGROUP=32 WORKGROUP=256 STORAGE16=1
// variant: subgroup32 SUBGROUP=32 WORKGROUP=256
// variant: subgroup64.16bit SUBGROUP=64 WORKGROUP=256 STORAGE16=1
// variant: subgroup64 SUBGROUP=64 WORKGROUP=256
// variant: subgroup16.16bit SUBGROUP=16 WORKGROUP=256 STORAGE16=1
// variant: subgroup16 SUBGROUP=16 WORKGROUP=256
// variant: subgroup8.16bit SUBGROUP=8 WORKGROUP=128 STORAGE16=1
// variant: subgroup8 SUBGROUP=8 WORKGROUP=128
// variant: subgroup4 SUBGROUP=4 WORKGROUP=64
// variant: shared SHARED=1 WORKGROUP=64

#define CODER CODER_RANS
#define WORD_BITS 16
#define SEED 2u
#define SYMBOLS 1u
#define STATE uint
#define BITS uvec4
#define INITIAL_WORDS 64u
#include "encoding.glsl"

// Entries of normalise.comp, taken apart: m; the state that is too large, f << (32 - K); cum << 16 | a << 8 | s; 2^K - f.
shared uvec4 table[256];

void fill_table(uint first) {
    for (uint i = gl_LocalInvocationIndex; i < 256u; i += gl_WorkGroupSize.x) {
        uint fields = entries[first + 2u * i + 1u];
        uint f = fields >> 20;
        table[i] = uvec4(entries[first + 2u * i], f << (32u - table_log),
                         (fields & 0xfff00u) << 8 | (fields & 1u) << 8 | fields >> 4 & 15u, (1u << table_log) - f);
    }
}

uint seeded_state(uint seed) { return 0x10000u | seed; }

uvec4 look_up(inout uint x, uint quad, uint first, uint count) { return table[symbol(quad, first)]; }

bool is_full(uint x, uvec4 entry) { return x >= entry.y; }

uint full_word(uint x) { return x; }

void push(bool written, inout uint x, uvec4 entry) {
    if (written) x >>= 16;
    uint high, low;
    umulExtended(x + (entry.z >> 8 & 1u), entry.x, high, low);
    x += (entry.z >> 16) + (high >> (entry.z & 31u)) * entry.w;
}

void finish(inout Stream stream) {
    if (stream.size == 0u) return;
    stream.p -= INITIAL_WORDS;
    [[unroll]] for (uint j = 0u; j < LANES; j++) {
        put_word(stream.p + 2u * lane(j), stream.x[j]);
        put_word(stream.p + 2u * lane(j) + 1u, stream.x[j] >> 16);
    }
}
