#version 450
// Encodes blocks with rans.
//
// variant: subgroup32.dot SUBGROUP=32 WORKGROUP=512 STORAGE16=1 KHR_BALLOT=1 DOT=1
// variant: subgroup32.ballot SUBGROUP=32 WORKGROUP=512 STORAGE16=1 KHR_BALLOT=1
// variant: subgroup32.16bit SUBGROUP=32 WORKGROUP=256 STORAGE16=1
// variant: subgroup32 SUBGROUP=32 WORKGROUP=256
// variant: subgroup64.16bit SUBGROUP=64 WORKGROUP=256 STORAGE16=1
// variant: subgroup64 SUBGROUP=64 WORKGROUP=256
// variant: subgroup16.dot SUBGROUP=16 WORKGROUP=256 STORAGE16=1 DOT=1
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
#define BITS uvec2
#define LEAST 16u
#define PLANES 4u
#define MARGIN 48u
#include "encoding.glsl"

// Of a state x < f << (32 - K), x / f is umulhi(x + addend, m) >> s. Of f <= 2^(K-1) that is exact with 0 and m rounded up
// and with 1 and m rounded down, since f^2 <= 2^(s + K); one f at most is larger, and its entry of normalise.comp decides for the block.
uint addend;
// 2^20 - 1.
uint low_mask;
// Both, shared, so that compilers keep them: they cannot make them anew.
shared uint kept[2];

// m, s, w = 2^K - f and what is added to x + (x / f) w.
uvec4 divisor(uint at) {
    uint m = entries[at];
    uint fields = entries[at + 1u];
    uint f = fields >> 20;
    uint s = fields >> 4 & 15u;
    uint bias = fields >> 8 & 0xfffu;
    if ((fields & 1u) != addend) {
        if (addend == 1u) m--;
        else if (f != 1u << s) m++;
        else if (s > 0u) return uvec4(1u << 31, s - 1u, (1u << table_log) - f, bias);
        else bias += (1u << table_log) - 1u;  // The quotient is one less than x.
    }
    return uvec4(m, s, (1u << table_log) - f, bias);
}

shared BITS table[256];

// m; bias << 19 | w << (12 - K) << 7 | s.
BITS packed(uvec4 d) { return BITS(d.x, d.w << 19 | d.z << 19u - table_log | d.y); }
uint shift(BITS entry) { return entry.y & 31u; }
uint bias(BITS entry) { return entry.y >> 19; }
uint weight(BITS entry) { return entry.y << 13 >> 32u - table_log; }
// x >= f << (32 - K), whatever is below the highest 12 bits of the entry's word.
bool is_full(uint x, BITS entry) { return (~x | low_mask) < entry.y << 13; }

void fill_table(uint first) {
    if (gl_LocalInvocationIndex == 0u) {
        kept[0] = 0u;
        kept[1] = 0xfffffu;
    }
    barrier();
    for (uint i = gl_LocalInvocationIndex; i < 256u; i += gl_WorkGroupSize.x) {
        uint fields = entries[first + 2u * i + 1u];
        if (fields >> 20 > 1u << table_log - 1u) kept[0] = fields & 1u;
    }
    barrier();
    addend = kept[0];
    low_mask = kept[1];
    for (uint i = gl_LocalInvocationIndex; i < 256u; i += gl_WorkGroupSize.x) table[i] = packed(divisor(first + 2u * i));
}

uint seeded_state(uint seed, uint quad, uint first, uint count) { return 0x10000u | seed; }

BITS look_up(inout uint x, uint quad, uint first, uint count) { return table[symbol(quad, first)]; }

uint full_word(uint x) { return x; }

void push(bool written, inout uint x, BITS entry) {
    if (written) x >>= 16;
    uint high, low;
    umulExtended(x + addend, entry.x, high, low);
    x += bias(entry) + (high >> shift(entry)) * weight(entry);
}

void finish(inout Stream stream, out uint length[LANES], out uvec2 bits[LANES]) {
    [[unroll]] for (uint j = 0u; j < LANES; j++) {
        length[j] = uint(findMSB(stream.x[j]));
        bits[j] = uvec2(stream.x[j] ^ 1u << length[j], 0u);
    }
}

uint cell(uint x) { return 0u; }

uint cell_bits() { return 0u; }

// A symbol that does not occur costs what nobody asks.
uint cost(uint symbol) { return ans_cost((1u << table_log) - weight(table[symbol])); }
