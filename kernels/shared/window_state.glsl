// The lanes of fse and huff in decode kernels: windows of 64 bits, refilled with words of 32 at most once for two symbols.
//
// variant: subgroup32.dot SUBGROUP=32 STREAMS=1 WORKGROUP=512 INT64=1 KHR_BALLOT=1 DOT=1
// variant: subgroup32.int64 SUBGROUP=32 STREAMS=1 WORKGROUP=512 INT64=1 KHR_BALLOT=1
// variant: subgroup32 SUBGROUP=32 STREAMS=2 WORKGROUP=256
// variant: subgroup64 SUBGROUP=64 STREAMS=2 WORKGROUP=256
// variant: subgroup16.dot SUBGROUP=16 STREAMS=1 WORKGROUP=256 INT64=1 KHR_BALLOT=1 DOT=1
// variant: subgroup16.int64 SUBGROUP=16 STREAMS=1 WORKGROUP=256 INT64=1 KHR_BALLOT=1
// variant: subgroup16 SUBGROUP=16 STREAMS=1 WORKGROUP=256
// variant: subgroup8 SUBGROUP=8 STREAMS=1 WORKGROUP=128
// variant: subgroup4 SUBGROUP=4 STREAMS=1 WORKGROUP=64
// variant: shared SHARED=1 STREAMS=1 WORKGROUP=64

#define WORD uint
#define PAYLOAD_WORD(i) payload[i]
#define WORD_BITS 32u
#define PLANES 5u
#define SEED 4u
// A word a pair.
#define TILE_WORDS 64u

#ifdef INT64
#extension GL_EXT_shader_explicit_arithmetic_types_int64 : require
#endif

struct Window {
    // A lane's bits are the highest of high:low.
    uint low, high;
    // Bits consumed so far, in the low six bits, and what was in them before the last pair: where they differ in bit 5, low has been
    // consumed. (Entries are added as they are: what is above their lengths is above the six bits.)
    uint taken, before;
    // Of fse, as its kernel keeps it.
    uint cell;
};
#define STATE Window

#include "decoding.glsl"

// What a coder defines. The entry of the next symbol, given the bits from `bits` on, which it removes. The low 6 bits of an entry
// say how many these are.
uint take_symbol(inout Window x, inout uint bits);
// The symbols of two entries, as four_symbols wants them.
uint two_symbols(uint first, uint second);
// A cell as a lane keeps it.
uint first_cell(uint cell);

Window no_state() { return Window(0u, 0u, 0u, 0u, 0u); }

uint payload_bits(uint place) { return payload[place / 2u]; }

STATE read_state(uint string, uint at, uint count) {
    Window x;
    uint low = string_bits(string, at, min(count, 32u));
    uint high = string_bits(string, at + 32u, max(count, 32u) - 32u);
    x.cell = first_cell(string_bits(string, at + count, cell_bits()));
    // At least 17, since there are at most 47 bits.
    x.taken = 64u - count;
    x.before = 0u;
    uint shift = x.taken & 31u;
    bool both = count > 32u;
    x.high = both ? high << shift | low >> 32u - shift : low << shift;
    x.low = both ? low << shift : 0u;
    return x;
}

// The low 32 bits of the window from the next one on.
uint next_bits(Window x) {
#ifdef INT64
    return uint((uint64_t(x.high) << 32 | uint64_t(x.low)) >> (x.taken & 31u));
#else
    uint shift = x.taken & 31u;
    return x.low >> shift | x.high << 1u << 31u - shift;
#endif
}

void decode_pair(const bool checked, uint s, uint limit, inout Stream stream, out uint pair[LANES]) {
    bool need[LANES];
    [[unroll]] for (uint j = 0u; j < LANES; j++) {
        bool live = !checked || 4u * lane(j) + s < limit;
        need[j] = ((stream.x[j].taken ^ stream.x[j].before) & 32u) != 0u && live;
    }
    uint at[LANES];
    claim(stream.p, need, at);
    [[unroll]] for (uint j = 0u; j < LANES; j++) {
        Window x = stream.x[j];
        // Loaded whether needed or not: that takes fewer instructions than a branch.
        uint word = !checked || at[j] < stream.end ? payload[at[j] / UNIT] : 0u;
        x.low = need[j] ? x.high : x.low;
        x.high = need[j] ? word : x.high;
        uint bits = next_bits(x);
        x.before = x.taken;
        uint first = take_symbol(x, bits);
        Window single = x;
        uint second = take_symbol(x, bits);
        if (!checked || 4u * lane(j) + s + 1u < limit) {
            x.taken += first + second;
            pair[j] = two_symbols(first, second);
            stream.x[j] = x;
        } else if (4u * lane(j) + s < limit) {
            single.taken += first;
            pair[j] = two_symbols(first, 0u);
            stream.x[j] = single;
        } else {
            pair[j] = 0u;
        }
    }
}

// How many bits are left, if there are at most 33, and the bits.
uint left(Window x, out uint bits) {
    uint taken = x.taken & 31u;
    bool few = ((x.taken ^ x.before) & 32u) != 0u;
    bits = few ? x.high >> taken : x.high << 1 | x.low >> 31;
    return few ? 32u - taken : 64u - taken;
}
